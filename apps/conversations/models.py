"""Conversations, their turns, the links that share an answer, and reports of abuse."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models.fields.files import FieldFile
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.conversations.languages import Language
from apps.core.errors import (
    RECORDING_MISSING,
    RECORDING_MISSING_MESSAGE,
    STORAGE_MESSAGE,
    STORAGE_UNAVAILABLE,
)
from apps.core.leases import SERVER_STOPPED, SERVER_STOPPED_MESSAGE, Leased
from apps.core.owned import OwnedQuerySet
from apps.speech.base import PROVIDER_MESSAGES, RECORDINGS_UNAVAILABLE
from apps.speech.providers.faults import RETRYABLE_CODES
from apps.voices.models import VoiceProfile

NOTHING_HEARD = "nothing_heard"
INTERNAL_ERROR = "internal_error"
TURN_STOPPED = "turn_stopped"
LISTENER_LEFT = "listener_left"
TURN_MESSAGES = {
    NOTHING_HEARD: _("No speech was found in this recording. Speak louder or closer to the microphone, and try again."),
    TURN_STOPPED: _("This turn was stopped before anything was spoken."),
    LISTENER_LEFT: _("The connection ended before this question was answered. Try again to get the answer."),
    STORAGE_UNAVAILABLE: STORAGE_MESSAGE,
    RECORDINGS_UNAVAILABLE: PROVIDER_MESSAGES[RECORDINGS_UNAVAILABLE],
    RECORDING_MISSING: RECORDING_MISSING_MESSAGE,
    SERVER_STOPPED: SERVER_STOPPED_MESSAGE,
    INTERNAL_ERROR: _("Something went wrong on this site. The conversation so far is kept. Try again."),
}
OWN_RETRYABLE_CODES = {INTERNAL_ERROR, STORAGE_UNAVAILABLE, RECORDINGS_UNAVAILABLE, SERVER_STOPPED, LISTENER_LEFT}


def question_path(turn: Turn, _filename: str) -> str:
    return f"questions/{turn.owner_id}/{uuid.uuid4().hex}.flac"


def answer_path(turn: Turn, _filename: str) -> str:
    return f"answers/{turn.owner_id}/{uuid.uuid4().hex}.flac"


def answer_mp3_path(turn: Turn, _filename: str) -> str:
    """Return a path next to the answer's, another each time: of two requests that make it, one deletes its own."""
    return f"{str(turn.answer.name).removesuffix('.flac')}-{uuid.uuid4().hex[:8]}.mp3"


class ConversationQuerySet(OwnedQuerySet["Conversation"]):
    def pinned(self) -> Self:
        """Return those that are pinned, the latest one first."""
        return self.filter(pinned_at__isnull=False).order_by("-pinned_at")


class Conversation(models.Model):
    """Turns that belong together. The persona tells the language model which role to play.

    An empty `language` means that each question is answered in its own; an empty `model` means the site's default.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Without an index of its own: those below begin with it.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="conversations", db_index=False, verbose_name=_("owner")
    )
    voice = models.ForeignKey(
        VoiceProfile, models.SET_NULL, null=True, blank=True, related_name="conversations", verbose_name=_("voice")
    )
    title = models.CharField(_("title"), max_length=120, blank=True)
    persona = models.TextField(_("persona"), max_length=2000, blank=True)
    language = models.CharField(_("language"), max_length=10, choices=Language.choices, blank=True)
    model = models.CharField(_("language model"), max_length=100, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("last turn"), auto_now=True)
    # Pinned conversations come first in the history, the latest one first of all.
    pinned_at = models.DateTimeField(_("pinned"), null=True, blank=True)

    objects: ClassVar[ConversationQuerySet] = ConversationQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("conversation")
        ordering = ["-updated_at"]
        indexes = [
            models.Index(fields=["owner", "-updated_at"], name="conversations_of_owner"),
            models.Index(fields=["owner", "-created_at"], name="conversations_of_owner_begun"),
            models.Index(
                fields=["owner", "-pinned_at"], name="conversations_pinned", condition=models.Q(pinned_at__isnull=False)
            ),
            # With the key, so that a deep page of the admin reads the index alone: see PagesByKey.
            models.Index(fields=["updated_at", "id"], name="conversations_by_last_turn"),
            models.Index(fields=["created_at"], name="conversations_begun"),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def pinned(self) -> bool:
        return self.pinned_at is not None


class Turn(Leased):
    """One question and its answer. Each stage is stored as soon as it is over, so that nothing paid for is lost."""

    class Status(models.TextChoices):
        RECEIVED = "received", _("received")
        HEARD = "heard", _("heard")
        ANSWERED = "answered", _("answered")
        SPOKEN = "spoken", _("spoken")
        FAILED = "failed", _("failed")
        INTERRUPTED = "interrupted", _("interrupted")

    class Stage(models.TextChoices):
        HEAR = "hear", _("hearing")
        THINK = "think", _("thinking")
        SPEAK = "speak", _("speaking")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("owner"))
    # Without an index of its own: those below begin with it.
    conversation = models.ForeignKey(
        Conversation, models.CASCADE, related_name="turns", db_index=False, verbose_name=_("conversation")
    )
    voice = models.ForeignKey(
        VoiceProfile, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("voice")
    )
    status = models.CharField(_("status"), max_length=20, choices=Status.choices, default=Status.RECEIVED)
    question = models.FileField(_("question"), upload_to=question_path, blank=True)
    question_seconds = models.FloatField(_("seconds of the question"), null=True, blank=True)
    transcript = models.TextField(_("transcript"), blank=True)
    language = models.CharField(_("language"), max_length=10, blank=True)
    reply = models.TextField(_("reply"), blank=True)
    # The part of the reply that was heard before an interruption, or spoken before the voice failed; else "".
    spoken_text = models.TextField(_("spoken part of the reply"), blank=True)
    # How much of the answer's sound was heard before an interruption. An answer with a whole reply goes on there.
    heard_seconds = models.FloatField(_("heard seconds of the answer"), null=True, blank=True)
    stop_requested = models.BooleanField(_("stop requested"), default=False)
    answer = models.FileField(_("answer"), upload_to=answer_path, blank=True)
    # A copy as MP3, made on the first request and kept: signing it again would give other bytes.
    answer_mp3 = models.FileField(_("answer as MP3"), upload_to=answer_mp3_path, blank=True)
    answer_seconds = models.FloatField(_("seconds of the answer"), null=True, blank=True)
    # The stage that failed, or that an interruption ended; "" if all stages were complete.
    failed_stage = models.CharField(_("failed stage"), max_length=10, choices=Stage.choices, blank=True)
    error_code = models.CharField(_("error code"), max_length=50, blank=True)
    # The ids that providers gave to the calls of the turn, by stage: what their support asks for.
    request_ids = models.JSONField(_("request ids of the providers"), default=dict, blank=True)
    # The name of the engine that heard the question, or failed to; "" of a question that was typed.
    heard_by = models.CharField(_("heard by"), max_length=20, blank=True, default="", db_default="")
    heard_ms = models.PositiveIntegerField(_("heard after (ms)"), null=True, blank=True)
    first_word_ms = models.PositiveIntegerField(_("first word after (ms)"), null=True, blank=True)
    first_audio_ms = models.PositiveIntegerField(_("first audio after (ms)"), null=True, blank=True)
    total_ms = models.PositiveIntegerField(_("finished after (ms)"), null=True, blank=True)
    # The turn that asks again what this one, or one before it, had asked. Only turns without one are remembered.
    replaced_by = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="replaced", verbose_name=_("asked again as")
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    # Set by the page of a conversation: the turns whose place this one has taken, oldest first.
    earlier_versions: list[Turn]

    objects: ClassVar[OwnedQuerySet[Turn]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("turn")
        ordering = ["created_at"]
        indexes = [
            models.Index(fields=["conversation", "created_at"]),
            models.Index(fields=["status", "lease_until"], name="turns_left_behind"),
            # With what the figures of a day count, so that these read the index alone.
            models.Index(
                fields=["created_at", "id", "status", "failed_stage", "error_code", "first_audio_ms"],
                name="turns_by_time",
            ),
            models.Index(fields=["error_code", "created_at"], name="turns_by_error"),
            models.Index(fields=["heard_by", "created_at"], name="turns_by_hearing"),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def has_question(self) -> bool:
        return bool(self.question)

    @property
    def has_answer(self) -> bool:
        return bool(self.answer)

    @property
    def recordings(self) -> list[FieldFile]:
        """All files that belong to the turn."""
        return [file for file in (getattr(self, name) for name in SOUND_FIELDS) if file]

    @property
    def remembered_reply(self) -> str:
        """The reply as the language model sees it in later turns; of an interrupted one, the part that was heard."""
        return self.spoken_text if self.status == self.Status.INTERRUPTED else self.reply

    @property
    def timings(self) -> dict[str, int | None]:
        """Milliseconds since the turn began; None for an event that has not happened."""
        return {
            "heard_ms": self.heard_ms,
            "first_word_ms": self.first_word_ms,
            "first_audio_ms": self.first_audio_ms,
            "total_ms": self.total_ms,
        }

    @property
    def error_message(self) -> str:
        return str({**PROVIDER_MESSAGES, **TURN_MESSAGES}.get(self.error_code, ""))

    @property
    def retryable(self) -> bool:
        """Whether another attempt may succeed."""
        return self.error_code in RETRYABLE_CODES | OWN_RETRYABLE_CODES and self.is_asked

    @property
    def is_asked(self) -> bool:
        """Whether anything of the question is left. Neither its sound nor its words may be, after a fault of both."""
        return bool(self.transcript or self.question)

    @property
    def error(self) -> dict[str, Any] | None:
        """The error in the shape of the API's errors, with the stage that failed."""
        if self.status != self.Status.FAILED:
            return None
        return {
            "stage": self.failed_stage,
            "code": self.error_code,
            "message": self.error_message,
            "retryable": self.retryable,
        }


SOUND_FIELDS = ("question", "answer", "answer_mp3")
RUNNING = (Turn.Status.RECEIVED, Turn.Status.HEARD, Turn.Status.ANSWERED)
UNFINISHED = (Turn.Status.FAILED, Turn.Status.INTERRUPTED)


class ShareQuerySet(OwnedQuerySet["Share"]):
    def unexpired(self) -> Self:
        return self.filter(expires_at__gt=timezone.now())


class Share(models.Model):
    """A link with which anybody can hear one answer until it expires or is revoked, which deletes the row.

    Only the hash of its secret is stored, so that a copy of the database opens no link.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="shares", verbose_name=_("owner"))
    turn = models.ForeignKey(Turn, models.CASCADE, related_name="shares", verbose_name=_("turn"))
    digest = models.CharField(_("SHA-256 of the secret"), max_length=64, unique=True, editable=False)
    with_text = models.BooleanField(_("shows the words"), default=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires"), db_index=True)

    objects: ClassVar[ShareQuerySet] = ShareQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("shared link")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def can_be_heard(self) -> bool:
        """Whether the link works: not after its end, and only while the turn's voice may speak."""
        turn = self.turn
        may_speak = turn.has_answer and turn.voice is not None and turn.voice.can_speak and self.owner.is_active
        return may_speak and timezone.now() < self.expires_at


def report_path(_report: AbuseReport, _filename: str) -> str:
    """Return a random path with an extension that no program opens; the client's file name is not used."""
    return f"reports/{uuid.uuid4().hex}.bin"


class AbuseReport(models.Model):
    """A message to the operator about a voice or a recording, from anybody, signed in or not.

    `turn` and `voice` have an id that the report contains, if any; the reporter does not learn whether they exist.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    about = models.CharField(_("subject"), max_length=500, blank=True)
    text = models.TextField(_("description"), max_length=4000)
    contact = models.EmailField(_("email address"), blank=True)
    file = models.FileField(_("file"), upload_to=report_path, blank=True)
    turn = models.ForeignKey(
        Turn, models.SET_NULL, null=True, blank=True, related_name="reports", verbose_name=_("turn")
    )
    voice = models.ForeignKey(
        VoiceProfile, models.SET_NULL, null=True, blank=True, related_name="reports", verbose_name=_("voice")
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    handled_at = models.DateTimeField(_("handled"), null=True, blank=True)

    class Meta:
        verbose_name = _("report of abuse")
        verbose_name_plural = _("reports of abuse")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.reference

    @property
    def reference(self) -> str:
        """The short name that the reporter and the operator use."""
        return self.pk.hex[:8].upper()
