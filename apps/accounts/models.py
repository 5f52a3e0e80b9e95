"""Who you are, who may become somebody, and how a program proves that it acts for you."""

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
# NIST SP 800-63B-4, 3.1.1.2: the least that is safe without a second factor.
SAFE_PASSWORD_CHARACTERS = 15


class User(AbstractUser):
    """A person with an account. Our own model from the first migration, since it cannot be exchanged later."""

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
