"""Rows for tests, as they are after what the tests are not about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.files.base import ContentFile

from apps.conversations.models import Conversation, Turn
from apps.speech.audio import to_flac
from apps.voices.models import VoiceProfile, VoiceSample
from tests.audio_samples import clip

if TYPE_CHECKING:
    from apps.accounts.models import User

SAMPLE_SECONDS = clip("austen-0870.wav").seconds
SAMPLE = to_flac(clip("austen-0870.wav"))
SOUND = to_flac(clip("austen-0880.wav"))


def make_voice(owner: User, voice_id: str, **values: Any) -> VoiceProfile:
    """Return a voice that is ready, with one sample."""
    defaults = {"name": "Jane", "provider": VoiceProfile.Provider.ELEVENLABS, "status": VoiceProfile.Status.READY}
    voice = VoiceProfile.objects.create(owner=owner, voice_id=voice_id, **defaults | values)
    file = ContentFile(SAMPLE, name="sample.flac")
    VoiceSample.objects.create(
        owner=owner, voice=voice, file=file, seconds=SAMPLE_SECONDS, rms_db=-25, peak_db=-5, sha256="0" * 64
    )
    return voice


def make_turn(conversation: Conversation, **values: Any) -> Turn:
    """Return a turn that is over, with its recordings."""
    defaults = {
        "status": Turn.Status.SPOKEN,
        "transcript": "What is the capital of France?",
        "reply": "Paris.",
        "question": ContentFile(SOUND, name="question.flac"),
        "answer": ContentFile(SOUND, name="answer.flac"),
        "total_ms": 1200,
    }
    owner = conversation.owner
    return Turn.objects.create(owner=owner, conversation=conversation, voice=conversation.voice, **defaults | values)
