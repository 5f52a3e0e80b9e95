"""Somebody speaks, or something is heard, while an answer plays."""

from __future__ import annotations

import asyncio

import pytest

from apps.conversations.models import Turn
from apps.speech.base import LIVE_SAMPLE_RATE
from tests.client import wait_until
from tests.conftest import Server
from tests.conversations.live.client import LiveClient, hold, live, live_clip, louder, seconds_of, silence
from tests.conversations.live.test_push_to_talk import messages_of
from tests.conversations.live.test_turn_detection import noise
from tests.fakes.openai import CHAT
from tests.fakes.provider import FakeProvider

QUESTION = live_clip("austen-0930.wav")
REPLY = "The capital of France is Paris. It lies on the river Seine, in the north of the country, as all know."


def cough() -> bytes:
    """Return 200 ms of a voice, from its first sound on."""
    pcm = live_clip("austen-0890.wav")
    return pcm[2 * 6720 : 2 * (6720 + LIVE_SAMPLE_RATE // 5)]


@pytest.fixture(autouse=True)
def long_reply(provider: FakeProvider) -> None:
    provider.behaviour.reply = REPLY


async def listen(client: LiveClient) -> str:
    """Ask, and return the item of the answer when its first sound is there."""
    await client.write("First?")
    await client.send("response.create")
    item_id: str = (await client.until("response.output_audio.delta"))["item_id"]
    return item_id


def test_speech_interrupts_within_200_ms(server: Server, provider: FakeProvider, alice_token: str) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            item_id = await listen(client)
            saying = asyncio.create_task(client.say(silence(0.6) + QUESTION + silence(1), in_real_time=True))
            started = await client.until("input_audio_buffer.speech_started")
            # Told by the sound that was sent: a busy machine sends less. It is 200 ms on a quiet one.
            assert client.sent_seconds - started["audio_start_ms"] / 1000 < 0.35
            interrupted = await client.until_done()
            assert interrupted["status_details"]["reason"] == "turn_detected"
            assert interrupted["output"][0]["status"] == "incomplete"
            seen = len(client.events)
            await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=700)
            await client.until("conversation.item.truncated")
            assert (await client.until_done())["status"] == "completed"
            assert not [each for each in client.events[seen:] if each.get("response_id") == interrupted["id"]]
            await saying

    hold(server, talk())
    wait_until(lambda: Turn.objects.filter(status=Turn.Status.SPOKEN).exists())
    first, second = Turn.objects.order_by("created_at")
    assert (first.status, second.status) == (Turn.Status.INTERRUPTED, Turn.Status.SPOKEN)
    assert 3 <= len(first.spoken_text) <= 20  # 0.7 s at 15 characters a second.
    expected = ["First?", first.spoken_text, provider.behaviour.transcript]
    assert [message["content"] for message in messages_of(provider)] == expected


def test_also_what_is_still_played_after_the_end_of_the_response(
    server: Server, provider: FakeProvider, alice_token: str
) -> None:
    provider.behaviour.reply = "It is Paris, as everybody knows."

    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await client.ask("First?")
            await client.say(silence(0.2) + QUESTION + silence(1))
            assert (await client.until_done())["status"] == "completed"

    hold(server, talk())
    first = Turn.objects.order_by("created_at")[0]
    assert first.status == Turn.Status.INTERRUPTED
    assert first.spoken_text != first.reply


def test_a_cough_pauses_the_answer(server: Server, provider: FakeProvider, alice_token: str) -> None:
    provider.behaviour.spoken_seconds = 20  # So that a cough is not a word.

    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await listen(client)
            await client.say(silence(0.3) + cough() + silence(0.8))
            await client.until("input_audio_buffer.speech_started")
            paused = await client.until_done()
            assert paused["status_details"]["reason"] == "turn_detected"
            resumed = await client.until_done()
            assert resumed["status"] == "completed"
            texts = [response["output"][0]["content"][0]["transcript"] for response in (paused, resumed)]
            assert REPLY.endswith(texts[1][-40:])
            whole = seconds_of(client.sound(resumed["output"][0]["id"]))
            assert whole < len(REPLY) / 15 + 0.5
            assert not client.of("input_audio_buffer.committed")

    hold(server, talk())
    turn = Turn.objects.get()
    assert (turn.status, turn.reply) == (Turn.Status.SPOKEN, REPLY)
    assert len(provider.requests_to(CHAT)) == 1


def test_a_long_noise_without_words_does_not_end_the_answer(
    server: Server, provider: FakeProvider, alice_token: str
) -> None:
    provider.behaviour.spoken_seconds = 60

    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await listen(client)
            await client.say(silence(0.3) + QUESTION + silence(1))
            assert (await client.until_done())["status"] == "cancelled"
            assert (await client.until_done())["status"] == "completed"
            assert client.of("conversation.item.deleted")

    hold(server, talk())
    assert Turn.objects.get().status == Turn.Status.SPOKEN
    assert len(provider.requests_to(CHAT)) == 1


def test_a_cancelled_answer_does_not_go_on_after_a_cough(
    server: Server, provider: FakeProvider, alice_token: str
) -> None:
    provider.behaviour.spoken_seconds = 20

    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await listen(client)
            await client.say(silence(0.3) + cough())
            await client.until_done()
            assert (await client.refused("response.cancel"))["code"] == "response_cancel_not_active"
            await client.say(silence(0.6))
            await client.none_of("response.created")

    hold(server, talk())
    assert Turn.objects.get().status == Turn.Status.INTERRUPTED


def test_nothing_interrupts_if_the_client_does_not_want_it(
    server: Server, provider: FakeProvider, alice_token: str
) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await client.update({"audio": {"input": {"turn_detection": {"interrupt_response": False}}}})
            await listen(client)
            await client.say(silence(0.3) + QUESTION + silence(1))
            first, second = await client.until_done(), await client.until_done()
            assert first["status"] == second["status"] == "completed", second

    hold(server, talk())
    assert [turn.status for turn in Turn.objects.all()] == [Turn.Status.SPOKEN] * 2


@pytest.mark.parametrize("sound", ["echo", "noise"])
def test_its_own_echo_does_not_interrupt(server: Server, provider: FakeProvider, alice_token: str, sound: str) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await listen(client)
            await client.none_of("response.done", seconds=0.3)
            played = client.sound()
            heard = louder(played, -20) if sound == "echo" else noise(seconds_of(played), -30)
            await client.say(silence(0.1) + heard)
            await client.none_of("input_audio_buffer.speech_started", "response.done", seconds=0.5)

    hold(server, talk())


def test_a_cancelled_client_hears_the_rest_of_nothing(server: Server, provider: FakeProvider, alice_token: str) -> None:
    """What the agents of OpenAI's SDK send when they notice speech themselves: both events, at once."""

    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            item_id = await listen(client)
            await client.send("response.cancel")
            await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=100)
            assert (await client.until_done())["status"] == "cancelled"
            await client.until("conversation.item.truncated")
            await client.none_of("response.output_audio.delta", "error")

    hold(server, talk())
    assert Turn.objects.get().status == Turn.Status.INTERRUPTED


@pytest.mark.parametrize("sound", ["cough", "words"])
def test_a_cough_soon_after_a_question_does_not_take_its_answer_back(
    server: Server, provider: FakeProvider, alice_token: str, sound: str
) -> None:
    provider.behaviour.spoken_seconds = 10  # So that a question has two words, and a cough none.

    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await client.say(QUESTION + silence(1))
            await client.until("response.output_audio.delta")
            if sound == "words":
                await client.say(silence(0.3) + QUESTION + silence(1))
                assert (await client.until_done())["status"] == "cancelled"
                assert (await client.until_done())["status"] == "completed"
                assert len(client.of("conversation.item.deleted")) == 2
                return
            await client.say(silence(0.3) + cough() + silence(0.8))
            assert (await client.until_done())["status"] == "cancelled"
            assert (await client.until_done())["status"] == "completed"
            assert not client.of("conversation.item.deleted")

    hold(server, talk())
    turn = Turn.objects.get()
    assert (turn.status, turn.reply) == (Turn.Status.SPOKEN, REPLY)
    assert len(provider.requests_to(CHAT)) == (2 if sound == "words" else 1)
