"""Prepares texts for Pocket TTS: short segments, in which the runtime finds nothing to divide.

The runtime divides a text after each full stop, exclamation mark and question mark, and joins short parts with a space.
It would say "3. 50" for "3.50". It also divides texts of more than 200 bytes, even in the middle of a letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from apps.speech.local.kokoro import split_into_segments

MAX_SEGMENT_BYTES = 200

REPEATED_MARK = re.compile(r"([.!?])[.!?]+")
ABBREVIATION = re.compile(r"\b(?:[^\W\d_]\.){2,}")  # a.m., U.S.
DECIMAL_POINT = re.compile(r"(?<=\d)\.(?=\d)")
DOT_IN_A_NAME = re.compile(r"(?<=\w)\.(?=\w)")  # example.org


def speakable_segments(text: str) -> Iterator[str]:
    """Split `text` into sentences and clauses that contain words, each with MAX_SEGMENT_BYTES in UTF-8 or less."""
    for segment in split_into_segments(without_inner_dots(text)):
        for part in _short_parts(" ".join(segment.split())):
            if any(character.isalnum() for character in part):
                yield part


def without_inner_dots(text: str) -> str:
    """Return `text` with words, or nothing, in the place of dots that do not end a sentence."""
    text = REPEATED_MARK.sub(r"\1", text)
    spoken = ABBREVIATION.sub(lambda found: " ".join(found[0].split(".")), text)
    spoken = DECIMAL_POINT.sub(" point ", spoken)
    spoken = DOT_IN_A_NAME.sub(" dot ", spoken).strip()
    return f"{spoken}." if text.rstrip().endswith(".") and not spoken.endswith(".") else spoken


def _short_parts(text: str) -> Iterator[str]:
    """Divide `text` at words where that is possible, and never inside a letter."""
    while len(text.encode()) > MAX_SEGMENT_BYTES:
        fitting = text.encode()[:MAX_SEGMENT_BYTES].decode(errors="ignore")
        end = fitting.rfind(" ") + 1 or len(fitting)
        yield text[:end].strip()
        text = text[end:]
    yield text
