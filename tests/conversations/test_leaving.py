"""What becomes of a turn whose client does not wait for the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from apps.conversations.models import Conversation, Turn
from tests.client import QUESTION, Api, read_events, turns_path, wait_until
from tests.fakes.provider import CHAT, SPEECH, TRANSCRIPTIONS

if TYPE_CHECKING:
    from apps.voices.models import VoiceProfile
    from tests.fakes.provider import FakeProvider

LONG_REPLY = "One sentence. " + "Another one. " * 50


def leave_after(api: Api, conversation: Conversation, name: str) -> None:
    """Ask, and close the connection at the first event of that name."""
    url, headers = turns_path(conversation), {"Accept": "text/event-stream"}
    with api.post(url, json={"text": "Hello?"}, headers=headers, stream=True) as response:
        assert any(event.name == name for event in read_events(response))


def wait_for_interruption() -> Turn:
    wait_until(lambda: Turn.objects.get().status == "interrupted")
    return Turn.objects.get()


def test_leaving_while_the_reply_is_written_ends_the_call_and_keeps_what_was_said(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.reply, provider.behaviour.tokens_per_second = LONG_REPLY, 20
    leave_after(alice_api, conversation, "said")
    turn = wait_for_interruption()
    (think,) = provider.requests_to(CHAT)
    assert think.finished.wait(2)
    assert think.left_early
    assert turn.reply
    assert LONG_REPLY.startswith(turn.reply)
    assert turn.total_ms
    assert not turn.answer


def test_leaving_while_the_answer_is_spoken_ends_the_call_and_keeps_the_reply(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.audio_speed = 1
    leave_after(alice_api, conversation, "spoken")
    assert wait_for_interruption().reply == provider.behaviour.reply
    (speak,) = provider.requests_to(SPEECH)
    assert speak.finished.wait(2)
    assert speak.left_early


def test_leaving_before_the_first_event_ends_the_call(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.hear_seconds = 60
    with pytest.raises(requests.RequestException):
        alice_api.ask(conversation, headers={"Accept": "text/event-stream"}, timeout=0.5)
    turn = wait_for_interruption()
    (hear,) = provider.requests_to(TRANSCRIPTIONS)
    assert hear.finished.wait(2)
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
    assert think.finished.wait(2)
    assert think.left_early


def test_leaving_the_full_interaction_ends_the_calls_too(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    provider.behaviour.hear_seconds = 60
    with pytest.raises(requests.RequestException):
        form = {"data": {"voice_id": voice.voice_id}, "files": {"audio_file": QUESTION}}
        alice_api.post("/full-interaction", timeout=0.5, **form)
    wait_for_interruption()


def test_the_conversation_goes_on_afterwards_and_remembers_what_was_said(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.reply, provider.behaviour.tokens_per_second = LONG_REPLY, 20
    leave_after(alice_api, conversation, "said")
    reply = wait_for_interruption().reply
    provider.behaviour.reply, provider.behaviour.tokens_per_second = "Yes.", 0
    assert alice_api.ask(conversation, text="Go on?").json()["status"] == "spoken"
    messages = provider.requests_to(CHAT)[-1].json["messages"]
    assert messages[1:] == [
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": reply},
        {"role": "user", "content": "Go on?"},
    ]
