"""How often passwords may be tried, so that guessing is hopeless and the owner of an account feels nothing of it.

A browser in which somebody has signed in once carries a signed cookie for that account (OWASP's "device cookie"). Its
attempts are counted by themselves, so that whatever strangers do to the account, its owner gets in. Attempts from all
other browsers are counted by address and account, by address, and by account, against guessing from many addresses.
Who is stopped by the last on a new device still gets in by resetting the password.
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
    """One try of a password. It counts from the beginning, so that many at once are not let through together."""

    def __init__(self, request: HttpRequest, login: str, address: str) -> None:
        account = _account_named(login)
        browser = _known_browser(request, account) if account else None
        # Counted by the account and not by what was typed: it can be named by user name and by address.
        name = f"user {account.pk}" if account else f"login {login.casefold()}"
        if browser:
            self._counters = [(KNOWN_BROWSER, browser)]
        else:
            network = network_of(address)
            self._counters = [(ADDRESS_AND_ACCOUNT, f"{network} {name}"), (ADDRESS, network), (ACCOUNT, name)]

    def count(self) -> int:
        """Count the attempt and return how many seconds to wait instead of making it; 0: go on."""
        for number, (limit, subject) in enumerate(self._counters):
            wait = limit.take(subject)
            if wait:
                audit.note("sign_in_stopped", limit=limit.name)
                # An attempt that is stopped for its address must not use up what others may try.
                self._counters = self._counters[:number]
                self.forget()
                return wait
        return 0

    def forget(self) -> None:
        """Uncount the attempt: it succeeded, or was not made."""
        for limit, subject in self._counters:
            limit.give_back(subject)


def begin_attempt(request: HttpRequest, *, login: str, address: str) -> tuple[Attempt | None, int]:
    """Count an attempt to sign in as `login`; return it, and the seconds to wait where it must not be made."""
    if not settings.LIMITS:
        return None, 0
    attempt = Attempt(request, login, address)
    return attempt, attempt.count()


def remember_browser(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Let this browser sign in as `user` again, whatever strangers try from elsewhere."""
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
