"""Who you are, and how a program proves that it acts for you."""

from __future__ import annotations

import hashlib
import secrets
from typing import ClassVar, Self, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AbstractUser, AnonymousUser
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

TOKEN_BYTES = 32

Row = TypeVar("Row", bound=models.Model)


class User(AbstractUser):
    """A person with an account. Our own model from the first migration, since it can not be exchanged later."""


class OwnedQuerySet(models.QuerySet[Row]):
    """Rows that belong to a user; every query for a request goes through `for_user`."""

    def for_user(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Return what `user` owns: nothing at all where nobody is signed in."""
        return self.filter(owner_id=user.pk) if user.is_authenticated else self.none()


class ApiTokenQuerySet(OwnedQuerySet["ApiToken"]):
    def usable(self) -> Self:
        """Return the tokens that still open the door."""
        alive = models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now())
        return self.filter(alive, revoked_at=None, owner__is_active=True)


class ApiToken(models.Model):
    """A key for programs. Only its hash is stored, so that a copy of the database opens nothing."""

    owner = models.ForeignKey(User, models.CASCADE, related_name="api_tokens", verbose_name=_("owner"))
    name = models.CharField(_("name"), max_length=60)
    digest = models.CharField(_("SHA-256 of the token"), max_length=64, unique=True, editable=False)
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

    @staticmethod
    def new_secret() -> str:
        """Return a random token, with a prefix by which scanners of leaked secrets can tell what it is."""
        return f"vc_{secrets.token_urlsafe(TOKEN_BYTES)}"

    @staticmethod
    def digest_of(secret: str) -> str:
        # A plain hash is enough: the secret has 256 random bits, which nobody can guess.
        return hashlib.sha256(secret.encode()).hexdigest()
