"""Every page of the site, in each of its states."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from allauth.account.models import EmailAddress
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.files.base import ContentFile
from django.utils import timezone

from apps.accounts.models import ApiToken, Erasure, Export
from apps.accounts.services import create_api_token
from apps.conversations.models import Conversation, Turn
from apps.conversations.views import CONVERSATIONS_PER_PAGE
from apps.voices.services import silence_voice
from tests.browser.steps import sign_in
from tests.client import LONG_REPLY
from tests.factories import make_consent, make_turn, make_voice

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
    "verify": "/verify",
    "privacy": "/privacy/",
    "report": "/report/",
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
    "consent": "/voices/consent/",
    "talk": "/talk/",
    "history": "/history/",
    "profile": "/accounts/profile/",
    "change-email": "/accounts/email/",
    "change-password": "/accounts/password/change/",
    "sessions": "/accounts/sessions/",
    "tokens": "/accounts/tokens/",
    "usage": "/accounts/usage/",
    "webhooks": "/accounts/webhooks/",
    "data": "/accounts/data/",
    "delete-account": "/accounts/delete/",
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
    "accounts/data/export",
    "accounts/data/export/delete",
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
    make_voice(owner, "silent", name="Silent", consent=make_consent(owner, valid_until=timezone.now()))
    silence_voice(voice=make_voice(owner, "silenced", name="Silenced"), note="Somebody says that it is not yours.")
    long_ago = timezone.now() - timedelta(days=340)
    make_voice(owner, "idle", name="Unused", last_used_at=long_ago, idle_notice_at=timezone.now())
    make_export(owner)
    for number in range(CONVERSATIONS_PER_PAGE):
        Conversation.objects.create(owner=owner, voice=voice, title=f"Question {number} about France")
    conversation = Conversation.objects.create(owner=owner, voice=voice, title="What is the capital of France?")
    make_turn(conversation, reply=LONG_REPLY)
    make_turn(conversation, status=Turn.Status.INTERRUPTED, reply=LONG_REPLY, spoken_text=LONG_REPLY[:60])
    failure = {"failed_stage": "think", "error_code": "provider_busy"}
    make_turn(conversation, status=Turn.Status.FAILED, reply="", answer="", **failure)
    create_api_token(owner=owner, name="Kitchen speaker")
    names = (
        "voices",
        "consent",
        "talk",
        "history",
        "change-email",
        "two-factor",
        "tokens",
        "data",
        "delete-account",
    )
    shown = {name: SIGNED_IN[name] for name in names}
    return (
        shown
        | WITH_SECOND_FACTOR
        | {
            "token-revoke": f"/accounts/tokens/{ApiToken.objects.get(owner=owner).pk}/revoke/",
            **{f"erasure-{state}": f"/accounts/erasures/{pk}/" for state, pk in make_erasures().items()},
            "voice-delete": f"/voices/{voice.pk}/delete",
            "conversation": f"/talk/{conversation.pk}/",
            "conversation-delete": f"/history/{conversation.pk}/delete",
            "history-found": "/history/?q=France",
            "history-nothing-found": "/history/?q=nothing",
            "history-second-page": "/history/?page=2",
        }
    )


def make_export(owner: User) -> None:
    """Give `owner` an export that is ready."""
    tomorrow = timezone.now() + timedelta(days=1)
    file = ContentFile(b"PK", name="export.zip")
    Export.objects.create(owner=owner, state="ready", size=18_204_113, expires_at=tomorrow, file=file)


def make_erasures() -> dict[str, object]:
    """Return an erasure in each of its states; whose they are is of no account."""
    now = timezone.now()
    line = {"at": now.isoformat(timespec="seconds"), "what": "Voice made with ElevenLabs, there and here", "count": 1}
    receipt = [line, {**line, "what": "Turns, with their sound", "count": 128}]
    kept = [{"what": "Proof of consent", "until": "2031-03-02T00:00:00+00:00", "reference": "0"}]
    values: dict[str, dict[str, object]] = {
        "waiting": {"next_try_at": now},
        "running": {"next_try_at": now, "tries": 2, "receipt": receipt},
        "done": {"done_at": now, "receipt": receipt, "kept": kept},
    }
    return {state: Erasure.objects.create(state=state, due_at=now, **more).pk for state, more in values.items()}


def _add_second_factor(owner: User) -> None:
    EmailAddress.objects.update_or_create(user=owner, email=owner.email, defaults={"verified": True, "primary": True})
    TOTP.activate(owner, generate_totp_secret())
    RecoveryCodes.activate(owner)
