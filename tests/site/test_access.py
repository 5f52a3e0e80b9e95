"""Who may reach which address, for every address of the site."""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from django.urls import URLPattern, get_resolver, reverse

from apps.accounts.models import ApiToken, Export, Webhook, WebhookDelivery
from apps.conversations.models import Conversation, Turn
from apps.voices.models import Consent, VoiceProfile
from tests.client import bearer, error_of
from tests.factories import make_turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client
    from django.urls import URLResolver

    from apps.accounts.models import User
    from tests.client import Page
    from tests.fakes.provider import FakeProvider

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
PUBLIC = {"", "healthz", "readyz", "favicon.ico", "verify", "privacy/", "report/", "api/schema/", "api/docs/"}
PUBLIC_TO_POST = {"api/v1/verify"}
ERRORS_AS_OPENAI_S = "v1/"  # tests/conversations/test_openai_api.py
OF_OTHER_PACKAGES = ("accounts/", "admin/")
OWN_ACCOUNT_PAGES = import_module("apps.accounts.urls").urlpatterns
# Whoever knows their address may come: an invitation, and an erasure, whose account is gone.
BY_SECRET = ("accounts/invitation/", "accounts/erasures/")
NOBODY = "00000000-0000-4000-8000-000000000000"
FOR_PROGRAMS = ("api/", "metrics", "clone-voice", "full-interaction")


def routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    """Yield the route of every address, such as `voices/<uuid:voice_pk>/rename`."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route
        else:
            yield from routes(pattern.url_patterns, route)


ROUTES = [
    route
    for route in routes(get_resolver().url_patterns)
    if not route.startswith((*OF_OTHER_PACKAGES, ERRORS_AS_OPENAI_S))
] + [route for route in routes(OWN_ACCOUNT_PAGES, "accounts/") if not route.startswith(BY_SECRET)]
ROUTES_OF_ROWS = [route for route in ROUTES if "<" in route]


@pytest.fixture
def addresses(conversation: Conversation, voice: VoiceProfile, alice_token: str) -> dict[str, object]:
    """The rows of Alice that the parts of routes stand for."""
    return {
        "voice_pk": voice.pk,
        "sample_pk": voice.samples.get().pk,
        "consent_pk": voice.consent.pk,
        "conversation_pk": conversation.pk,
        "extension": "txt",
        "turn_pk": make_turn(conversation).pk,
        "export_pk": Export.objects.create(owner=conversation.owner).pk,
        "token_pk": ApiToken.objects.with_secret(alice_token).get().pk,
        **make_delivery(conversation.owner),
    }


def make_delivery(owner: User) -> dict[str, object]:
    """Return a message to a webhook of `owner`, and that webhook."""
    webhook = Webhook.objects.create(owner=owner, url="https://example.org/")
    delivery = WebhookDelivery.objects.create(owner=owner, webhook=webhook, event="turn.done", body="{}")
    return {"webhook_pk": webhook.pk, "delivery_pk": delivery.pk}


def path_of(route: str, rows: dict[str, object]) -> str:
    return "/" + re.sub(r"<\w+:(\w+)>", lambda match: str(rows[match[1]]), route)


def call(client: Client, method: str, path: str, headers: dict[str, str] | None = None) -> Page:
    body = json.dumps({"name": "Mine", "title": "Mine", "text": "Hello?"})
    return client.generic(method, path, body, content_type="application/json", headers=headers)


def test_there_are_such_addresses() -> None:
    assert len(ROUTES_OF_ROWS) > 10
    assert "api/v1/voices/<uuid:voice_pk>" in ROUTES_OF_ROWS


@pytest.mark.parametrize("caller", ["session", "token"])
@pytest.mark.parametrize("route", ROUTES_OF_ROWS)
def test_what_belongs_to_somebody_else_does_not_exist(
    client: Client,
    bob: User,
    bob_token: str,
    provider: FakeProvider,
    addresses: dict[str, object],
    route: str,
    caller: str,
) -> None:
    is_page = not route.startswith(FOR_PROGRAMS)
    headers = bearer(bob_token) if caller == "token" else None
    if caller == "session" or is_page:
        client.force_login(bob)
    before = everything()
    statuses = {method: call(client, method, path_of(route, addresses), headers).status_code for method in METHODS}
    assert set(statuses.values()) <= {404, 405}, statuses
    assert 404 in statuses.values()
    assert everything() == before
    assert not provider.requests


def everything() -> list[object]:
    tables = [VoiceProfile, Consent, Conversation, Turn, Webhook, WebhookDelivery, Export]
    return [list(table._default_manager.order_by("pk").values()) for table in tables]


@pytest.mark.parametrize("route", [route for route in ROUTES_OF_ROWS if route.startswith(FOR_PROGRAMS)])
def test_what_belongs_to_somebody_else_and_what_does_not_exist_are_told_alike(
    client: Client, bob_token: str, addresses: dict[str, object], route: str
) -> None:
    nobodys: dict[str, object] = {name: 2**31 if isinstance(row, int) else NOBODY for name, row in addresses.items()}
    for method in METHODS:
        foreign, unknown = [
            call(client, method, path_of(route, rows), bearer(bob_token)) for rows in (addresses, nobodys)
        ]
        assert foreign.status_code == unknown.status_code
        assert error_of(foreign) == error_of(unknown)


@pytest.mark.parametrize("route", [route for route in ROUTES if route not in PUBLIC | PUBLIC_TO_POST])
def test_who_is_not_signed_in_gets_a_401_or_the_way_to_sign_in(
    client: Client, addresses: dict[str, object], route: str
) -> None:
    path = path_of(route, addresses)
    before = everything()
    for method in METHODS:
        response = call(client, method, path)
        if route.startswith(FOR_PROGRAMS):
            assert response.status_code == 401
            assert error_of(response)["code"] == "not_authenticated"
            assert response["WWW-Authenticate"] == "Bearer"
        else:
            assert response.status_code == 302
            assert response["Location"] == f"{reverse('account_login')}?next={path}"
    assert everything() == before


@pytest.mark.django_db
@pytest.mark.parametrize("route", sorted(PUBLIC))
def test_a_few_addresses_are_public(client: Client, route: str) -> None:
    assert client.get(f"/{route}").status_code in {200, 301}


@pytest.mark.parametrize("path", ["/admin/", "/admin/voices/voiceprofile/", "/admin/accounts/apitoken/"])
def test_the_admin_is_not_for_everybody(client: Client, alice: User, path: str) -> None:
    assert client.get(path).status_code == 302
    client.force_login(alice)
    assert client.get(path)["Location"].startswith(reverse("admin:login"))


def test_those_who_are_signed_in_start_at_talking(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.get("/")["Location"] == reverse("conversations:talk")
