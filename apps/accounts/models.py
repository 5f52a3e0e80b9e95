"""Users, API tokens, invitations and idempotency keys."""

from __future__ import annotations

import secrets
from typing import ClassVar, Self

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.sessions import Session
from apps.core.digests import digest_of
from apps.core.owned import OwnedQuerySet

__all__ = ["ApiToken", "ApiTokenQuerySet", "IdempotencyKey", "Invitation", "Scope", "Session", "User", "all_scopes"]

SECRET_BYTES = 32
# The minimum without a second factor (NIST SP 800-63B-4, 3.1.1.2).
SAFE_PASSWORD_CHARACTERS = 15


class User(AbstractUser):
    """A person with an account. Django cannot replace its own user model later, so this one is used from the start."""

    has_short_password = models.BooleanField(
        _("short password"),
        default=False,
        editable=False,
        help_text=_("Shorter than is safe without a second factor, which therefore cannot be switched off."),
    )

    def set_password(self, raw_password: str | None) -> None:
        super().set_password(raw_password)
        self.has_short_password = raw_password is not None and len(raw_password) < SAFE_PASSWORD_CHARACTERS


class Scope(models.TextChoices):
    """The scopes of tokens. `apps.accounts.permissions` says what each scope allows."""

    READ = "read", _("Read voices, conversations and recordings")
    TALK = "talk", _("Talk: conversations, speech to text, text to speech")
    VOICES = "voices", _("Create, change and delete voices")
    WEBHOOKS = "webhooks", _("Create, change and delete webhooks")


def all_scopes() -> list[str]:
    """Return every scope: the default of a new token."""
    return list(Scope.values)


class ApiTokenQuerySet(OwnedQuerySet["ApiToken"]):
    def not_revoked(self) -> Self:
        """Return the tokens that are not revoked, including expired ones."""
        return self.filter(revoked_at=None)

    def with_secret(self, secret: str) -> Self:
        """Return the token with this secret, in any state, or none."""
        return self.filter(digest=digest_of(secret))


class ApiToken(models.Model):
    """A key for programs. Only its hash is stored, so that a copy of the database grants no access."""

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
        """Return why the token is refused, for the log; empty if it is valid."""
        if self.revoked_at is not None:
            return "revoked"
        if self.is_expired:
            return "expired"
        return "" if self.owner.is_active else "owner inactive"

    @staticmethod
    def new_secret() -> str:
        """Return a random token. Its prefix lets scanners for leaked secrets recognise it."""
        return f"vc_{secrets.token_urlsafe(SECRET_BYTES)}"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def usable(self) -> Self:
        """Return the invitations that are neither accepted nor expired."""
        return self.filter(accepted_at=None, expires_at__gt=timezone.now())


class Invitation(models.Model):
    """Lets one person sign up once if registration is by invitation. Only the hash of its secret is stored."""

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


class IdempotencyKey(models.Model):
    """A request that was sent with an `Idempotency-Key`, and its answer; kept for a day.

    `status` is None while the request runs. `made` is the id of the row that the request creates, if repetitions are
    answered from that row. Otherwise the answer is stored as `status`, `headers` and `body`, which is None if it was
    too large.
    """

    owner = models.ForeignKey(User, models.CASCADE, related_name="+", verbose_name=_("owner"))
    key = models.CharField(_("key"), max_length=255)
    fingerprint = models.CharField(_("SHA-256 of the request"), max_length=64)
    claimed_at = models.DateTimeField(_("started"), db_index=True)
    made = models.CharField(_("id of the created row"), max_length=36, blank=True)
    status = models.PositiveSmallIntegerField(_("status of the answer"), null=True, blank=True)
    headers = models.JSONField(_("headers of the answer"), default=dict, blank=True)
    body = models.BinaryField(_("answer"), null=True, blank=True)

    objects: ClassVar[OwnedQuerySet[IdempotencyKey]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("idempotency key")
        constraints = [models.UniqueConstraint(fields=["owner", "key"], name="one_row_per_owner_and_key")]

    def __str__(self) -> str:
        return self.key
