"""Whose voice it is, what it was cloned from and where it lives."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core.leases import SERVER_STOPPED, SERVER_STOPPED_MESSAGE, Leased
from apps.core.owned import OwnedQuerySet
from apps.speech.base import PROVIDER_MESSAGES, VoiceSettings
from apps.voices.speech_settings import SpeechSetting, settings_of

VOICE_MESSAGES = {**PROVIDER_MESSAGES, SERVER_STOPPED: SERVER_STOPPED_MESSAGE}
TAG = re.compile(r"\[([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\]\Z")


def sample_path(sample: VoiceSample, _filename: str) -> str:
    """Name the stored sample ourselves: nothing of the client's file name is kept."""
    return f"samples/{sample.owner_id}/{uuid.uuid4().hex}.flac"


def clip_path(consent: Consent, _filename: str) -> str:
    return f"consents/{consent.owner_id}/{uuid.uuid4().hex}.flac"


def tag_in(provider_name: str) -> uuid.UUID | None:
    """Return the id of the row that a voice was made for, from its name at the provider; None in another's voice."""
    match = TAG.search(provider_name)
    return uuid.UUID(match[1]) if match else None


class VoiceQuerySet(OwnedQuerySet["VoiceProfile"]):
    def that_speak(self) -> Self:
        """Return the voices that can speak now."""
        valid = {"consent__withdrawn_at": None, "consent__valid_until__gt": timezone.now()}
        return self.filter(status=VoiceProfile.Status.READY, suspended_at=None, **valid)


class VoiceManager(models.Manager["VoiceProfile"]):
    """Reads each voice together with its consent, which is looked at before every word."""

    def get_queryset(self) -> models.QuerySet[VoiceProfile]:
        return super().get_queryset().select_related("consent")


OwnedVoiceManager = VoiceManager.from_queryset(VoiceQuerySet)


class VoiceProfile(Leased):
    """A cloned voice of a user. It speaks only while it is ready, not suspended, and its consent is valid."""

    class Provider(models.TextChoices):
        ELEVENLABS = "elevenlabs", _("ElevenLabs")
        LOCAL = "local", _("Embedded engine")

    class Status(models.TextChoices):
        PENDING = "pending", _("being cloned")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")
        DELETING = "deleting", _("being deleted")

    class Suspension(models.TextChoices):
        OPERATOR = "operator", _("by the operator")
        ERASURE = "erasure", _("while the account is being deleted")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="voices", verbose_name=_("owner"))
    consent = models.ForeignKey("Consent", models.PROTECT, related_name="voices", verbose_name=_("consent"))
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
    suspended_at = models.DateTimeField(_("suspended"), null=True, blank=True)
    suspended_by = models.CharField(_("suspended by"), max_length=10, choices=Suspension.choices, blank=True)
    suspension_note = models.CharField(_("what its owner is told"), max_length=300, blank=True)
    # When its owner was told that it is going to be deleted, because it had not spoken for long.
    idle_notice_at = models.DateTimeField(_("end announced"), null=True, blank=True)

    objects: ClassVar[VoiceQuerySet] = OwnedVoiceManager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("voice")
        base_manager_name = "objects"
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["status", "lease_until"], name="voices_left_behind")]
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
        return self.status == self.Status.READY and self.suspended_at is None and self.consent.is_valid

    @property
    def suspension_message(self) -> str:
        """Why the voice is suspended and whom to ask, for its owner; "" where it is not."""
        if self.suspended_at is None:
            return ""
        if self.suspended_by == self.Suspension.ERASURE:
            return gettext("This voice cannot speak: its account is being deleted.")
        whom = settings.OPERATOR_EMAIL or gettext("the operator of this site")
        text = gettext("The operator of this site has suspended this voice. Ask %(whom)s.") % {"whom": whom}
        return f"{text} {self.suspension_note}".strip()

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
    # Of its least similar part to the clip of the consent, from -1 to 1; None where the consent has no clip.
    speaker_similarity = models.FloatField(_("similarity to the consent's speaker"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects: ClassVar[OwnedQuerySet[VoiceSample]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("voice sample")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.voice}: {self.seconds:.0f} s"


class ConsentChallenge(models.Model):
    """A statement that somebody is to read aloud, once and soon. Nobody can have recorded its code words before."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("owner"))
    statement = models.TextField(_("statement"))
    statement_version = models.CharField(_("version of the statement"), max_length=20)
    language = models.CharField(_("language"), max_length=10)
    purpose = models.TextField(_("purpose"))
    code_words = models.JSONField(_("code words"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"))
    used_at = models.DateTimeField(_("used"), null=True, blank=True)

    objects: ClassVar[OwnedQuerySet[ConsentChallenge]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("consent challenge")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.owner}: {self.created_at:%Y-%m-%d %H:%M}"


class ImmutableError(TypeError):
    """Somebody tries to change what was consented to."""


class ConsentQuerySet(OwnedQuerySet["Consent"]):
    def valid(self) -> ConsentQuerySet:
        """Return the consents that voices can be made and speak with now."""
        return self.filter(withdrawn_at=None, valid_until__gt=timezone.now())

    def update(self, **changes: Any) -> int:
        """Withdraw, or take out what names the person. A trigger in the database sees to the same."""
        for name, value in changes.items():
            if name != "withdrawn_at" and Consent.ERASED.get(name, ...) != value:
                message = f"A consent cannot be changed: {name}"
                raise ImmutableError(message)
        return super().update(**changes)


class Consent(models.Model):
    """What a person allowed, when and how that is known: written once, and withdrawn at most once.

    The minimal proof, which is kept until `retain_until` even where the person's account is erased, is every column
    but those of ERASED: they name the person or hold their voice, and erasure empties them (`update(**ERASED)`). The
    hash tells later whether a clip that somebody presents is the one that was judged here.
    """

    class Method(models.TextChoices):
        SPOKEN = "spoken", _("spoken")
        ATTESTED = "attested", _("attested without a recording")
        NONE = "none", _("none: the voice is older than consents")

    ERASED = {"owner": None, "statement": "", "transcript": "", "clip": ""}

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="consents", verbose_name=_("owner")
    )
    method = models.CharField(_("method"), max_length=10, choices=Method.choices)
    statement = models.TextField(_("statement"), blank=True)
    statement_version = models.CharField(_("version of the statement"), max_length=20, blank=True)
    language = models.CharField(_("language"), max_length=10, blank=True)
    purpose = models.TextField(_("purpose"), blank=True)
    clip = models.FileField(_("recording"), upload_to=clip_path, blank=True)
    seconds = models.FloatField(_("seconds"), null=True, blank=True)
    sha256 = models.CharField(_("SHA-256 of the recording"), max_length=64, blank=True)
    transcript = models.TextField(_("transcript"), blank=True)
    word_error = models.FloatField(_("word error"), null=True, blank=True)
    given_at = models.DateTimeField(_("given"))
    valid_until = models.DateTimeField(_("valid until"))
    retain_until = models.DateTimeField(_("kept until"))
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True, blank=True)

    objects: ClassVar[ConsentQuerySet] = ConsentQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("consent")
        base_manager_name = "objects"
        ordering = ["-given_at"]

    def __str__(self) -> str:
        return f"{self.get_method_display()}, {self.given_at:%Y-%m-%d}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise ImmutableError("A consent cannot be changed")
        super().save(*args, **kwargs)

    @property
    def is_valid(self) -> bool:
        return self.withdrawn_at is None and timezone.now() < self.valid_until

    @property
    def has_clip(self) -> bool:
        return bool(self.clip)
