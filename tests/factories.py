"""Rows for tests, as they are after what the tests are not about."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.files.base import ContentFile
from django.utils import timezone

from apps.accounts.models import User
from apps.conversations.models import Conversation, Turn
from apps.speech.audio.flac import to_flac
from apps.speech.audio.resampling import join
from apps.voices.models import Consent, VoiceProfile, VoiceSample
from tests.audio_samples import clip

SAMPLE_SECONDS = clip("austen-0870.wav").seconds
SAMPLE = to_flac(clip("austen-0870.wav"))
CONSENT_CLIP = to_flac(join([clip("austen-0920.wav"), clip("austen-0930.wav")]))
STATEMENT = "I allow this."
SOUND = to_flac(clip("austen-0880.wav"))


def make_administrator(user: User | None = None) -> User:
    """Return a superuser with a second factor, as the admin requires: `user`, or a new one."""
    user = user or User.objects.create_user("root", "root@example.org")
    user.is_staff = user.is_superuser = True
    user.save()
    if not Authenticator.objects.filter(user=user).exists():
        TOTP.activate(user, generate_totp_secret())
    return user


def make_consent(owner: User, **values: Any) -> Consent:
    """Return a spoken consent of the reader of the clips, given now."""
    now = timezone.now()
    defaults: dict[str, Any] = {
        "method": Consent.Method.SPOKEN,
        "statement": STATEMENT,
        "statement_version": "test",
        "language": "en",
        "clip": ContentFile(CONSENT_CLIP, name="clip.flac"),
        "seconds": 9.5,
        "sha256": hashlib.sha256(CONSENT_CLIP).hexdigest(),
        "transcript": STATEMENT,
        "word_error": 0.0,
        "given_at": now,
        "valid_until": now + timedelta(days=365),
        "retain_until": now + timedelta(days=1000),
    }
    return Consent.objects.create(owner=owner, **defaults | values)


def consent_of(owner: User) -> Consent:
    """Return the latest consent of `owner`, made where there is none."""
    return Consent.objects.for_user(owner).first() or make_consent(owner)


def make_voice(owner: User, voice_id: str, **values: Any) -> VoiceProfile:
    """Return a voice that is ready, with one sample and the owner's consent."""
    defaults = {
        "name": "Jane",
        "provider": VoiceProfile.Provider.ELEVENLABS,
        "status": VoiceProfile.Status.READY,
        "consent": values.get("consent") or consent_of(owner),
    }
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
