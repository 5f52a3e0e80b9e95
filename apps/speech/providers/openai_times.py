"""Reads the language and the times in transcripts of OpenAI's format, as its many servers send them."""

from __future__ import annotations

import math
from typing import Any

from apps.speech.base import TranscriptSegment
from apps.speech.languages import code_of
from apps.speech.reply_text import storable

Parts = tuple[TranscriptSegment, ...]


def language_of(transcription: Any) -> str:
    """Return the code of the detected language, or "". OpenAI's older models send its English name."""
    languages = getattr(transcription, "languages", None)
    if languages:
        return str(languages[0].code)
    return code_of(str(getattr(transcription, "language", None) or "")) or ""


def timed_parts(transcription: Any, max_parts: int) -> tuple[Parts, Parts]:
    """Return the segments and the words, which are empty if the server sent none.

    Raises AttributeError, TypeError or ValueError if they are not as described.
    """
    segments, words = (getattr(transcription, name, None) or [] for name in ("segments", "words"))
    if len(segments) + len(words) > max_parts:
        raise ValueError
    return tuple(map(_segment, segments)), tuple(_part(word, word.word) for word in words)


def _segment(segment: Any) -> TranscriptSegment:
    return _part(
        segment,
        segment.text,
        tokens=tuple(map(int, getattr(segment, "tokens", None) or ())),
        **{name: _number(getattr(segment, name, None) or 0) for name in _DETAILS},
    )


_DETAILS = ("avg_logprob", "no_speech_prob", "temperature")


def _part(part: Any, text: str, **details: Any) -> TranscriptSegment:
    return TranscriptSegment(_number(part.start), _number(part.end), storable(text).strip(), **details)


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number
