"""Whose voice it is, what it was cloned from and where it lives."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import OwnedQuerySet
from apps.speech.base import PROVIDER_MESSAGES, VoiceSettings
from apps.voices.speech_settings import SpeechSetting, settings_of


def sample_path(sample: VoiceSample, _filename: str) -> str:
    """Name the stored sample ourselves: nothing of the client's file name is kept."""
    return f"samples/{sample.owner_id}/{uuid.uuid4().hex}.flac"


class VoiceQuerySet(OwnedQuerySet["VoiceProfile"]):
    def that_speak(self) -> Self:
        """Return the voices that can speak now."""
        return self.filter(status=VoiceProfile.Status.READY, silenced_at=None)


class VoiceProfile(models.Model):
    """A cloned voice of a user. It speaks only while it is ready, and not silenced."""

    class Provider(models.TextChoices):
        ELEVENLABS = "elevenlabs", _("ElevenLabs")
        LOCAL = "local", _("Embedded engine")

    class Status(models.TextChoices):
        PENDING = "pending", _("being cloned")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")
        DELETING = "deleting", _("being deleted")

    class Silence(models.TextChoices):
        OPERATOR = "operator", _("by the operator")
        ERASURE = "erasure", _("while the account is being deleted")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="voices", verbose_name=_("owner"))
    name = models.CharField(_("name"), max_length=60)
    provider = models.CharField(_("provider"), max_length=20, choices=Provider.choices)
    voice_id = models.CharField(_("voice id"), max_length=100, blank=True)
    status = models.CharField(_("status"), max_length=20, choices=Status.choices, default=Status.PENDING)
    error_code = models.CharField(_("error code"), max_length=50, blank=True)
    settings = models.JSONField(_("settings"), default=dict, blank=True)
    is_default = models.BooleanField(_("default voice"), default=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    silenced_at = models.DateTimeField(_("silenced"), null=True, blank=True)
    silenced_by = models.CharField(_("silenced how"), max_length=10, choices=Silence.choices, blank=True)
    silence_note = models.CharField(_("what its owner is told"), max_length=300, blank=True)
    # When its owner was told that it is going to be deleted, because it had not spoken for long.
    idle_notice_at = models.DateTimeField(_("end announced"), null=True, blank=True)

    objects: ClassVar[VoiceQuerySet] = VoiceQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("voice")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["owner"], condition=models.Q(is_default=True), name="one_default_voice"),
            models.UniqueConstraint(
                fields=["provider", "voice_id"], condition=~models.Q(voice_id=""), name="one_row_per_voice"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def can_speak(self) -> bool:
        return self.status == self.Status.READY and self.silenced_at is None

    @property
    def silence_message(self) -> str:
        """Why the voice is silenced and whom to ask, for its owner; "" where it is not."""
        if self.silenced_at is None:
            return ""
        if self.silenced_by == self.Silence.ERASURE:
            return gettext("This voice can not speak: its account is being deleted.")
        whom = settings.OPERATOR_EMAIL or gettext("the operator of this site")
        text = gettext("The operator of this site has silenced this voice. Ask %(whom)s.") % {"whom": whom}
        return f"{text} {self.silence_note}".strip()

    @property
    def used_at(self) -> datetime:
        """When it last spoke, or else was made."""
        return self.last_used_at or self.created_at

    @property
    def deleted_on(self) -> datetime | None:
        """When the voice goes unless it speaks before, where its owner was told so."""
        if not settings.RETENTION_DAYS or self.idle_notice_at is None or self.idle_notice_at < self.used_at:
            return None
        after_notice = self.idle_notice_at + timedelta(days=settings.RETENTION_NOTICE_DAYS)
        return max(self.used_at + timedelta(days=settings.RETENTION_DAYS), after_notice)

    @property
    def speech_settings(self) -> VoiceSettings:
        return VoiceSettings(**self.settings)

    @property
    def sliders(self) -> list[tuple[SpeechSetting, float]]:
        """Each setting that changes anything with this voice, and its value now."""
        return [(setting, self.settings.get(setting.name, setting.default)) for setting in settings_of(self.provider)]

    @property
    def provider_name(self) -> str:
        """The name at the provider. The row's id in it tells whose a voice is, should its row have missed its birth."""
        return f"{self.name} [{self.id}]"

    @property
    def error_message(self) -> str:
        return str(PROVIDER_MESSAGES.get(self.error_code, ""))

    @property
    def sample_seconds(self) -> float:
        return sum(sample.seconds for sample in self.samples.all())


class VoiceSample(models.Model):
    """A recording that a voice was cloned from, kept as FLAC. Levels are in dBFS."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("owner"))
    voice = models.ForeignKey(VoiceProfile, models.CASCADE, related_name="samples", verbose_name=_("voice"))
    file = models.FileField(_("recording"), upload_to=sample_path)
    seconds = models.FloatField(_("seconds"))
    rms_db = models.FloatField(_("loudness (dB RMS)"))
    peak_db = models.FloatField(_("peak (dB)"))
    sha256 = models.CharField(_("SHA-256 of the upload"), max_length=64)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects: ClassVar[OwnedQuerySet[VoiceSample]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("voice sample")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.voice}: {self.seconds:.0f} s"
