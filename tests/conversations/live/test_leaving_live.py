"""Clients that leave a live conversation before its answers are given."""

from __future__ import annotations

import pytest

from apps.conversations.models import Conversation, Turn
from tests.client import LONG_REPLY, Api, wait_until
from tests.conftest import Server
from tests.conversations.live.client import PUSH_TO_TALK, hold, live, live_clip, seconds_of
from tests.conversations.test_spoken_numbers import SPOKEN, WRITTEN
from tests.fakes.openai import CHAT
from tests.fakes.provider import FakeProvider

QUESTION = live_clip("austen-0930.wav")


@pytest.mark.parametrize("until", ["", "response.created", "response.output_audio.delta"])
def test_what_was_asked_is_answered_to_its_end_if_the_client_says_so(
    server: Server, provider: FakeProvider, alice_token: str, until: str
) -> None:
    provider.behaviour.reply, provider.behaviour.final_seconds = LONG_REPLY, 0.3

    async def talk() -> None:
        async with live(server.url, alice_token, PUSH_TO_TALK, finish="true") as client:
            await client.say(QUESTION)
            await client.commit()
            if until:
                await client.until(until)

    hold(server, talk())
    turn = Turn.objects.get()
    assert (turn.status, turn.reply, turn.spoken_text) == (Turn.Status.SPOKEN, LONG_REPLY.strip(), "")
    assert turn.answer
    assert turn.heard_by == "elevenlabs-live"
    assert len(provider.requests_to(CHAT)) == 1


def test_a_question_that_nobody_waited_for_can_be_tried_again(
    server: Server, provider: FakeProvider, alice_token: str, alice_api: Api
) -> None:
    provider.behaviour.final_seconds = 0.3

    async def talk() -> None:
        async with live(server.url, alice_token, PUSH_TO_TALK) as client:
            await client.say(QUESTION)
            await client.commit()

    hold(server, talk())
    turn = Turn.objects.get()
    assert (turn.status, turn.error_code, turn.retryable) == (Turn.Status.FAILED, "listener_left", True)
    assert alice_api.post(f"/api/v1/turns/{turn.pk}/retry").json()["status"] == "spoken"
    assert Conversation.objects.get().turns.count() == 1


def test_what_was_heard_of_numbers_is_told_by_what_the_voice_says(
    server: Server, provider: FakeProvider, alice_token: str
) -> None:
    provider.behaviour.reply = WRITTEN

    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await client.begin("When?")
            await client.until("response.output_audio.done")
            item_id = client.events[-1]["item_id"]
            share = len("It costs twenty-nine dollars and fifty cents, and Doctor L") / len(SPOKEN)
            heard_ms = round(1000 * share * seconds_of(client.sound()))
            fields = {"item_id": item_id, "content_index": 0, "audio_end_ms": heard_ms}
            await client.send("conversation.item.truncate", **fields)
            await client.until("conversation.item.truncated")

    hold(server, talk())
    wait_until(lambda: Turn.objects.get().status == Turn.Status.INTERRUPTED)
    assert Turn.objects.get().spoken_text == "It costs $29.50, and Dr."
