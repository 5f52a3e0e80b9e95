"""Whose voice it is, what it was cloned from and where it lives."""

from __future__ import annotations

import re
import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.accounts.leases import SERVER_STOPPED, SERVER_STOPPED_MESSAGE, Leased
from apps.accounts.models import OwnedQuerySet
from apps.speech.base import PROVIDER_MESSAGES, VoiceSettings
from apps.voices.speech_settings import SpeechSetting, settings_of

VOICE_MESSAGES = {**PROVIDER_MESSAGES, SERVER_STOPPED: SERVER_STOPPED_MESSAGE}
TAG = re.compile(r"\[([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\]\Z")


def sample_path(sample: VoiceSample, _filename: str) -> str:
    """Name the stored sample ourselves: nothing of the client's file name is kept."""
    return f"samples/{sample.owner_id}/{uuid.uuid4().hex}.flac"


def tag_in(provider_name: str) -> uuid.UUID | None:
    """Return the id of the row that a voice was made for, from its name at the provider; None in another's voice."""
    match = TAG.search(provider_name)
    return uuid.UUID(match[1]) if match else None


class VoiceProfile(Leased):
    """A cloned voice of a user. It speaks only while it is ready."""

    class Provider(models.TextChoices):
        ELEVENLABS = "elevenlabs", _("ElevenLabs")
        LOCAL = "local", _("Embedded engine")

    class Status(models.TextChoices):
        PENDING = "pending", _("being cloned")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")
        DELETING = "deleting", _("being deleted")

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

    objects: ClassVar[OwnedQuerySet[VoiceProfile]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

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
        return str(VOICE_MESSAGES.get(self.error_code, ""))

    @property
    def sample_seconds(self) -> float:
        return sum(sample.seconds for sample in self.samples.all())


class VoiceTag(models.Model):
    """An id that was sent to a provider in the name of a voice, written down before.

    It outlives its voice: so what is left at the provider without one is told from the voices of other installations
    that share the account.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    provider = models.CharField(_("provider"), max_length=20, choices=VoiceProfile.Provider.choices)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("tag of a voice")

    def __str__(self) -> str:
        return str(self.pk)


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
