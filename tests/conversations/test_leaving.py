"""Turns whose client disconnects, or stops them, before their end."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
import requests

from apps.conversations import services
from apps.conversations.models import Conversation, Turn
from apps.conversations.turn import run_turn
from apps.conversations.turn_events import Done
from apps.speech import registry
from apps.usage.models import UsageDay, UsageRecord
from tests.client import PATIENCE_SECONDS, QUESTION, Api, read_events, turns_path, wait_until
from tests.fakes.behaviour import Behaviour
from tests.fakes.elevenlabs import SPEECH
from tests.fakes.openai import CHAT, TRANSCRIPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings

    from apps.voices.models import VoiceProfile
    from tests.fakes.provider import FakeProvider

LONG_REPLY = "One sentence. " + "Another one. " * 50


def leave_after(api: Api, conversation: Conversation, name: str, *, when: Callable[[], object] = lambda: True) -> None:
    """Ask, and close the connection after the first event called `name`, once `when` returns something true."""
    url, headers = turns_path(conversation), {"Accept": "text/event-stream"}
    with api.post(url, json={"text": "Hello?"}, headers=headers, stream=True) as response:
        assert any(event.name == name for event in read_events(response))
        wait_until(when)


def wait_for_interruption() -> Turn:
    wait_until(Turn.objects.filter(status="interrupted").exists)
    return Turn.objects.get()


def test_leaving_when_the_question_is_heard_ends_the_call_and_keeps_the_question(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.first_token_seconds = 60
    leave_after(alice_api, conversation, "heard")
    turn = wait_for_interruption()
    calls = provider.requests_to(CHAT)  # None if the model was not asked yet.
    assert all(think.finished.wait(PATIENCE_SECONDS) and think.left_early for think in calls)
    assert (turn.transcript, turn.reply) == ("Hello?", "")


def test_leaving_at_the_last_event_loses_nothing(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    leave_after(alice_api, conversation, "done")
    turn = Turn.objects.get()
    assert (turn.status, turn.reply) == ("spoken", provider.behaviour.reply)


@pytest.mark.usefixtures("remote_engines")
@pytest.mark.django_db(transaction=True)
def test_leaving_at_the_last_event_settles_the_reservation(conversation: Conversation, settings: Settings) -> None:
    settings.LIMITS = True
    voice = services.voice_of(conversation=conversation)
    prepared = services.new_turn(conversation=conversation, voice=voice, text="Hm?")

    async def leave_after_the_last_event(engines: registry.Engines) -> None:
        async for event in run_turn(prepared, engines):
            if isinstance(event, Done):
                task = asyncio.current_task()
                assert task
                task.cancel()

    with pytest.raises(asyncio.CancelledError):
        registry.call(leave_after_the_last_event)
    day = UsageDay.objects.get()
    assert (day.running, day.reserved_characters, day.requests) == (0, 0, 1)
    assert UsageRecord.objects.get().reference == prepared.turn.pk


def test_leaving_while_the_reply_is_written_ends_the_call_and_keeps_what_was_said(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.reply, provider.behaviour.tokens_per_second = LONG_REPLY, 20
    leave_after(alice_api, conversation, "said")
    turn = wait_for_interruption()
    (think,) = provider.requests_to(CHAT)
    assert think.finished.wait(PATIENCE_SECONDS)
    assert think.left_early
    assert turn.reply
    assert LONG_REPLY.startswith(turn.reply)
    assert turn.first_word_ms is not None
    assert turn.total_ms
    assert not turn.answer


def test_leaving_while_the_answer_is_spoken_ends_the_call_and_keeps_the_reply(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.audio_speed = 1
    leave_after(alice_api, conversation, "spoken", when=Turn.objects.exclude(reply="").exists)
    turn = wait_for_interruption()
    assert turn.reply == provider.behaviour.reply
    assert turn.first_audio_ms is not None
    calls = provider.requests_to(SPEECH)
    assert all(speak.finished.wait(PATIENCE_SECONDS) for speak in calls)
    assert all(speak.left_early for speak in calls)


def test_leaving_before_the_first_event_ends_the_call(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.hear_seconds = 60
    with pytest.raises(requests.RequestException):
        alice_api.ask(conversation, headers={"Accept": "text/event-stream"}, timeout=0.5)
    turn = wait_for_interruption()
    (hear,) = provider.requests_to(TRANSCRIPTIONS)
    assert hear.finished.wait(PATIENCE_SECONDS)
    assert hear.left_early
    assert turn.question


def test_leaving_a_json_call_ends_the_calls_too(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.first_token_seconds = 60
    with pytest.raises(requests.RequestException):
        alice_api.ask(conversation, text="Hello?", timeout=0.5)
    wait_for_interruption()
    (think,) = provider.requests_to(CHAT)
    assert think.finished.wait(PATIENCE_SECONDS)
    assert think.left_early


def test_leaving_the_full_interaction_ends_the_calls_too(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    provider.behaviour.hear_seconds = 60
    form = {"data": {"voice_id": voice.voice_id}, "files": {"audio_file": QUESTION}}
    with pytest.raises(requests.RequestException):
        alice_api.post("/full-interaction", timeout=0.5, **form)
    wait_for_interruption()


def messages_of_next_turn(api: Api, provider: FakeProvider, conversation: Conversation) -> list[dict[str, str]]:
    """Ask once more, and return the messages to the model without its instructions."""
    provider.behaviour = Behaviour()
    assert api.ask(conversation, text="Go on?").json()["status"] == "spoken"
    messages: list[dict[str, str]] = provider.requests_to(CHAT)[-1].json["messages"]
    return messages[1:]


def test_the_next_turn_does_not_remember_a_reply_that_nobody_heard(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.reply, provider.behaviour.tokens_per_second = LONG_REPLY, 20
    provider.behaviour.first_audio_seconds = 60
    leave_after(alice_api, conversation, "said")
    assert wait_for_interruption().reply
    assert messages_of_next_turn(alice_api, provider, conversation) == [
        {"role": "user", "content": "Hello?\n\nGo on?"},
    ]


def test_the_next_turn_remembers_only_what_was_heard(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.reply = LONG_REPLY
    provider.behaviour.audio_speed = 2
    url, headers = turns_path(conversation), {"Accept": "text/event-stream"}
    with alice_api.post(url, json={"text": "Hello?"}, headers=headers, stream=True) as response:
        assert any(event.name == "spoken" and event.data["index"] == 2 for event in read_events(response))
    turn = wait_for_interruption()
    assert turn.reply == LONG_REPLY.strip()
    assert 0 < len(turn.spoken_text) < len(LONG_REPLY) / 2
    assert LONG_REPLY.startswith(turn.spoken_text)
    assert turn.answer_seconds
    remembered = messages_of_next_turn(alice_api, provider, conversation)[1]
    assert remembered == {"role": "assistant", "content": turn.spoken_text}


def test_stopping_interrupts_a_running_turn_within_two_seconds(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.reply, provider.behaviour.audio_speed = LONG_REPLY, 1
    url, headers = turns_path(conversation), {"Accept": "text/event-stream"}
    with alice_api.post(url, json={"text": "Hello?"}, headers=headers, stream=True) as response:
        events = read_events(response)
        assert any(event.name == "spoken" for event in events)
        turn = Turn.objects.get()
        stopped_at = time.monotonic()
        assert alice_api.post(f"/api/v1/turns/{turn.pk}/stop").status_code == 202
        last = list(events)[-1]
    assert time.monotonic() - stopped_at < 2
    assert last.name == "done"
    assert last.data["reply"] == Turn.objects.get().spoken_text
    assert Turn.objects.get().status == "interrupted"
    assert all(speak.finished.wait(PATIENCE_SECONDS) for speak in provider.requests_to(SPEECH))


def test_of_several_running_turns_only_the_requested_one_is_stopped(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.reply, provider.behaviour.audio_speed = LONG_REPLY, 2
    url, headers = turns_path(conversation), {"Accept": "text/event-stream"}
    with (
        alice_api.post(url, json={"text": "First?"}, headers=headers, stream=True) as first,
        alice_api.post(url, json={"text": "Second?"}, headers=headers, stream=True) as second,
    ):
        first_events, second_events = read_events(first), read_events(second)
        assert any(event.name == "spoken" for event in first_events)
        alice_api.post(f"/api/v1/turns/{Turn.objects.get(transcript='First?').pk}/stop")
        assert list(first_events)[-1].data["reply"] != LONG_REPLY.strip()
        provider.behaviour.audio_speed = 0
        assert list(second_events)[-1].data["reply"] == LONG_REPLY.strip()
    assert Turn.objects.get(transcript="First?").status == "interrupted"
    assert Turn.objects.get(transcript="Second?").status == "spoken"


def test_a_complete_answer_is_remembered_as_far_as_it_was_heard(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.reply = "The first half of it is this, and the second half was never heard."
    turn = alice_api.ask(conversation, text="Hello?").json()
    stopped = alice_api.post(f"/api/v1/turns/{turn['id']}/stop", json={"heard_seconds": turn["answer_seconds"] / 2})
    assert stopped.json()["status"] == "interrupted"
    assert stopped.json()["reply"] == provider.behaviour.reply
    remembered = messages_of_next_turn(alice_api, provider, conversation)[1]
    assert remembered == {"role": "assistant", "content": "The first half of it is this,"}


@pytest.mark.parametrize("heard_seconds", [-1, "soon", 1000])
def test_an_answer_that_was_heard_to_its_end_stays_spoken(
    alice_api: Api, conversation: Conversation, heard_seconds: object
) -> None:
    turn = alice_api.ask(conversation, text="Hello?").json()
    alice_api.post(f"/api/v1/turns/{turn['id']}/stop", json={"heard_seconds": heard_seconds})
    assert Turn.objects.get().status == "spoken"


def test_stopping_a_turn_that_is_over_changes_nothing(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    turn = alice_api.ask(conversation, text="Hello?").json()
    assert alice_api.post(f"/api/v1/turns/{turn['id']}/stop").json()["status"] == "spoken"
    assert Turn.objects.get().stop_requested is False
