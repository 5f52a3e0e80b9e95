"""Asking in a conversation, answered as a stream of events."""

from __future__ import annotations

import base64
import itertools
from typing import TYPE_CHECKING

import pytest

from apps.conversations.models import Conversation, Turn
from tests.client import LONG_REPLY, QUESTION, Api, Event, error_of, names_in_order, read_events, turns_path
from tests.fakes.elevenlabs import CHARACTERS_PER_SECOND, SPEECH, elevenlabs_error
from tests.fakes.openai import CHAT, TRANSCRIPTIONS, openai_error

if TYPE_CHECKING:
    from tests.fakes.provider import FakeProvider

EVENT_STREAM = {"Accept": "text/event-stream"}


def of_name(events: list[Event], name: str) -> list[Event]:
    return [event for event in events if event.name == name]


def test_events_come_in_order(alice_api: Api, conversation: Conversation) -> None:
    names = [event.name for event in alice_api.events_of_turn(conversation)]
    assert set(names) == {"heard", "said", "spoken", "done"}
    assert names[0] == "heard"
    assert names[-1] == "done"
    assert names.index("said") < names.index("spoken")
    assert names.count("heard") == names.count("done") == 1


def test_heard_has_the_transcript(alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
    provider.behaviour.languages = ["en"]
    heard = alice_api.events_of_turn(conversation)[0]
    turn_id = str(Turn.objects.get().pk)
    assert heard.data == {"turn_id": turn_id, "text": provider.behaviour.transcript, "language": "en"}


def test_a_typed_question_is_heard_at_once(alice_api: Api, conversation: Conversation) -> None:
    assert alice_api.events_of_turn(conversation, text="Who are you?")[0].data["text"] == "Who are you?"


def test_said_is_the_reply_in_deltas(alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
    provider.behaviour.reply = "パリ です。 It’s <b>Paris</b>.\n\nOn the Seine."
    said = of_name(alice_api.events_of_turn(conversation), "said")
    assert all(event.data.keys() == {"delta"} for event in said)
    assert len(said) > 3
    assert "".join(event.data["delta"] for event in said) == provider.behaviour.reply


def test_spoken_is_the_sound_of_each_sentence_in_chunks(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.reply = LONG_REPLY
    spoken = of_name(alice_api.events_of_turn(conversation), "spoken")
    assert [event.data["index"] for event in spoken] == sorted(event.data["index"] for event in spoken)
    groups = [list(group) for _index, group in itertools.groupby(spoken, key=lambda event: event.data["index"])]
    assert len(groups) > 1
    assert " ".join(group[0].data["text"] for group in groups) == LONG_REPLY
    for group in groups:
        assert len(group) > 1
        assert all((event.data["format"], event.data["sample_rate"]) == ("pcm_s16le", 24_000) for event in group)
        pcm = b"".join(base64.b64decode(event.data["audio"]) for event in group)
        seconds = len(pcm) / 2 / 24_000
        assert seconds == pytest.approx(len(group[0].data["text"]) / CHARACTERS_PER_SECOND, abs=0.01)


def test_done_has_the_reply_and_the_times(alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
    done = alice_api.events_of_turn(conversation)[-1]
    turn = Turn.objects.get()
    assert done.data == {"turn_id": str(turn.pk), "reply": provider.behaviour.reply, "timings": turn.timings}
    assert turn.status == "spoken"


def test_events_arrive_while_the_turn_is_running(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.tokens_per_second = 20
    url = turns_path(conversation)
    with alice_api.post(url, json={"text": "Hello?"}, headers=EVENT_STREAM, stream=True) as response:
        events = read_events(response)
        assert any(event.name == "spoken" for event in events)
        assert Turn.objects.get().status == "heard"
        names = [event.name for event in events]
    assert "said" in names
    assert names[-1] == "done"


def test_proxies_neither_cache_nor_buffer_the_stream(alice_api: Api, conversation: Conversation) -> None:
    url = turns_path(conversation)
    with alice_api.post(url, json={"text": "Hello?"}, headers=EVENT_STREAM, stream=True) as response:
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["X-AI-Generated"] == "true"
        list(read_events(response))


def test_an_error_before_the_stream_begins_is_json(alice_api: Api, conversation: Conversation) -> None:
    response = alice_api.post(turns_path(conversation), files={"audio": b"text"}, headers=EVENT_STREAM)
    assert response.status_code == 422
    assert error_of(response)["code"] == "audio_format_unknown"


class TestFailures:
    """Every stream ends in `done` or `failed`, and the results of earlier stages are kept."""

    def test_hearing(self, alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
        provider.fail_next(TRANSCRIPTIONS, status=401, body=openai_error("invalid_api_key"))
        events = alice_api.events_of_turn(conversation)
        assert names_in_order(events) == ["failed"]
        turn = Turn.objects.get()
        data = events[0].data
        assert data.pop("message")
        assert data == {
            "stage": "hear",
            "code": "provider_key_invalid",
            "retryable": False,
            "turn_id": str(turn.pk),
        }
        assert (turn.status, turn.failed_stage, turn.error_code) == ("failed", "hear", "provider_key_invalid")
        assert turn.question
        assert len(provider.requests) == 1

    def test_nothing_heard(self, alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
        provider.behaviour.transcript = ""
        events = alice_api.events_of_turn(conversation)
        assert names_in_order(events) == ["failed"]
        assert (events[0].data["stage"], events[0].data["code"]) == ("hear", "nothing_heard")
        assert events[0].data["retryable"] is False
        assert len(provider.requests) == 1

    def test_thinking(self, alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
        provider.fail_next(CHAT, status=429, body=openai_error("insufficient_quota"))
        events = alice_api.events_of_turn(conversation)
        assert names_in_order(events) == ["heard", "failed"]
        assert (events[-1].data["stage"], events[-1].data["code"]) == ("think", "provider_quota_exhausted")
        turn = Turn.objects.get()
        assert (turn.status, turn.failed_stage, turn.transcript) == ("failed", "think", provider.behaviour.transcript)
        assert not provider.requests_to(SPEECH)

    def test_thinking_that_breaks_off(self, alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
        provider.leave_out_end(CHAT)
        events = alice_api.events_of_turn(conversation)
        assert names_in_order(events)[:2] == ["heard", "said"]
        assert events[-1].name == "failed"
        assert (events[-1].data["stage"], events[-1].data["code"]) == ("think", "provider_incomplete")
        assert events[-1].data["retryable"] is True
        assert Turn.objects.get().reply == ""

    def test_an_empty_reply(self, alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
        provider.behaviour.reply = ""
        events = alice_api.events_of_turn(conversation)
        assert events[-1].name == "failed"
        assert events[-1].data["stage"] == "think"
        assert not provider.requests_to(SPEECH)

    def test_speaking(self, alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
        provider.fail_next(SPEECH, status=401, body=elevenlabs_error("quota_exceeded"), times=2)
        events = alice_api.events_of_turn(conversation)
        assert names_in_order(events) == ["heard", "said", "failed"]
        assert (events[-1].data["stage"], events[-1].data["code"]) == ("speak", "provider_quota_exhausted")
        turn = Turn.objects.get()
        assert (turn.status, turn.failed_stage, turn.reply) == ("failed", "speak", provider.behaviour.reply)
        assert not turn.answer

    def test_speaking_that_breaks_off(self, alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
        provider.cut_after(SPEECH, 20_000)
        events = alice_api.events_of_turn(conversation)
        assert "spoken" in names_in_order(events)
        assert events[-1].name == "failed"
        assert (events[-1].data["stage"], events[-1].data["code"]) == ("speak", "provider_incomplete")
        assert Turn.objects.get().reply == provider.behaviour.reply

    def test_a_busy_service_is_called_again(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation
    ) -> None:
        for path in (TRANSCRIPTIONS, CHAT, SPEECH):
            provider.fail_next(path, status=503, headers={"retry-after": "0"})
        assert alice_api.events_of_turn(conversation)[-1].name == "done"
        assert len(provider.requests_to(TRANSCRIPTIONS)) == len(provider.requests_to(CHAT)) == 2

    def test_a_json_caller_gets_the_same_error(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation
    ) -> None:
        provider.fail_next(SPEECH, status=401, body=elevenlabs_error("quota_exceeded"))
        response = alice_api.ask(conversation)
        assert response.status_code == 201
        error = response.json()["error"]
        assert (error["stage"], error["code"]) == ("speak", "provider_quota_exhausted")
        assert error["message"]


def test_a_recording_may_be_streamed_in_a_form(alice_api: Api, conversation: Conversation) -> None:
    events = alice_api.events_of(turns_path(conversation), files={"audio": ("q", QUESTION, "application/octet-stream")})
    assert events[-1].name == "done"


def test_a_comment_keeps_an_idle_connection_open(
    alice_api: Api, provider: FakeProvider, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.conversations.turn.WAITING_SECONDS", 0.05)
    provider.behaviour.first_token_seconds = 0.3
    response = alice_api.ask(conversation, text="Hello?", headers=EVENT_STREAM)
    assert response.text.count(": the turn goes on\n\n") >= 2
    assert response.text.index("event: heard") < response.text.index(": the turn goes on")
