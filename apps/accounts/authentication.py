"""Authentication by API token, and proof of identity in a session."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.accounts.models import ApiToken, User
from apps.accounts.services import bearer_secret, find_api_token

PROVEN_USER = "proven_user"


def signed_in_user(request: HttpRequest | Request) -> User:
    """Return the signed-in user, in views that require one."""
    assert isinstance(request.user, User)  # noqa: S101 - LoginRequiredMiddleware and IsAuthenticated see to it
    return request.user


def remember_proof(request: HttpRequest, user: User) -> None:
    """Remember in the session that its user has proven to be `user`, who can no longer sign in."""
    request.session.cycle_key()
    request.session[PROVEN_USER] = user.pk


def has_proven(request: HttpRequest, user: User | None) -> bool:
    """Whether the user of this browser has proven to be `user`."""
    return user is not None and request.session.get(PROVEN_USER) == user.pk


def forget_proof(request: HttpRequest) -> None:
    del request.session[PROVEN_USER]


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`. It needs no CSRF token: a browser never sends this header by itself."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        secret = bearer_secret(get_authorization_header(request).decode("latin-1"))
        if secret is None:
            return None
        token = find_api_token(secret=secret)
        if token is None:
            raise AuthenticationFailed(_("This token is unknown, expired or revoked. Create another one."))
        return token.owner, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
