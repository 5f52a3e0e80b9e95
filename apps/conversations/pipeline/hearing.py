"""The first stage of a turn: from the recording of a question to its transcript."""

from __future__ import annotations

from django.conf import settings

from apps.conversations.models import Turn
from apps.core.recordings import decode_stored
from apps.speech.base import Recording, SpeechToText, Transcript
from apps.usage.metering import Used

QUESTION_SAMPLE_RATE = 16_000


class NothingHeardError(Exception):
    """The question contains no speech."""


async def hear(recording: Recording, *, engine: SpeechToText, language: str, used: Used) -> Transcript:
    """Return the transcript of `recording`. A call that fails counts as usage, too. Raises ProviderError."""
    try:
        return await engine.transcribe(recording, language=language)
    finally:
        used.hear(recording.seconds, engine=engine.name)


def stored_question(turn: Turn) -> Recording:
    """Decode the stored question of `turn`. Raises RecordingMissingError."""
    return decode_stored(turn.question, sample_rate=QUESTION_SAMPLE_RATE, max_seconds=settings.MAX_QUESTION_SECONDS)
