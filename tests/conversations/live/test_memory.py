"""What a live session keeps in memory. Sound is freed at once: it does not wait for the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from apps.conversations.live.answer import Answer
from apps.conversations.live.answering import KEPT_RESPONSES
from apps.conversations.live.question import Question
from apps.conversations.turn_events import Spoken
from apps.speech.audio.turn_taking import TurnTaking
from tests.client import wait_until
from tests.conftest import Server
from tests.conversations.live.client import PUSH_TO_TALK, LiveClient, hold, live, live_clip, silence
from tests.fakes.provider import FakeProvider

Turn = Callable[[LiveClient], Awaitable[None]]

QUESTION = live_clip("austen-0930.wav")
SERVER_VAD: dict[str, Any] = {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}


@pytest.fixture(autouse=True)
def without_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def count(kind: type) -> int:
    return sum(type(each) is kind for each in gc.get_objects())


async def ask_aloud(client: LiveClient) -> None:
    await client.say(QUESTION)
    await client.commit()
    await client.until_done()


async def interrupt(client: LiveClient) -> None:
    await client.write("What is the capital of France?")
    await client.send("response.create")
    await client.until("response.output_audio.delta")
    await client.send("response.cancel")
    await client.until_done()


async def speak(client: LiveClient) -> None:
    await client.say(QUESTION + silence(1.2))
    await client.until_done()
    await client.say(silence(2.0))  # What is said sooner belongs to the same question.


@pytest.mark.parametrize(
    ("session", "turn"),
    [(PUSH_TO_TALK, ask_aloud), (PUSH_TO_TALK, interrupt), (SERVER_VAD, speak)],
    ids=["asked", "interrupted", "hands-free"],
)
def test_a_session_keeps_its_last_answers_until_it_ends(
    server: Server, provider: FakeProvider, alice_token: str, session: dict[str, Any], turn: Turn
) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token, session) as client:
            for _ in range(KEPT_RESPONSES + 3):
                await turn(client)
            assert count(Answer) <= KEPT_RESPONSES
            assert count(Question) <= 1

    hold(server, talk())
    wait_until(lambda: count(TurnTaking) == 0)
    assert (count(Answer), count(Question)) == (0, 0)


def test_only_the_last_answer_keeps_its_sound(server: Server, provider: FakeProvider, alice_token: str) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token, PUSH_TO_TALK) as client:
            await ask_aloud(client)
            of_one_answer = count(Spoken)
            for _ in range(KEPT_RESPONSES):
                await ask_aloud(client)
            assert 0 < count(Spoken) < 2 * of_one_answer

    hold(server, talk())
