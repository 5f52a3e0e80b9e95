"""The audit log: sign-ins, refusals, and administrators who read conversations."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import ApiToken
from apps.accounts.services import create_api_token, revoke_api_token
from tests.client import bearer
from tests.conftest import PASSWORD
from tests.factories import make_administrator, make_turn

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User
    from apps.conversations.models import Conversation


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "voiceclone.audit")
    return caplog


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records if vars(record).get("audit") == name]


def sign_in(client: Client, password: str) -> None:
    client.post(reverse("account_login"), {"login": "alice", "password": password})


def test_signing_in_and_out_is_noted_with_the_address(
    client: Client, alice: User, audit: pytest.LogCaptureFixture
) -> None:
    sign_in(client, PASSWORD)
    client.post(reverse("account_logout"))
    for name in ("signed_in", "signed_out"):
        (event,) = events(audit, name)
        assert (event["user"], event["address"]) == (alice.pk, "127.0.0.1")


def test_a_refused_sign_in_is_noted_without_the_typed_text(
    client: Client, alice: User, audit: pytest.LogCaptureFixture
) -> None:
    sign_in(client, "typed by mistake")
    assert events(audit, "sign_in_refused")
    assert "typed by mistake" not in str([vars(record) for record in audit.records])


def test_a_stopped_sign_in_is_noted(
    client: Client, alice: User, audit: pytest.LogCaptureFixture, settings: Settings
) -> None:
    settings.LIMITS = True
    for _ in range(11):
        sign_in(client, "wrong")
    assert events(audit, "sign_in_stopped")


def test_the_use_of_a_token_is_noted_once_a_day(client: Client, alice: User, audit: pytest.LogCaptureFixture) -> None:
    secret = create_api_token(owner=alice, name="tests")
    for _ in range(3):
        client.get("/api/v1/voices", headers=bearer(secret))
    (event,) = events(audit, "token_used")
    assert event["token"] == ApiToken.objects.get().pk
    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(days=1))
    client.get("/api/v1/voices", headers=bearer(secret))
    assert len(events(audit, "token_used")) == 2


def test_refused_tokens_are_noted(client: Client, alice: User, audit: pytest.LogCaptureFixture) -> None:
    secret = create_api_token(owner=alice, name="tests", scopes=["read"])
    client.post("/api/v1/conversations", headers=bearer(secret))
    (event,) = events(audit, "scope_refused")
    assert (event["user"], event["scope"]) == (alice.pk, "talk")
    revoke_api_token(token=ApiToken.objects.get())
    client.get("/api/v1/voices", headers=bearer(secret))
    client.get("/api/v1/voices", headers=bearer("nonsense"))
    assert [event["reason"] for event in events(audit, "token_refused")] == ["revoked", "unknown"]
    assert secret not in str([vars(record) for record in audit.records])


def test_an_administrator_who_reads_a_conversation_is_noted_and_cannot_listen(
    client: Client, alice: User, conversation: Conversation, audit: pytest.LogCaptureFixture
) -> None:
    turn = make_turn(conversation)
    admin = make_administrator()
    client.force_login(admin)
    client.get(reverse("admin:conversations_conversation_change", args=[conversation.pk]))
    client.get(reverse("admin:conversations_turn_change", args=[turn.pk]))
    read = events(audit, "private_read")
    assert {event["row"] for event in read} == {f"conversation {conversation.pk}", f"turn {turn.pk}"}
    client.get(reverse("admin:conversations_turn_changelist"), {"q": "France"})
    (search,) = events(audit, "private_search")
    assert (search["user"], search["rows"]) == (admin.pk, "turn")
    assert "France" not in str(search)
    assert {(event["user"], event["owner"]) for event in read} == {(admin.pk, alice.pk)}
    for what in ("audio", "question"):
        assert client.get(f"/api/v1/turns/{turn.pk}/{what}").status_code == 404
