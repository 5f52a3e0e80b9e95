"""Every page of the site, in each of its states."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.files.base import ContentFile
from django.test import override_settings
from django.utils import timezone

from apps.accounts.models import ApiToken
from apps.accounts.services import create_api_token
from apps.conversations import services
from apps.conversations.history import CONVERSATIONS_PER_PAGE
from apps.conversations.models import Conversation, Turn
from apps.conversations.shares import create_share
from apps.privacy.models import Erasure, Export
from apps.usage.models import UsageDay
from apps.voices.suspension import suspend_voice
from apps.webhooks.models import Webhook, WebhookDelivery
from tests.accounts.steps import confirm_address
from tests.browser.steps import be_asked_for_code, confirm_identity, sign_in
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
    "confirm-address-sent": "/accounts/confirm-email/",
    "confirm-address-link-used": "/accounts/confirm-email/used/",
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
    "error-405": "/fail/method/",
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
    "shares": "/accounts/shares/",
    "usage": "/accounts/usage/",
    "webhooks": "/accounts/webhooks/",
    "data": "/accounts/data/",
    "two-factor": "/accounts/2fa/",
    "sign-out": "/accounts/logout/",
    "confirm-password": "/accounts/reauthenticate/",
    "not-found-signed-in": "/nothing/",
}
WITH_CONFIRMED_IDENTITY = {
    "two-factor-activate": "/accounts/2fa/totp/activate/",
    "delete-account": "/accounts/delete/",
}
WITH_SECOND_FACTOR = {
    "two-factor": "/accounts/2fa/",
    "two-factor-deactivate": "/accounts/2fa/totp/deactivate/",
    "recovery-codes": "/accounts/2fa/recovery-codes/",
    "recovery-codes-generate": "/accounts/2fa/recovery-codes/generate/",
}
# URLs for programs and browsers, and redirects.
NOT_PAGES = {
    "healthz",
    "readyz",
    "metrics",
    "favicon.ico",
    "robots.txt",
    "manifest.webmanifest",
    "history/delete",  # Without ids; with some, it is visited.
    "engines",  # JSON for the notice about engines that are being fetched.
    "clone-voice",
    "full-interaction",
    "accounts/2fa/authenticate",  # Part of the sign-in.
    "accounts/2fa/reauthenticate",
    "accounts/2fa/recovery-codes/download",
    "accounts/login/code/confirm",
    "accounts/password/set",
    "accounts/data/export",
    "accounts/data/export/delete",
}


def walk(page: Page, url: str, *, newcomer: User, regular: User) -> Iterator[str]:
    """Open all pages and yield their names: signed out, as a newcomer without data, and as a regular user."""
    yield from _visit(page, url, SIGNED_OUT | FAILURES)
    yield from _visit_from_mail(page, url, newcomer)
    with override_settings(REGISTRATION="closed"):
        yield from _visit(page, url, {"sign-up-closed": "/accounts/signup/"})
    sign_in(page, url, newcomer.username)
    yield from _visit(page, url, SIGNED_IN)
    page.context.clear_cookies()
    more = fill(regular)
    sign_in(page, url, regular.username)
    yield from _visit(page, url, {f"full-{name}": path for name, path in more.items()})
    confirm_address(regular)
    confirm_identity(page, url)
    yield from _visit(page, url, WITH_CONFIRMED_IDENTITY)
    TOTP.activate(regular, generate_totp_secret())
    RecoveryCodes.activate(regular)
    yield from _visit(page, url, {f"full-{name}": path for name, path in WITH_SECOND_FACTOR.items()})
    page.context.clear_cookies()
    be_asked_for_code(page, url, regular.username)
    yield "sign-in-code"


def _visit(page: Page, url: str, pages: dict[str, str]) -> Iterator[str]:
    for name, path in pages.items():
        page.goto(url + path)
        assert urlsplit(page.url).path == urlsplit(path).path, f"{name} leads to another page"
        yield name


def _visit_from_mail(page: Page, url: str, user: User) -> Iterator[str]:
    """Open the pages of the links in mails."""
    address = EmailAddress.objects.create(user=user, email=user.email, primary=True)
    key = EmailConfirmationHMAC.create(address).key
    yield from _visit(page, url, {"confirm-address": f"/accounts/confirm-email/{key}/"})
    secret = f"{user_pk_to_url_str(user)}-{default_token_generator.make_token(user)}"
    page.goto(f"{url}/accounts/password/reset/key/{secret}/")  # Redirects to an address without the secret.
    yield "reset-password-link"


def fill(owner: User) -> dict[str, str]:
    """Create rows of every kind for `owner`, and return the pages that show them."""
    voice = make_voice(owner, "ready", name="Jane", is_default=True)
    long_name = "Jane, in the early morning, before the first cup of coffee"
    make_voice(owner, "", name=long_name, status="failed", error_code="provider_unreachable")
    make_voice(owner, "pending", name="Being made", status="pending")
    make_voice(owner, "deleting", name="Going", status="deleting")
    make_voice(owner, "local", name="From this machine", provider="local")
    make_voice(owner, "silent", name="Silent", consent=make_consent(owner, valid_until=timezone.now()))
    suspended = make_voice(owner, "suspended", name="Suspended", consent=voice.consent)
    suspend_voice(voice=suspended, note="Somebody says that it is not yours.")
    idle = {"last_used_at": timezone.now() - timedelta(days=340), "idle_notice_at": timezone.now()}
    make_voice(owner, "idle", name="Unused", consent=voice.consent, **idle)
    make_export(owner)
    for number in range(CONVERSATIONS_PER_PAGE):
        Conversation.objects.create(owner=owner, voice=voice, title=f"Question {number} about France")
    conversation = Conversation.objects.create(owner=owner, voice=voice, title="What is the capital of France?")
    shared = make_turn(conversation, reply=LONG_REPLY)
    _share, secret = create_share(turn=shared, with_text=True)
    make_turn(conversation, status=Turn.Status.INTERRUPTED, reply=LONG_REPLY, spoken_text=LONG_REPLY[:60])
    failure = {"failed_stage": "think", "error_code": "provider_busy"}
    last = make_turn(conversation, status=Turn.Status.FAILED, reply="", answer="", **failure)
    services.pin_conversation(conversation=conversation, pinned=True)
    create_api_token(owner=owner, name="Kitchen speaker")
    webhook = _fill_webhooks(owner)
    _fill_usage(owner)
    shown = (
        "voices",
        "consent",
        "talk",
        "history",
        "change-email",
        "tokens",
        "shares",
        "usage",
        "webhooks",
        "data",
    )
    return {name: SIGNED_IN[name] for name in shown} | {
        "token-revoke": f"/accounts/tokens/{ApiToken.objects.get(owner=owner).pk}/revoke/",
        **{f"erasure-{state}": f"/accounts/erasures/{pk}/" for state, pk in make_erasures().items()},
        "webhook": f"/accounts/webhooks/{webhook.pk}/",
        "webhook-secret": f"/accounts/webhooks/{webhook.pk}/secret/",
        "webhook-delete": f"/accounts/webhooks/{webhook.pk}/delete/",
        "voice-delete": f"/voices/{voice.pk}/delete",
        "conversation": f"/talk/{conversation.pk}/",
        "share": f"/talk/turns/{shared.pk}/share",
        "shared": f"/s/{secret}",
        "shared-gone": "/s/nothing",
        "conversation-earlier": f"/talk/{conversation.pk}/?before={last.pk}",
        "conversation-delete": f"/history/{conversation.pk}/delete",
        "conversations-delete": f"/history/delete?id={conversation.pk}",
        "history-found": "/history/?q=France",
        "history-nothing-found": "/history/?q=nothing",
        "history-second-page": "/history/?page=2",
    }


def make_export(owner: User) -> None:
    """Create a finished export."""
    tomorrow = timezone.now() + timedelta(days=1)
    file = ContentFile(b"PK", name="export.zip")
    Export.objects.create(owner=owner, state="ready", size=18_204_113, expires_at=tomorrow, file=file)


def make_erasures() -> dict[str, object]:
    """Create an erasure in each state. Return their ids by state."""
    now = timezone.now()
    line = {
        "at": now.isoformat(timespec="seconds"),
        "what": "Voice made with ElevenLabs, deleted there and here",
        "count": 1,
    }
    receipt = [line, {**line, "what": "Turns, with their sound", "count": 128}]
    kept = [{"what": "Proof of consent", "until": "2031-03-02T00:00:00+00:00", "reference": "0"}]
    values: dict[str, dict[str, object]] = {
        "waiting": {"next_try_at": now},
        "running": {"next_try_at": now, "tries": 2, "receipt": receipt},
        "done": {"done_at": now, "receipt": receipt, "kept": kept},
    }
    return {state: Erasure.objects.create(state=state, due_at=now, **more).pk for state, more in values.items()}


def _fill_webhooks(owner: User) -> Webhook:
    now = timezone.now()
    Webhook.objects.create(owner=owner, url="https://old.example.org/voices", is_active=False)
    webhook = Webhook.objects.create(owner=owner, url="https://example.org/hooks/voices", failing_since=now)
    body = '{"type": "voice.ready", "data": {"id": "0a1b"}}'
    for status in WebhookDelivery.Status.values:
        WebhookDelivery.objects.create(owner=owner, webhook=webhook, event="voice.ready", body=body, status=status)
    return webhook


def _fill_usage(owner: User) -> None:
    today = timezone.now().date()
    for ago in (0, 1, 2, 5, 6, 9, 20):
        counts = {"heard_ms": 9000 * ago, "spoken_characters": 700 * ago, "tokens_read": 210, "tokens_written": 90}
        day = today - timedelta(days=ago)
        UsageDay.objects.create(owner=owner, day=day, requests=3 + ago, cost_micros=1500 * ago, **counts)
