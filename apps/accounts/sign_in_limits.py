"""Limits on password attempts: they stop guessing, and do not lock out the owner of an account.

A browser in which somebody has signed in to an account carries a signed cookie for it (OWASP's "device cookie"). Its
attempts are counted separately, so that strangers cannot lock out the owner. Attempts from all other browsers are
counted by address and account, by address, and, against guessing from many addresses, by account. An owner who is
stopped by the last limit on a new device can still reset the password.
"""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponse

from apps.accounts import audit
from apps.accounts.models import User
from apps.core.rate_limits import Limit, network_of

COOKIE_SALT = "apps.accounts.known_browser"
COOKIE_SECONDS = 400 * 24 * 3600  # Longer than browsers keep any cookie.


KNOWN_BROWSER = Limit("known browser", 10, 15 * 60)
ADDRESS_AND_ACCOUNT = Limit("address and account", 10, 15 * 60)
ADDRESS = Limit("address", 100, 3600)
ACCOUNT = Limit("account", 100, 3600)


class Attempt:
    """One password attempt. It is counted before the password is checked, so that parallel attempts count too."""

    def __init__(self, request: HttpRequest, login: str, address: str) -> None:
        account = _account_named(login)
        browser = _known_browser(request, account) if account else None
        # Count by account and not by the typed login: an account has a user name and an address.
        name = f"user {account.pk}" if account else f"login {login.casefold()}"
        if browser:
            self._counters = [(KNOWN_BROWSER, browser)]
        else:
            network = network_of(address)
            self._counters = [(ADDRESS_AND_ACCOUNT, f"{network} {name}"), (ADDRESS, network), (ACCOUNT, name)]

    def count(self) -> int:
        """Count the attempt. Return 0 if it may be made, else the seconds to wait."""
        for number, (limit, subject) in enumerate(self._counters):
            wait = limit.take(subject)
            if wait:
                audit.note("sign_in_stopped", limit=limit.name)
                # A stopped attempt must not count towards the other limits, which other people share.
                self._counters = self._counters[:number]
                self.forget()
                return wait
        return 0

    def forget(self) -> None:
        """Uncount the attempt: it succeeded, or was not made."""
        for limit, subject in self._counters:
            limit.give_back(subject)


def begin_attempt(request: HttpRequest, *, login: str, address: str) -> tuple[Attempt | None, int]:
    """Count an attempt to sign in as `login`. Return it, and the seconds to wait if it must not be made, else 0."""
    if not settings.LIMITS:
        return None, 0
    attempt = Attempt(request, login, address)
    return attempt, attempt.count()


def remember_browser(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Count the attempts of this browser to sign in as `user` separately from those of strangers."""
    response.set_signed_cookie(
        _cookie_name(user),
        _known_browser(request, user) or secrets.token_urlsafe(16),
        salt=COOKIE_SALT,
        max_age=COOKIE_SECONDS,
        path="/accounts/",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _known_browser(request: HttpRequest, user: User) -> str | None:
    return request.get_signed_cookie(_cookie_name(user), default=None, salt=COOKIE_SALT, max_age=COOKIE_SECONDS)


def _cookie_name(user: User) -> str:
    return f"known_browser_{user.pk}"


def _account_named(login: str) -> User | None:
    return User.objects.filter(Q(username__iexact=login) | Q(email__iexact=login)).order_by("pk").first()
