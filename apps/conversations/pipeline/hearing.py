"""The first stage of a turn: from the recording of a question to its transcript."""

from __future__ import annotations

import asyncio

from django.conf import settings

from apps.conversations.models import Turn
from apps.core.recordings import decode_stored
from apps.speech import phantoms
from apps.speech.audio.resampling import resample
from apps.speech.audio.silero import SAMPLE_RATE
from apps.speech.audio.speech_presence import measure_activity
from apps.speech.base import Recording, SpeechToText, Transcript
from apps.usage.metering import Used

QUESTION_SAMPLE_RATE = SAMPLE_RATE
# Noise and tunes have less speech than the first, and shorter stretches of it than the second. A word that stands alone
# has more than the first, a sentence in a long noise is longer than the second.
MIN_SPEECH_SHARE, MIN_SPEECH_SECONDS = 0.1, 0.6


class NothingHeardError(Exception):
    """The question contains no speech."""


async def hear(recording: Recording, *, engine: SpeechToText, language: str, used: Used) -> Transcript:
    """Return the transcript of `recording`. A call that fails counts as usage, too. Raises ProviderError."""
    try:
        transcript = await engine.transcribe(recording, language=language)
    finally:
        used.hear(recording.seconds, engine=engine.name)
    return await without_phantom(transcript, recording)


async def without_phantom(transcript: Transcript, recording: Recording) -> Transcript:
    """Return `transcript`, or an empty one if the engine made it up because next to nobody speaks in `recording`."""
    if not phantoms.has_words(transcript.text):
        return Transcript("")
    if phantoms.is_doubtful(transcript.text) and await asyncio.to_thread(_is_faint, recording):
        return Transcript("")
    return transcript


def _is_faint(recording: Recording) -> bool:
    speech = measure_activity(resample(recording, sample_rate=SAMPLE_RATE))
    return speech.share < MIN_SPEECH_SHARE and speech.longest_seconds < MIN_SPEECH_SECONDS


def stored_question(turn: Turn) -> Recording:
    """Decode the stored question of `turn`. Raises RecordingMissingError."""
    return decode_stored(turn.question, sample_rate=QUESTION_SAMPLE_RATE, max_seconds=settings.MAX_QUESTION_SECONDS)
