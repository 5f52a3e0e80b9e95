"""Every page of the site, in each of its states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allauth.account.models import EmailAddress
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

from apps.accounts.models import ApiToken
from apps.accounts.services import create_api_token
from apps.conversations.models import Conversation, Turn
from apps.conversations.views import CONVERSATIONS_PER_PAGE
from tests.browser.steps import sign_in
from tests.client import LONG_REPLY
from tests.factories import make_turn, make_voice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from apps.accounts.models import User

SIGNED_OUT = {
    "home": "/",
    "sign-in": "/accounts/login/",
    "sign-up": "/accounts/signup/",
    "reset-password": "/accounts/password/reset/",
    "reset-password-sent": "/accounts/password/reset/done/",
    "reset-password-link-used": "/accounts/password/reset/key/1-x/",
    "reset-password-done": "/accounts/password/reset/key/done/",
    "inactive": "/accounts/inactive/",
    "not-found": "/nothing/",
}
FAILURES = {
    "error-400": "/fail/request/",
    "error-403": "/fail/permission/",
    "error-403-form": "/fail/form/",
    "error-413": "/fail/size/",
    "error-429": "/fail/attempts/",
    "error-500": "/fail/fault/",
}
SIGNED_IN = {
    "voices": "/voices/",
    "talk": "/talk/",
    "history": "/history/",
    "profile": "/accounts/profile/",
    "change-email": "/accounts/email/",
    "change-password": "/accounts/password/change/",
    "sessions": "/accounts/sessions/",
    "tokens": "/accounts/tokens/",
    "usage": "/accounts/usage/",
    "webhooks": "/accounts/webhooks/",
    "two-factor": "/accounts/2fa/",
    "two-factor-activate": "/accounts/2fa/totp/activate/",
    "sign-out": "/accounts/logout/",
    "confirm-password": "/accounts/reauthenticate/",
    "not-found-signed-in": "/nothing/",
}
WITH_SECOND_FACTOR = {
    "two-factor-deactivate": "/accounts/2fa/totp/deactivate/",
    "recovery-codes": "/accounts/2fa/recovery-codes/",
    "recovery-codes-generate": "/accounts/2fa/recovery-codes/generate/",
}
# Addresses for programs and for browsers, and those that only send on to another page.
NOT_PAGES = {
    "healthz",
    "readyz",
    "metrics",
    "favicon.ico",
    "clone-voice",
    "full-interaction",
    "accounts/confirm-email",
    "accounts/2fa/authenticate",
    "accounts/2fa/reauthenticate",
    "accounts/2fa/recovery-codes/download",
    "accounts/login/code/confirm",
    "accounts/password/set",
}


def walk(page: Page, url: str, *, newcomer: User, regular: User) -> Iterator[str]:
    """Open one page after the other and yield its name: signed out, with nothing yet, and with everything."""
    yield from _visit(page, url, SIGNED_OUT | FAILURES)
    sign_in(page, url, newcomer.username)
    yield from _visit(page, url, SIGNED_IN)
    page.context.clear_cookies()
    more = fill(regular)
    sign_in(page, url, regular.username)
    _add_second_factor(regular)  # After signing in, which would ask for it.
    yield from _visit(page, url, {f"full-{name}": path for name, path in more.items()})


def _visit(page: Page, url: str, pages: dict[str, str]) -> Iterator[str]:
    for name, path in pages.items():
        page.goto(url + path)
        yield name


def fill(owner: User) -> dict[str, str]:
    """Give `owner` something of every kind, and return the pages that there are for it."""
    voice = make_voice(owner, "ready", name="Jane", is_default=True)
    long_name = "Jane, in the early morning, before the first cup of coffee"
    make_voice(owner, "", name=long_name, status="failed", error_code="provider_unreachable")
    make_voice(owner, "pending", name="Being made", status="pending")
    make_voice(owner, "deleting", name="Going", status="deleting")
    make_voice(owner, "local", name="From this machine", provider="local")
    for number in range(CONVERSATIONS_PER_PAGE):
        Conversation.objects.create(owner=owner, voice=voice, title=f"Question {number} about France")
    conversation = Conversation.objects.create(owner=owner, voice=voice, title="What is the capital of France?")
    make_turn(conversation, reply=LONG_REPLY)
    make_turn(conversation, status=Turn.Status.INTERRUPTED, reply=LONG_REPLY, spoken_text=LONG_REPLY[:60])
    failure = {"failed_stage": "think", "error_code": "provider_busy"}
    make_turn(conversation, status=Turn.Status.FAILED, reply="", answer="", **failure)
    create_api_token(owner=owner, name="Kitchen speaker")
    shown = {name: SIGNED_IN[name] for name in ("voices", "talk", "history", "change-email", "two-factor", "tokens")}
    return (
        shown
        | WITH_SECOND_FACTOR
        | {
            "token-revoke": f"/accounts/tokens/{ApiToken.objects.get(owner=owner).pk}/revoke/",
            "voice-delete": f"/voices/{voice.pk}/delete",
            "conversation": f"/talk/{conversation.pk}/",
            "conversation-delete": f"/history/{conversation.pk}/delete",
            "history-found": "/history/?q=France",
            "history-nothing-found": "/history/?q=nothing",
            "history-second-page": "/history/?page=2",
        }
    )


def _add_second_factor(owner: User) -> None:
    EmailAddress.objects.update_or_create(user=owner, email=owner.email, defaults={"verified": True, "primary": True})
    TOTP.activate(owner, generate_totp_secret())
    RecoveryCodes.activate(owner)
