"""The third stage of a turn: from the segments of a reply to its sound."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing

from django.conf import settings

from apps.conversations.models import Turn
from apps.conversations.pipeline.spoken_answer import SpokenAnswer
from apps.conversations.pipeline.synthesis import Segment, synthesize_ahead
from apps.conversations.turn_events import Spoken
from apps.core.errors import RecordingMissingError
from apps.core.recordings import decode_stored
from apps.speech.base import ProviderError, Recording
from apps.speech.normalization.spoken_form import spoken_form
from apps.speech.registry import Engines
from apps.usage.metering import Used
from apps.voices.models import VoiceProfile

Segments = asyncio.Queue[str | None]
"""The segments of a reply, in order; None marks the end."""


async def speak(
    turn: Turn, segments: Segments, *, engines: Engines, answer: SpokenAnswer, used: Used
) -> AsyncGenerator[Spoken, None]:
    """Synthesize `segments`, add the sound to `answer`, and yield it chunk by chunk.

    On another attempt, what was spoken before the failure or heard before the interruption comes first, from the stored
    sound. Raises ProviderError.
    """
    voice = _voice_of(turn)
    engine = engines.text_to_speech(voice.provider)
    answer.sample_rate = engine.sample_rate

    def synthesize(text: str, previous: str) -> AsyncGenerator[bytes, None]:
        used.speak(len(text), engine=voice.provider)
        return engine.speak(text, voice_id=voice.voice_id, settings=voice.speech_settings, previous_text=previous)

    spoken_before = turn.spoken_text if turn.answer else ""
    recording = await asyncio.to_thread(_sound_of, turn, engine.sample_rate) if spoken_before else None
    if recording is None:
        spoken_before = ""
    else:
        segment = answer.begin_segment(spoken_before, spoken_before)
        yield answer.add(segment, recording.pcm)
        segment.complete = True
    language = turn.conversation.language or turn.language
    to_speak = _as_spoken(_segments_after(spoken_before, segments), provider=voice.provider, language=language)
    async with aclosing(synthesize_ahead(to_speak, synthesize, in_flight=settings.SPEECH_IN_FLIGHT)) as synthesized:
        async for (text, spoken), chunks in synthesized:
            segment = answer.begin_segment(text, spoken)
            async for pcm in chunks:
                yield answer.add(segment, pcm)
            segment.complete = True
    if answer.segments and not answer.chunks:  # A reply without words has no segments and no sound.
        raise ProviderError("provider_answer_invalid", stage="speak", retryable=True)


def _voice_of(turn: Turn) -> VoiceProfile:
    if turn.voice is None or not turn.voice.can_speak:
        raise ProviderError("provider_voice_missing", stage="speak", retryable=False)
    return turn.voice


def _sound_of(turn: Turn, sample_rate: int) -> Recording | None:
    """Decode the stored answer, as far as it was heard; None if it is missing, so that its text is spoken again."""
    try:
        stored = decode_stored(turn.answer, sample_rate=sample_rate, max_seconds=math.inf)
    except RecordingMissingError:
        return None
    end = None if turn.heard_seconds is None else 2 * int(turn.heard_seconds * sample_rate)
    return Recording(stored.pcm[:end], sample_rate)


async def _segments_after(spoken_text: str, segments: Segments) -> AsyncGenerator[str, None]:
    """Yield the segments as they arrive, without `spoken_text`, with which they begin."""
    to_skip = _length(spoken_text)
    while (segment := await segments.get()) is not None:
        rest = _without_first(to_skip, segment)
        to_skip = max(to_skip - _length(segment), 0)
        if rest:
            yield rest


def _length(text: str) -> int:
    """Return the number of characters without spaces, which are not the same in a reply and in its segments."""
    return len("".join(text.split()))


def _without_first(count: int, text: str) -> str:
    """Return `text` after its first `count` characters, spaces not counted."""
    for position, character in enumerate(text):
        if count <= 0 and not character.isspace():
            return text[position:]
        count -= not character.isspace()
    return ""


async def _as_spoken(
    texts: AsyncGenerator[str, None], *, provider: str, language: str
) -> AsyncGenerator[Segment, None]:
    previous = ""
    async for text in texts:
        yield Segment(text, spoken_form(text, provider=provider, language=language, previous_text=previous))
        previous = text
