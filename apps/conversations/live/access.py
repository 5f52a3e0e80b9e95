"""Who opens a socket, and whether they still may use it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user
from django.http import HttpRequest, parse_cookie
from django.http.request import split_domain_port, validate_host
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import ApiToken, Scope, User
from apps.accounts.services import bearer_secret, find_api_token
from apps.accounts.sessions import Session, SessionStore
from apps.core.errors import UserError

PROTOCOL = "realtime"
KEY_PROTOCOL = "openai-insecure-api-key."


@dataclass(frozen=True, slots=True)
class Caller:
    """The user of a socket, and the credentials that it was opened with."""

    user: User
    token_pk: int | None = None
    session_key: str = ""


def identify(scope: Mapping[str, Any]) -> Caller:
    """Return the caller of a handshake: by token in its header or subprotocols, or by session. Raises UserError."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    secret = bearer_secret(headers.get("authorization", ""))
    if secret is None:
        secret = _key_among(scope.get("subprotocols", []))
    if secret is not None:
        return _caller_of_token(secret)
    return _caller_of_session(headers)


def _key_among(protocols: list[str]) -> str | None:
    keys = (each.removeprefix(KEY_PROTOCOL) for each in protocols if each.startswith(KEY_PROTOCOL))
    return next(keys, None)


def _caller_of_token(secret: str) -> Caller:
    token = find_api_token(secret=secret)
    if token is None:
        text = _("This token is unknown, expired or revoked. Create another one.")
        raise UserError("authentication_failed", text, status=401)
    if Scope.TALK not in token.scopes:
        text = _("This token lacks the scope “%(scope)s”. Create one that has it.")
        raise UserError("insufficient_scope", text % {"scope": Scope.TALK}, status=403)
    return Caller(token.owner, token_pk=token.pk)


def _caller_of_session(headers: Mapping[str, str]) -> Caller:
    """A browser sends its cookies to every site that asks, so the page has to be one of this site's."""
    key = parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME, "")
    request = HttpRequest()
    request.session = SessionStore(key or None)
    user = get_user(request) if request.session.get(SESSION_KEY) else None
    if not isinstance(user, User):
        raise UserError("not_authenticated", _("Sign in, or send a token."), status=401)
    if not _is_own_page(headers.get("origin", ""), headers.get("host", "")):
        raise UserError("origin_not_allowed", _("This page may not use your session."), status=403)
    return Caller(user, session_key=key)


def _is_own_page(origin: str, host: str) -> bool:
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    page = urlsplit(origin)
    domain, _port = split_domain_port(host)
    return bool(
        page.scheme in ("http", "https") and page.netloc == host and validate_host(domain, settings.ALLOWED_HOSTS)
    )


def still_valid(callers: Collection[Caller]) -> set[Caller]:
    """Return those who are still active, and whose token or session is still valid. Takes two queries."""
    tokens = ApiToken.objects.filter(pk__in={caller.token_pk for caller in callers if caller.token_pk is not None})
    valid_tokens = {token.pk for token in tokens.select_related("owner") if not token.refusal}
    active = User.objects.filter(pk__in={caller.user.pk for caller in callers}, is_active=True)
    sessions = Session.objects.filter(
        session_key__in={caller.session_key for caller in callers if caller.session_key},
        user_id__in=active.values("pk"),
        expire_date__gt=timezone.now(),
    )
    valid_sessions = set(sessions.values_list("session_key", "user_id"))
    return {
        caller
        for caller in callers
        if caller.token_pk in valid_tokens or (caller.session_key, caller.user.pk) in valid_sessions
    }


def is_still_valid(caller: Caller) -> bool:
    """Whether the caller is still active, and their token or session still valid."""
    return caller in still_valid([caller])
