"""Suspensions: the operator stops a voice from speaking, and lets it speak again."""

from __future__ import annotations

import logging
from typing import Any

from django.utils import timezone

from apps.accounts.models import User
from apps.voices.models import VoiceProfile

logger = logging.getLogger(__name__)

NOT_SUSPENDED: dict[str, Any] = {"suspended_at": None, "suspended_by": "", "suspension_note": ""}


def suspend_voice(*, voice: VoiceProfile, note: str = "", by: User | None = None) -> None:
    """Stop the voice from speaking anywhere; running turns end within a second. `note` is shown to the owner."""
    suspension = {
        "suspended_at": timezone.now(),
        "suspended_by": VoiceProfile.Suspension.OPERATOR,
        "suspension_note": note,
    }
    VoiceProfile.objects.filter(pk=voice.pk).update(**suspension, is_default=False)
    logger.warning("Voice suspended", extra={"voice": str(voice.pk), "user": voice.owner_id, "by": by and by.pk})


def end_suspension(*, voice: VoiceProfile, by: User | None = None) -> bool:
    """End a suspension by the operator. Return False if there is none."""
    suspended = VoiceProfile.objects.filter(pk=voice.pk, suspended_by=VoiceProfile.Suspension.OPERATOR)
    if not suspended.update(**NOT_SUSPENDED):
        return False
    extra = {"voice": str(voice.pk), "user": voice.owner_id, "by": by and by.pk}
    logger.warning("Voice no longer suspended", extra=extra)
    return True
