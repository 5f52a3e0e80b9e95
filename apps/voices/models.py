"""Cloned voices, the samples that they were cloned from, and the consents that allow it."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core.leases import SERVER_STOPPED, SERVER_STOPPED_MESSAGE, Leased
from apps.core.owned import OwnedQuerySet
from apps.speech.base import PROVIDER_MESSAGES, VoiceSettings
from apps.voices.speech_settings import SpeechSetting, settings_of

VOICE_MESSAGES = {**PROVIDER_MESSAGES, SERVER_STOPPED: SERVER_STOPPED_MESSAGE}
TAG_PATTERN = re.compile(r"\[([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\]\Z")


def sample_path(sample: VoiceSample, _filename: str) -> str:
    """Return a path that contains nothing of the client's file name."""
    return f"samples/{sample.owner_id}/{uuid.uuid4().hex}.flac"


def clip_path(consent: Consent, _filename: str) -> str:
    return f"consents/{consent.owner_id}/{uuid.uuid4().hex}.flac"


def new_voice_id() -> uuid.UUID:
    """Return a random id that `is_made_here` recognises, also after its row is lost."""
    return _signed_id(uuid.uuid4().bytes[:8], settings.SECRET_KEY)


def is_made_here(voice_pk: uuid.UUID) -> bool:
    """Whether this id of a voice was made with the SECRET_KEY of this installation."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return any(voice_pk == _signed_id(voice_pk.bytes[:8], key) for key in keys)


def _signed_id(first_half: bytes, key: str | bytes) -> uuid.UUID:
    signature = salted_hmac("apps.voices.models.new_voice_id", first_half, secret=key, algorithm="sha256").digest()
    return uuid.UUID(bytes=first_half + signature[:8], version=4)


def tag_in(provider_name: str) -> uuid.UUID | None:
    """Return the row's id in the name of a voice at its provider, or None if the name has no id."""
    match = TAG_PATTERN.search(provider_name)
    return uuid.UUID(match[1]) if match else None


class VoiceQuerySet(OwnedQuerySet["VoiceProfile"]):
    def that_speak(self) -> Self:
        """Return the voices that can speak now: the condition of `VoiceProfile.can_speak` as a query."""
        valid = {"consent__withdrawn_at": None, "consent__valid_until__gt": timezone.now()}
        return self.filter(status=VoiceProfile.Status.READY, suspended_at=None, **valid)


class VoiceManager(models.Manager["VoiceProfile"]):
    """Joins the consent, because `can_speak` needs it."""

    def get_queryset(self) -> models.QuerySet[VoiceProfile]:
        return super().get_queryset().select_related("consent")


OwnedVoiceManager = VoiceManager.from_queryset(VoiceQuerySet)


class VoiceProfile(Leased):
    """A cloned voice of a user. It speaks only while it is ready, not suspended, and its consent is valid."""

    class Provider(models.TextChoices):
        ELEVENLABS = "elevenlabs", _("ElevenLabs")
        SERVER = "server", _("Voice server")
        POCKET = "pocket", _("Pocket TTS (experimental)")
        LOCAL = "local", _("Embedded engine")

    class Status(models.TextChoices):
        PENDING = "pending", _("being cloned")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")
        DELETING = "deleting", _("being deleted")

    class Suspension(models.TextChoices):
        OPERATOR = "operator", _("by the operator")
        ERASURE = "erasure", _("while the account is being deleted")

    id = models.UUIDField(primary_key=True, default=new_voice_id, editable=False)
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
    suspension_note = models.CharField(_("note for the owner"), max_length=300, blank=True)
    # By this voice, ever. To add up the records of usage would take seconds for a list of voices.
    spoken_characters = models.PositiveBigIntegerField(_("characters spoken"), default=0)
    # As of the latest look into the list of the provider's voices; None before the first one.
    checked_at = models.DateTimeField(_("checked at the provider"), null=True, blank=True)
    is_missing = models.BooleanField(_("missing at the provider"), default=False)
    # The time at which the owner was told that the idle voice will be deleted.
    idle_notice_at = models.DateTimeField(_("deletion announced"), null=True, blank=True)

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
        """The reason for the suspension and a contact, for the owner; "" if the voice is not suspended."""
        if self.suspended_at is None:
            return ""
        if self.suspended_by == self.Suspension.ERASURE:
            return gettext("This voice cannot speak: its account is being deleted.")
        contact = settings.OPERATOR_EMAIL or gettext("the operator of this site")
        text = gettext("The operator of this site has suspended this voice. Contact %(contact)s.") % {
            "contact": contact
        }
        return f"{text} {self.suspension_note}".strip()

    @property
    def last_activity_at(self) -> datetime:
        """The time at which the voice last spoke, or else was created."""
        return self.last_used_at or self.created_at

    @property
    def deletion_due_at(self) -> datetime | None:
        """The time at which the idle voice is deleted unless it speaks before; None if its owner was not told."""
        if not settings.RETENTION_DAYS or self.idle_notice_at is None or self.idle_notice_at < self.last_activity_at:
            return None
        after_notice = self.idle_notice_at + timedelta(days=settings.RETENTION_NOTICE_DAYS)
        return max(self.last_activity_at + timedelta(days=settings.RETENTION_DAYS), after_notice)

    @property
    def speech_settings(self) -> VoiceSettings:
        return VoiceSettings(**self.settings)

    @property
    def sliders(self) -> list[tuple[SpeechSetting, float]]:
        """Each setting that affects this voice, with its current value."""
        return [(setting, self.settings.get(setting.name, setting.default)) for setting in settings_of(self.provider)]

    @property
    def provider_name(self) -> str:
        """The name at the provider, with the row's id, in case the row was never updated with the provider's id."""
        return f"{self.name} [{self.id}]"

    @property
    def error_message(self) -> str:
        return str(VOICE_MESSAGES.get(self.error_code, ""))

    @property
    def sample_seconds(self) -> float:
        return sum(sample.seconds for sample in self.samples.all())


class VoiceTag(models.Model):
    """The id of a voice, stored before it is sent to a provider as part of the voice's name.

    It outlives the voice: it distinguishes abandoned voices at the provider from the voices of other installations that
    share the account.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    provider = models.CharField(_("provider"), max_length=20, choices=VoiceProfile.Provider.choices)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("voice tag")

    def __str__(self) -> str:
        return str(self.pk)


class VoiceSample(models.Model):
    """A recording that a voice was cloned from, stored as FLAC. Levels are in dBFS."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("owner"))
    voice = models.ForeignKey(VoiceProfile, models.CASCADE, related_name="samples", verbose_name=_("voice"))
    file = models.FileField(_("recording"), upload_to=sample_path)
    seconds = models.FloatField(_("seconds"))
    rms_db = models.FloatField(_("loudness (dB RMS)"))
    peak_db = models.FloatField(_("peak (dB)"))
    sha256 = models.CharField(_("SHA-256 of the upload"), max_length=64)
    # Cosine, from -1 to 1, between its least similar segment and the clip of the consent; None without a clip.
    speaker_similarity = models.FloatField(_("similarity to the consent's speaker"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects: ClassVar[OwnedQuerySet[VoiceSample]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("voice sample")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.voice}: {self.seconds:.0f} s"


class ConsentChallenge(models.Model):
    """A statement to read aloud once, before it expires. Random code words rule out an old recording."""

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
    """Raised by an attempt to change a stored consent."""


class ConsentQuerySet(OwnedQuerySet["Consent"]):
    def valid(self) -> ConsentQuerySet:
        """Return the consents that currently allow voices to be cloned and to speak."""
        return self.filter(withdrawn_at=None, valid_until__gt=timezone.now())

    def update(self, **changes: Any) -> int:
        """Withdraw or erase consents. Raises ImmutableError for other changes; a database trigger rejects them too."""
        for name, value in changes.items():
            if name != "withdrawn_at" and Consent.ERASED.get(name, ...) != value:
                message = f"A consent cannot be changed: {name}"
                raise ImmutableError(message)
        return super().update(**changes)


class Consent(models.Model):
    """A person's permission and its evidence: written once, and withdrawn at most once.

    The columns in ERASED name the person or hold their voice; erasure empties them (`update(**ERASED)`). All other
    columns are the minimal proof, which is kept until `retain_until` even if the account is erased. With the hash, a
    clip that is presented later can be compared with the verified one.
    """

    class Method(models.TextChoices):
        SPOKEN = "spoken", _("spoken")
        ATTESTED = "attested", _("attested without a recording")

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
