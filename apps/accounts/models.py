"""Who you are, who may become somebody, and how a program proves that it acts for you."""

from __future__ import annotations

import base64
import hashlib
import secrets
import uuid
from typing import ClassVar, Self, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AbstractUser, AnonymousUser
from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

SECRET_BYTES = 32
# NIST SP 800-63B-4, 3.1.1.2: the least that is safe without a second factor.
SAFE_PASSWORD_CHARACTERS = 15

Row = TypeVar("Row", bound=models.Model)


class User(AbstractUser):
    """A person with an account. Our own model from the first migration, since it can not be exchanged later."""

    has_short_password = models.BooleanField(
        _("short password"),
        default=False,
        editable=False,
        help_text=_("Shorter than is safe without a second factor, which therefore can not be switched off."),
    )

    def set_password(self, raw_password: str | None) -> None:
        super().set_password(raw_password)
        self.has_short_password = raw_password is not None and len(raw_password) < SAFE_PASSWORD_CHARACTERS


class OwnedQuerySet(models.QuerySet[Row]):
    """Rows that belong to a user; every query for a request goes through `for_user`."""

    def for_user(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Return what `user` owns: nothing at all where nobody is signed in."""
        return self.filter(owner_id=user.pk) if user.is_authenticated else self.none()


def digest_of(secret: str) -> str:
    """Return what is stored of a secret. A plain hash is enough: nobody can guess 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Scope(models.TextChoices):
    """What a token may be used for. `apps.accounts.permissions` tells what each opens."""

    READ = "read", _("Read voices, conversations and recordings")
    TALK = "talk", _("Talk: conversations, speech to text, text to speech")
    VOICES = "voices", _("Make, change and delete voices")
    WEBHOOKS = "webhooks", _("Make, change and delete webhooks")


def all_scopes() -> list[str]:
    """Return every scope, as tokens have them that were made without a choice."""
    return list(Scope.values)


class ApiTokenQuerySet(OwnedQuerySet["ApiToken"]):
    def not_revoked(self) -> Self:
        """Return the tokens that their owner has not given up, expired ones too."""
        return self.filter(revoked_at=None)

    def with_secret(self, secret: str) -> Self:
        """Return the one token that `secret` is, in whatever state, or none."""
        return self.filter(digest=digest_of(secret))


class ApiToken(models.Model):
    """A key for programs. Only its hash is stored, so that a copy of the database opens nothing."""

    owner = models.ForeignKey(User, models.CASCADE, related_name="api_tokens", verbose_name=_("owner"))
    name = models.CharField(_("name"), max_length=60)
    digest = models.CharField(_("SHA-256 of the token"), max_length=64, unique=True, editable=False)
    scopes = models.JSONField(_("scopes"), default=all_scopes)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    objects: ClassVar[ApiTokenQuerySet] = ApiTokenQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("API token")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def refusal(self) -> str:
        """Return why the token opens nothing any more, for the log; empty where it does."""
        if self.revoked_at is not None:
            return "revoked"
        if self.is_expired:
            return "expired"
        return "" if self.owner.is_active else "owner inactive"

    @staticmethod
    def new_secret() -> str:
        """Return a random token, with a prefix by which scanners of leaked secrets can tell what it is."""
        return f"vc_{secrets.token_urlsafe(SECRET_BYTES)}"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def usable(self) -> Self:
        """Return the invitations that somebody can still sign up with."""
        return self.filter(accepted_at=None, expires_at__gt=timezone.now())


class Invitation(models.Model):
    """Lets one person sign up, once, where registration is by invitation. Only the hash of its secret is stored."""

    email = models.EmailField(_("email address"))
    digest = models.CharField(_("SHA-256 of the secret"), max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(
        User,
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="invitations_sent",
        verbose_name=_("invited by"),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"))
    accepted_at = models.DateTimeField(_("accepted"), null=True, blank=True, editable=False)
    accepted_by = models.OneToOneField(
        User,
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="invitation",
        verbose_name=_("accepted by"),
    )

    objects: ClassVar[InvitationQuerySet] = InvitationQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("invitation")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.email

    @staticmethod
    def new_secret() -> str:
        return secrets.token_urlsafe(SECRET_BYTES)


class WebhookEvent(models.TextChoices):
    """What a webhook can be told of."""

    VOICE_READY = "voice.ready", _("A voice is ready")
    VOICE_FAILED = "voice.failed", _("A voice could not be cloned")
    TURN_DONE = "turn.done", _("A turn of a conversation is over")


def all_webhook_events() -> list[str]:
    """Return every event, as webhooks are told of that were made without a choice."""
    return list(WebhookEvent.values)


def new_webhook_salt() -> str:
    return secrets.token_hex(8)


class Webhook(models.Model):
    """An address of a user's own server, which is told when something has happened here."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, models.CASCADE, related_name="webhooks", verbose_name=_("owner"))
    url = models.CharField(_("address"), max_length=500)
    events = models.JSONField(_("events"), default=all_webhook_events)
    salt = models.CharField(max_length=16, default=new_webhook_salt, editable=False)
    previous_salt = models.CharField(max_length=16, blank=True, editable=False)
    previous_ends_at = models.DateTimeField(_("previous secret ends"), null=True, blank=True, editable=False)
    is_active = models.BooleanField(_("switched on"), default=True)
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects: ClassVar[OwnedQuerySet[Webhook]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("webhook")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.url

    @property
    def signing_keys(self) -> list[bytes]:
        """The keys of the signatures: one, and in the day after a change of the secret also the one before."""
        has_two = self.previous_ends_at is not None and self.previous_ends_at > timezone.now()
        return [self._key(salt) for salt in ([self.salt, self.previous_salt] if has_two else [self.salt])]

    @property
    def secret(self) -> str:
        """The signing key as the receiver gets it (Standard Webhooks)."""
        return f"whsec_{base64.b64encode(self._key(self.salt)).decode()}"

    def _key(self, salt: str) -> bytes:
        """Return a key that comes from SECRET_KEY, so that a copy of the database signs nothing."""
        return salted_hmac("apps.accounts.webhooks", f"{self.pk}:{salt}", algorithm="sha256").digest()


class WebhookDelivery(models.Model):
    """One message to a webhook, and how its latest try ended. `body` is what was signed and sent."""

    class Status(models.TextChoices):
        PENDING = "pending", _("waiting")
        DELIVERED = "delivered", _("delivered")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, models.CASCADE, related_name="+", verbose_name=_("owner"))
    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries", verbose_name=_("webhook"))
    event = models.CharField(_("event"), max_length=40, choices=WebhookEvent.choices)
    body = models.TextField(_("body"))
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.PENDING)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    next_try_at = models.DateTimeField(_("next try"), null=True, blank=True)
    last_try_at = models.DateTimeField(_("last try"), null=True, blank=True)
    response_status = models.PositiveSmallIntegerField(_("status of the answer"), null=True, blank=True)
    response_body = models.CharField(_("beginning of the answer"), max_length=1024, blank=True)
    error_code = models.CharField(_("error code"), max_length=50, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects: ClassVar[OwnedQuerySet[WebhookDelivery]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["webhook", "-created_at"])]

    def __str__(self) -> str:
        return f"{self.event} {self.pk}"


class UsageCounts(models.Model):
    """What was used of the engines. Tokens are estimated from characters; the cost is in millionths of a US dollar."""

    heard_ms = models.BigIntegerField(_("heard (ms)"), default=0)
    spoken_characters = models.BigIntegerField(_("characters spoken"), default=0)
    tokens_read = models.BigIntegerField(_("tokens read"), default=0)
    tokens_written = models.BigIntegerField(_("tokens written"), default=0)
    cost_micros = models.BigIntegerField(_("estimated cost (millionths of a dollar)"), default=0)

    class Meta:
        abstract = True

    @property
    def heard_seconds(self) -> float:
        return self.heard_ms / 1000

    @property
    def cost_dollars(self) -> float:
        return self.cost_micros / 1_000_000


class UsageRecord(UsageCounts):
    """What one request used, written once when it is over and never changed."""

    class Kind(models.TextChoices):
        TURN = "turn", _("turn")
        CLONE = "clone", _("cloning")
        SPEECH = "speech", _("text to speech")
        TRANSCRIPTION = "transcription", _("speech to text")

    owner = models.ForeignKey(User, models.CASCADE, related_name="+", verbose_name=_("owner"))
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    reference = models.UUIDField(_("turn or voice"), null=True, blank=True, db_index=True)
    created_at = models.DateTimeField(_("over"), auto_now_add=True)

    objects: ClassVar[OwnedQuerySet[UsageRecord]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("usage")
        verbose_name_plural = _("usage")
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["owner", "created_at"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"


class UsageDay(UsageCounts):
    """What a user used in a day of UTC: the sums of the records, and beside them what running requests may use."""

    owner = models.ForeignKey(User, models.CASCADE, related_name="+", verbose_name=_("owner"))
    day = models.DateField(_("day"))
    requests = models.PositiveIntegerField(_("requests"), default=0)
    running = models.PositiveIntegerField(_("running now"), default=0)
    reserved_heard_ms = models.BigIntegerField(_("reserved: to be heard (ms)"), default=0)
    reserved_characters = models.BigIntegerField(_("reserved: characters to be spoken"), default=0)
    last_request_at = models.DateTimeField(_("last request"), default=timezone.now)

    objects: ClassVar[OwnedQuerySet[UsageDay]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("usage of a day")
        verbose_name_plural = _("usage by day")
        ordering = ["-day"]
        constraints = [models.UniqueConstraint(fields=["owner", "day"], name="one_row_per_owner_and_day")]

    def __str__(self) -> str:
        return f"{self.day}"


class IdempotencyKey(models.Model):
    """A request that was sent with an `Idempotency-Key`, and how it was answered; kept for a day.

    `status` is None while it runs. `made` is the id of what it makes, where a repeat is answered from that; else the
    answer itself is kept, as `status`, `headers` and `body`, which is None where it was too large.
    """

    owner = models.ForeignKey(User, models.CASCADE, related_name="+", verbose_name=_("owner"))
    key = models.CharField(_("key"), max_length=255)
    fingerprint = models.CharField(_("SHA-256 of the request"), max_length=64)
    claimed_at = models.DateTimeField(_("began"), db_index=True)
    made = models.CharField(_("id of what it made"), max_length=36, blank=True)
    status = models.PositiveSmallIntegerField(_("status of the answer"), null=True, blank=True)
    headers = models.JSONField(_("headers of the answer"), default=dict, blank=True)
    body = models.BinaryField(_("answer"), null=True, blank=True)

    objects: ClassVar[OwnedQuerySet[IdempotencyKey]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("idempotency key")
        constraints = [models.UniqueConstraint(fields=["owner", "key"], name="one_row_per_owner_and_key")]

    def __str__(self) -> str:
        return self.key


def export_path(export: Export, _filename: str) -> str:
    return f"exports/{export.owner_id}/{uuid.uuid4().hex}.zip"


class Export(models.Model):
    """Everything of a person as one file, which they can download for a day. Each person has one at a time.

    A worker that makes it has it until `lease_until`, and extends that as it goes on: what is behind it was killed.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("being made")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.OneToOneField(User, models.CASCADE, related_name="+", verbose_name=_("owner"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    file = models.FileField(_("file"), upload_to=export_path, blank=True)
    size = models.BigIntegerField(_("bytes"), default=0)
    parts_done = models.PositiveIntegerField(_("parts done"), default=0)
    parts = models.PositiveIntegerField(_("parts"), default=0)
    starts = models.PositiveSmallIntegerField(_("starts"), default=0)
    lease_until = models.DateTimeField(_("begun anew after"), default=timezone.now)
    created_at = models.DateTimeField(_("asked for"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("deleted after"), null=True, blank=True)

    objects: ClassVar[OwnedQuerySet[Export]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("export")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def is_under_way(self) -> bool:
        return self.state in {self.State.WAITING, self.State.RUNNING}


class Erasure(models.Model):
    """The deletion of an account with all that belongs to it. This row stays, with nothing of the person in it.

    Until `due_at` it can be taken back. Then it is tried at `next_try_at`, again and again, until everything is gone.
    `receipt` lists what was deleted and when, as `{"at", "what", "count"}`; `kept` what the law asks to keep, as
    `{"what", "until", "reference"}`.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("can be taken back")
        RUNNING = "running", _("being deleted")
        DONE = "done", _("deleted")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField(
        User, models.SET_NULL, null=True, blank=True, related_name="erasure", verbose_name=_("account")
    )
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    requested_at = models.DateTimeField(_("asked for"), default=timezone.now, editable=False)
    due_at = models.DateTimeField(_("begins"))
    next_try_at = models.DateTimeField(_("next try"), null=True, blank=True)
    tries = models.PositiveIntegerField(_("tries"), default=0)
    error_code = models.CharField(_("what the last try failed at"), max_length=50, blank=True)
    done_at = models.DateTimeField(_("done"), null=True, blank=True)
    receipt = models.JSONField(_("what was deleted"), default=list, blank=True)
    kept = models.JSONField(_("what is kept"), default=list, blank=True)

    class Meta:
        verbose_name = _("erasure")
        ordering = ["-requested_at"]

    def __str__(self) -> str:
        return str(self.pk)
