"""Access control: every URL of the site for every kind of caller. A new URL without a rule fails here."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client
from django.urls import get_resolver, reverse
from django.utils import timezone

from apps.accounts.models import ApiToken, Scope, User
from apps.accounts.services import create_api_token
from apps.conversations.models import Conversation, Share, Turn
from apps.conversations.shares import create_share
from apps.privacy.models import Export
from apps.voices.models import Consent, VoiceProfile
from apps.webhooks.models import Webhook, WebhookDelivery
from tests.client import bearer
from tests.factories import make_administrator, make_turn
from tests.site.access_rules import ADMIN, ANY_SCOPE, ELSEWHERE, FOR_PROGRAMS, MISSING, NO_TOKEN, PAGES, PUBLIC
from tests.site.routes import routes

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.client import Page
    from tests.fakes.provider import FakeProvider

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
NOBODY = "00000000-0000-4000-8000-000000000000"

# Rows in a URL, which have an owner. The `extension` of a conversation and a `model` have none.
ROWS = re.compile(r"<\w+:\w+_pk>")
# Parts of URLs that other packages match with their own patterns, and an example of each.
PATTERNS = {
    r"\^confirm-email/.*": "confirm-email/unknown/",  # Answers with a 400.
    r"\^password/reset/key/.*": "password/reset/key/1-unknown/",
    r"\^\(\?P<app_label>.*": "accounts/",
    r"\(\?P<url>.*": "nowhere",
}
ROUTES = list(dict.fromkeys(routes(get_resolver().url_patterns)))
ADMIN_ROUTES = [route for route in ROUTES if route.startswith(ADMIN)]
ROW_ROUTES = [route for route in (*PAGES, *FOR_PROGRAMS) if ROWS.search(route)]


@pytest.fixture
def rows(conversation: Conversation, voice: VoiceProfile, alice_token: str) -> dict[str, object]:
    """Alice's rows, by the names of their parts in the routes."""
    turn = make_turn(conversation)
    return {
        "voice_pk": voice.pk,
        "sample_pk": voice.samples.get().pk,
        "consent_pk": voice.consent.pk,
        "conversation_pk": conversation.pk,
        "extension": "txt",
        "turn_pk": turn.pk,
        "share_pk": create_share(turn=turn)[0].pk,
        "export_pk": Export.objects.create(owner=conversation.owner).pk,
        "token_pk": ApiToken.objects.with_secret(alice_token).get().pk,
        "model": "whisper-base",
        **make_delivery(conversation.owner),
    }


def make_delivery(owner: User) -> dict[str, object]:
    """Create a webhook of `owner` with a delivery. Return their ids."""
    webhook = Webhook.objects.create(owner=owner, url="https://example.org/")
    delivery = WebhookDelivery.objects.create(owner=owner, webhook=webhook, event="turn.done", body="{}")
    return {"webhook_pk": webhook.pk, "delivery_pk": delivery.pk}


@pytest.fixture
def staff(db: None) -> User:
    return make_administrator()


def path_of(route: str, rows: dict[str, object]) -> str:
    for pattern, example in PATTERNS.items():
        route = re.sub(pattern, example, route)
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda match: str(rows.get(match[1], 1)), route)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def call(client: Client, method: str, path: str, headers: dict[str, str] | None = None) -> Page:
    body = json.dumps({"name": "Mine", "title": "Mine", "text": "Hello?"})
    return client.generic(method, path, body, content_type="application/json", headers=headers)


def statuses(client: Client, path: str, headers: dict[str, str] | None = None) -> dict[str, int]:
    return {method: call(client, method, path, headers).status_code for method in METHODS}


def first_answer(client: Client, path: str, headers: dict[str, str] | None = None) -> int:
    """Return the status of the first method that is allowed."""
    answers = (call_and_roll_back(client, method, path, headers).status_code for method in METHODS)
    return next(status for status in answers if status != 405)


def call_and_roll_back(client: Client, method: str, path: str, headers: dict[str, str] | None = None) -> Page:
    """Call and roll back all changes: other URLs need the consent and the voice."""
    with transaction.atomic():
        page = call(client, method, path, headers)
        transaction.set_rollback(True)
    return page


def everything() -> list[object]:
    tables = [VoiceProfile, Consent, Conversation, Turn, Share, Webhook, WebhookDelivery, Export]
    return [list(table._default_manager.order_by("pk").values()) for table in tables]


def is_refusal_of_programs(page: Page) -> bool:
    """Return whether it is a 401 in the error shape of the API, with the authentication scheme."""
    code = page.json()["error"]["code"] if page.status_code == 401 else ""
    return page.status_code == 401 and page["WWW-Authenticate"] == "Bearer" and code in {
        "not_authenticated",
        "authentication_failed",
        "invalid_api_key",
    }  # fmt: skip


def leads_to_sign_in(page: Page, path: str) -> bool:
    return page.status_code == 302 and page["Location"] == f"{reverse('account_login')}?next={path}"


def test_every_url_has_a_rule() -> None:
    answered = [*PUBLIC, *PAGES, *FOR_PROGRAMS, *ELSEWHERE]
    assert len(set(answered)) == len(answered)
    assert {route for route in ROUTES if not route.startswith(ADMIN)} == set(answered)
    assert all((settings.BASE_DIR / tests).exists() for tests in ELSEWHERE.values())
    assert len(ADMIN_ROUTES) > 50
    assert len(ROW_ROUTES) > 20


class TestAnonymous:
    """Callers without a session and a token, or with invalid ones."""

    @pytest.fixture(params=["nothing", "an expired token", "a revoked token", "deactivated"])
    def caller(self, request: pytest.FixtureRequest, alice: User, alice_token: str) -> tuple[Client, dict[str, str]]:
        """Return a client and its headers."""
        match request.param:
            case "nothing":
                return Client(), {}
            case "an expired token":
                ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
            case "a revoked token":
                ApiToken.objects.update(revoked_at=timezone.now())
        client = signed_in(alice) if request.param == "deactivated" else Client()
        User.objects.update(is_active=request.param != "deactivated")
        return client, bearer(alice_token)

    def test_programs_get_a_401_and_people_are_sent_to_sign_in(
        self, caller: tuple[Client, dict[str, str]], rows: dict[str, object]
    ) -> None:
        client, headers = caller
        before, wrong = everything(), []
        for route in (*FOR_PROGRAMS, *PAGES):
            path = path_of(route, rows)
            for method in METHODS:
                page = call(client, method, path, headers)
                is_right = is_refusal_of_programs(page) if route in FOR_PROGRAMS else leads_to_sign_in(page, path)
                wrong += [] if is_right else [(method, route, page.status_code)]
        assert not wrong
        assert everything() == before

    def test_the_session_of_a_deactivated_user_opens_nothing(self, alice: User, rows: dict[str, object]) -> None:
        client = signed_in(alice)
        User.objects.update(is_active=False)
        refused = [call(client, "GET", path_of(route, rows)) for route in FOR_PROGRAMS]
        assert {page.status_code for page in refused} == {401}

    def test_a_few_pages_are_public(self, caller: tuple[Client, dict[str, str]], rows: dict[str, object]) -> None:
        client, headers = caller
        for route in PUBLIC:
            page = call(client, "GET", path_of(route, rows), headers)
            assert page.status_code in {200, 301, 302, 400}, route
            assert "next=" not in page.get("Location", ""), route

    def test_the_admin_is_closed(self, caller: tuple[Client, dict[str, str]], rows: dict[str, object]) -> None:
        client, headers = caller
        assert not [route for route in ADMIN_ROUTES if not is_closed(client, path_of(route, rows), headers)]


def is_closed(client: Client, path: str, headers: dict[str, str] | None = None) -> bool:
    """Return whether a URL of the admin refuses or redirects to a sign-in page."""
    pages = [call(client, method, path, headers) for method in ("GET", "POST")]
    signs_in = (reverse("account_login"), reverse("admin:login"), reverse("admin:index"))
    return all(page.status_code in {403, 404} or page.get("Location", "").startswith(signs_in) for page in pages)


class TestOwner:
    """Alice has access to all her rows, but not to the admin."""

    @pytest.fixture(autouse=True)
    def a_model(self, rows: dict[str, object], remote_engines: FakeProvider) -> None:
        rows["model"] = "gpt-transcribe"

    def test_her_session_opens_it(self, alice: User, rows: dict[str, object]) -> None:
        client = signed_in(alice)
        answers = {route: first_answer(client, path_of(route, rows)) for route in (*PAGES, *FOR_PROGRAMS)}
        refused = {route for route, status in answers.items() if status in {401, 403, 404}}
        assert refused == {route for route in MISSING if answers[route] == 404}

    def test_her_token_opens_it_for_programs(self, rows: dict[str, object], alice_token: str) -> None:
        answers = {route: first_answer(Client(), path_of(route, rows), bearer(alice_token)) for route in FOR_PROGRAMS}
        refused = {route: status for route, status in answers.items() if status in {401, 403, 404}}
        assert refused.keys() <= MISSING

    def test_her_token_opens_no_page(self, rows: dict[str, object], alice_token: str) -> None:
        for route in PAGES:
            path = path_of(route, rows)
            assert leads_to_sign_in(call(Client(), "GET", path, bearer(alice_token)), path), route

    def test_the_admin_is_closed_to_her(self, alice: User, rows: dict[str, object], alice_token: str) -> None:
        client = signed_in(alice)
        assert not [route for route in ADMIN_ROUTES if not is_closed(client, path_of(route, rows), bearer(alice_token))]

    def test_the_home_page_is_hers_too(self, alice: User) -> None:
        assert signed_in(alice).get("/").status_code == 200


class TestOthers:
    """Rows of another person do not exist for a user, and outside of the admin not for staff either."""

    @pytest.fixture(params=["bob", "staff"])
    def other(self, request: pytest.FixtureRequest) -> User:
        user: User = request.getfixturevalue(request.param)
        return user

    @pytest.mark.parametrize("door", ["session", "token"])
    def test_a_foreign_row_is_a_404_and_is_not_changed(
        self, other: User, rows: dict[str, object], provider: FakeProvider, door: str
    ) -> None:
        headers = bearer(create_api_token(owner=other, name="tests")) if door == "token" else None
        before, wrong = everything(), {}
        for route in ROW_ROUTES:
            is_for_programs = route in FOR_PROGRAMS
            client = Client() if door == "token" and is_for_programs else signed_in(other)
            answers = statuses(client, path_of(route, rows), headers)
            if not set(answers.values()) <= {404, 405} or 404 not in answers.values():
                wrong[route] = answers
        assert not wrong
        assert everything() == before
        assert not provider.requests

    def test_a_foreign_row_looks_like_a_missing_one(self, other: User, rows: dict[str, object]) -> None:
        headers = bearer(create_api_token(owner=other, name="tests"))
        missing: dict[str, object] = {name: 2**31 if isinstance(row, int) else NOBODY for name, row in rows.items()}
        for route in ROW_ROUTES:
            for method in METHODS if route in FOR_PROGRAMS else []:
                foreign, unknown = [call(Client(), method, path_of(route, these), headers) for these in (rows, missing)]
                assert foreign.status_code == unknown.status_code, route
                assert foreign.content == unknown.content, route

    def test_staff_have_the_admin(self, staff: User, rows: dict[str, object]) -> None:
        client = signed_in(staff)
        for route in ADMIN_ROUTES:
            page = call(client, "GET", path_of(route, rows))
            assert page.status_code < 500, route
            assert reverse("account_login") not in page.get("Location", ""), route
            assert reverse("admin:login") not in page.get("Location", ""), route


class TestScopes:
    """A request needs exactly one scope: without it a token is refused, and with it alone it is accepted."""

    @pytest.mark.parametrize("method", METHODS)
    def test_a_request_needs_its_scope_and_no_other(
        self, alice: User, rows: dict[str, object], remote_engines: FakeProvider, method: str
    ) -> None:
        rows["model"] = "gpt-transcribe"
        right = {scope: self.token(alice, [scope]) for scope in Scope.values}
        wrong = {scope: self.token(alice, set(Scope.values) - {scope}) for scope in [*Scope.values, NO_TOKEN]}
        for route, scope in FOR_PROGRAMS.items():
            path, needed = path_of(route, rows), Scope.READ.value if method == "GET" else scope
            if scope == ANY_SCOPE or call(Client(), method, path, wrong[needed]).status_code == 405:
                continue
            refused = call(Client(), method, path, wrong[needed])
            code = "token_not_allowed" if needed == NO_TOKEN else "insufficient_scope"
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, code), route
            if needed != NO_TOKEN:
                assert call_and_roll_back(Client(), method, path, right[needed]).status_code not in {401, 403}, route

    @staticmethod
    def token(owner: User, scopes: Collection[str]) -> dict[str, str]:
        return bearer(create_api_token(owner=owner, name="tests", scopes=scopes))
