"""What can be done with an account."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from apps.accounts.models import ApiToken, User

LAST_USE_PRECISION = timedelta(minutes=1)


def create_api_token(*, owner: User, name: str, expires_at: datetime | None = None) -> str:
    """Store a new token for `owner` and return its secret, which can not be shown again."""
    secret = ApiToken.new_secret()
    ApiToken.objects.create(owner=owner, name=name, digest=ApiToken.digest_of(secret), expires_at=expires_at)
    return secret


def find_api_token(*, secret: str) -> ApiToken | None:
    """Return the usable token that `secret` is, with its owner, and note that it was used."""
    token = ApiToken.objects.usable().select_related("owner").filter(digest=ApiToken.digest_of(secret)).first()
    if token is not None:
        _note_use(token)
    return token


def _note_use(token: ApiToken) -> None:
    """Write the time of use at most once a minute: not every request should have to wait for a write."""
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at > LAST_USE_PRECISION:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
