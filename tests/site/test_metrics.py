"""`/metrics`: its access control and its contents."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from prometheus_client.parser import text_string_to_metric_families

from apps.voices.deletion import enqueue_deletions
from apps.webhooks import services as webhooks
from apps.webhooks.models import WebhookEvent
from tests.client import bearer
from tests.factories import make_administrator
from tests.fakes.elevenlabs import SPEECH
from tests.fakes.openai import openai_error
from tests.outages import switch_off

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User
    from apps.conversations.models import Conversation
    from tests.client import Api
    from tests.fakes.provider import FakeProvider

TOKEN = "made-up-for-the-tests-of-numbers"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def token(settings: Settings) -> str:
    settings.METRICS_TOKEN = TOKEN
    return TOKEN


def read(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def scrape(client: Client, token: str) -> Samples:
    response = client.get("/metrics", headers=bearer(token))
    assert response.status_code == 200
    return read(response.content.decode())


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((f"voiceclone_{name}", frozenset(labels.items())), 0)


@pytest.mark.django_db
class TestAccess:
    @pytest.mark.parametrize("sent", ["", "wrong", "é"])
    def test_a_wrong_token_is_refused(self, client: Client, token: str, sent: str) -> None:
        response = client.get("/metrics", headers=bearer(sent) if sent else None)
        assert response.status_code == 401
        assert response["WWW-Authenticate"] == "Bearer"

    def test_an_empty_token_is_refused_if_the_setting_is_empty(self, client: Client) -> None:
        assert client.get("/metrics", headers=bearer("")).status_code == 401

    def test_administrators_have_access_and_other_people_do_not(self, client: Client, alice: User) -> None:
        client.force_login(alice)
        assert client.get("/metrics").status_code == 401
        alice.is_staff = True
        alice.save()
        assert client.get("/metrics").status_code == 401
        make_administrator(alice)
        assert client.get("/metrics").status_code == 200


def test_turns_are_counted_with_their_times_and_without_personal_data(
    alice_api: Api, conversation: Conversation, provider: FakeProvider, client: Client, token: str
) -> None:
    provider.behaviour.transcript = "Where is the treasure?"
    before = scrape(client, token)
    assert alice_api.ask(conversation).json()["status"] == "spoken"
    provider.fail_next(SPEECH, status=401, body=openai_error("invalid_api_key"))
    alice_api.ask(conversation)
    after = scrape(client, token)

    def counted(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert counted("turns_total", end="spoken", code="", attempt="first") == 1
    failed = sum(
        amount
        for (name, labels), amount in after.items()
        if name == "voiceclone_turns_total" and ("end", "failed") in labels
    )
    assert failed >= 1
    for stage in ("heard", "first_word", "first_audio", "total"):
        assert counted("turn_stage_seconds_count", stage=stage) >= 1
    assert any(name == "voiceclone_provider_errors_total" for name, _labels in after)
    text = str(after)
    for private in ("treasure", "alice", str(conversation.pk), provider.behaviour.reply):
        assert private not in text


def test_a_retry_is_counted_apart_and_without_the_stages_that_it_skips(
    alice_api: Api, conversation: Conversation, provider: FakeProvider, client: Client, token: str
) -> None:
    before = scrape(client, token)
    provider.fail_next(SPEECH, status=401, body=openai_error("invalid_api_key"))
    turn = alice_api.ask(conversation).json()
    assert alice_api.post(f"/api/v1/turns/{turn['id']}/retry").json()["status"] == "spoken"
    after = scrape(client, token)

    def counted(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert counted("turns_total", end="failed", code="provider_key_invalid", attempt="first") == 1
    assert counted("turns_total", end="spoken", code="", attempt="retry") == 1
    for stage, times in {"heard": 1, "first_word": 1, "first_audio": 1, "total": 2}.items():
        assert counted("turn_stage_seconds_count", stage=stage) == times


@pytest.mark.django_db
def test_breakers_and_the_queues_are_reported(
    client: Client, token: str, remote_engines: FakeProvider, alice: User
) -> None:
    enqueue_deletions([uuid4(), uuid4()])
    webhooks.create_webhook(owner=alice, url="https://93.184.215.14/")
    webhooks.notify(owner_id=alice.pk, event=WebhookEvent.TURN_DONE, data={})
    switch_off("openai", "hear")
    samples = scrape(client, token)
    assert value(samples, "breaker_state", engine="openai", stage="hear", state="open") == 1
    assert value(samples, "breaker_state", engine="openai", stage="hear", state="closed") == 0
    assert value(samples, "breaker_state", engine="elevenlabs", stage="speak", state="closed") == 1
    for queue, length in {"urgent": 2, "erasures": 0, "default": 0, "webhooks": 1}.items():
        assert value(samples, "task_queue_length", queue=queue) == length
    assert value(samples, "ready") == 1


@pytest.mark.django_db
def test_other_metrics_are_reported_without_the_database(client: Client, token: str) -> None:
    def database_down(*_args: object) -> object:
        raise OperationalError

    with connection.execute_wrapper(database_down):
        samples = scrape(client, token)
    assert not any(name == "voiceclone_task_queue_length" for name, _labels in samples)
