"""Turns whose process was killed, or was stalled for so long that it counts as killed."""

from __future__ import annotations

from datetime import timedelta
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from apps.background.management.commands import worker
from apps.background.reconciling import planned, reconcile, reconcile_quickly
from apps.conversations.models import Conversation, Turn
from apps.conversations.services import new_turn
from apps.core import leases
from apps.usage import metering
from apps.usage.models import UsageDay, UsageRecord
from tests.client import Api, names_in_order, wait_until
from tests.factories import make_turn
from tests.fakes.elevenlabs import SPEECH
from tests.fakes.openai import CHAT, TRANSCRIPTIONS

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.fakes.provider import FakeProvider


def abandoned_turn(conversation: Conversation, **values: Any) -> Turn:
    long_ago = timezone.now() - timedelta(seconds=1)
    return make_turn(conversation, **{"lease_until": long_ago, "answer": "", "reply": ""} | values)


def outcomes_of_reconciling() -> list[str]:
    return [outcome for _repair, outcome in reconcile()]


@pytest.mark.parametrize(("status", "stage"), [("received", "hear"), ("heard", "think"), ("answered", "speak")])
def test_it_fails_in_the_stage_that_it_was_killed_in_and_keeps_its_results(
    remote_engines: FakeProvider, conversation: Conversation, status: str, stage: str
) -> None:
    turn = abandoned_turn(conversation, status=status, reply="Paris.")
    assert outcomes_of_reconciling() == ["done"]
    turn.refresh_from_db()
    assert (turn.status, turn.failed_stage, turn.error_code) == ("failed", stage, "server_stopped")
    assert turn.retryable
    assert "Try again" in turn.error_message
    assert (turn.transcript, turn.reply, turn.has_question) == ("What is the capital of France?", "Paris.", True)
    assert outcomes_of_reconciling() == []


def test_one_with_a_stop_request_is_interrupted(remote_engines: FakeProvider, conversation: Conversation) -> None:
    turn = abandoned_turn(conversation, status="heard", stop_requested=True)
    assert outcomes_of_reconciling() == ["done"]
    turn.refresh_from_db()
    assert (turn.status, turn.failed_stage, turn.error_code) == ("interrupted", "think", "")


@pytest.mark.parametrize("values", [{"status": "heard", "lease_until": timezone.now() + timedelta(hours=1)}, {}])
def test_one_that_runs_or_is_over_is_left_alone(
    remote_engines: FakeProvider, conversation: Conversation, values: dict[str, Any]
) -> None:
    abandoned_turn(conversation, **values)
    assert list(planned()) == []
    assert outcomes_of_reconciling() == []


def test_a_retry_needs_no_worker_and_repeats_no_paid_call(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    turn = abandoned_turn(conversation, status="answered", reply="Paris.")
    events = alice_api.events_of(f"/api/v1/turns/{turn.pk}/retry")
    assert names_in_order(events) == ["heard", "said", "spoken", "done"]
    assert not provider.requests_to(TRANSCRIPTIONS)
    assert not provider.requests_to(CHAT)


def test_the_worker_ends_it_soon_without_asking_a_provider(
    remote_engines: FakeProvider, provider: FakeProvider, conversation: Conversation
) -> None:
    """Lists of voices are asked for less often."""
    abandoned_turn(conversation, status="heard")
    assert leases.ROW_LEASE.total_seconds() + worker.QUICK_RECONCILE_SECONDS <= 70  # docs/reliability.md
    assert leases.ROW_LEASE.total_seconds() > 3 * leases.RENEW_SECONDS
    assert [outcome for _repair, outcome in reconcile_quickly()] == ["done"]
    assert Turn.objects.get().error_code == "server_stopped"
    assert not provider.requests


def test_what_was_reserved_without_a_turn_is_given_back(
    remote_engines: FakeProvider, conversation: Conversation, settings: Settings
) -> None:
    settings.LIMITS = True
    metering.reserve(owner_id=conversation.owner_id, heard_seconds=3, characters=100)
    assert outcomes_of_reconciling() == []
    UsageDay.objects.update(last_request_at=timezone.now() - metering.RESERVATION_LIFETIME - timedelta(seconds=1))
    assert outcomes_of_reconciling() == ["done"]
    today = UsageDay.objects.get()
    assert (today.running, today.reserved_heard_ms, today.reserved_characters, today.requests) == (0, 0, 0, 1)


def test_its_reservation_is_settled_with_its_usage(
    remote_engines: FakeProvider, conversation: Conversation, settings: Settings
) -> None:
    settings.LIMITS = True
    turn = new_turn(conversation=conversation, voice=conversation.voice, text="Hello?").turn  # type: ignore[arg-type]
    turn.lease_until = timezone.now() - timedelta(seconds=1)
    turn.status, turn.reply = Turn.Status.ANSWERED, "Paris."
    turn.save()
    today = UsageDay.objects.get()
    assert (today.running, today.reserved_characters) == (1, metering.longest_reply())
    outcomes_of_reconciling()
    today.refresh_from_db()
    assert (today.running, today.requests, today.reserved_characters) == (0, 1, 0)
    assert today.spoken_characters == len("Paris.")
    assert UsageRecord.objects.get().reference == turn.pk


def test_a_turn_that_runs_for_long_keeps_its_lease(
    alice_api: Api, provider: FakeProvider, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.02)
    provider.behaviour.first_token_seconds = 0.5
    before = timezone.now() + leases.ROW_LEASE
    assert alice_api.ask(conversation, text="Hello?").json()["status"] == "spoken"
    assert Turn.objects.get().lease_until > before + timedelta(seconds=0.4)


def test_a_stalled_process_ends_a_turn_that_another_process_has_ended(
    alice_api: Api, provider: FakeProvider, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not store anything: another attempt may already be running."""
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.2)
    provider.behaviour.first_token_seconds = 60

    def take_away() -> None:
        wait_until(lambda: provider.requests_to(CHAT))
        Turn.objects.update(status="failed", failed_stage="think", error_code="server_stopped", lease_until=long_ago)

    long_ago = timezone.now() - timedelta(days=1)
    taker = Thread(target=take_away)
    taker.start()
    events = alice_api.events_of_turn(conversation, text="Hello?")
    taker.join()
    assert events[-1].name == "failed"
    assert (events[-1].data["stage"], events[-1].data["code"]) == ("think", "server_stopped")
    assert provider.requests_to(CHAT)[0].finished.wait(60)
    assert not provider.requests_to(SPEECH)
    turn = Turn.objects.get()
    assert (turn.status, turn.lease_until) == ("failed", long_ago)
    assert not UsageRecord.objects.exists()
