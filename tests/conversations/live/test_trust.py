"""Replies that are begun before the question has surely ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from pytest_django import Settings

from apps.accounts.models import User
from apps.conversations.models import Turn
from apps.speech.base import LIVE_SAMPLE_RATE
from apps.usage.models import UsageRecord
from apps.webhooks import services as webhooks
from apps.webhooks.models import WebhookDelivery
from tests.client import PATIENCE_SECONDS, wait_until
from tests.conftest import Server
from tests.conversations.live.client import PUSH_TO_TALK, LiveClient, hold, live, live_clip, silence
from tests.conversations.live.conftest import in_database
from tests.conversations.live.test_push_to_talk import PUBLIC, messages_of
from tests.conversations.live.test_turn_detection import WORDS, say_words
from tests.fakes.elevenlabs_live import ElevenLabsSocket
from tests.fakes.openai import CHAT
from tests.fakes.provider import FakeProvider

# Without the silence at its end: a reply must not begin before all of it is understood.
QUESTION = live_clip("austen-0920.wav")[: 2 * round(5.88 * LIVE_SAMPLE_RATE)]
HALF = len(QUESTION) // 4 * 2


async def until_thinking(provider: FakeProvider, calls: int = 1) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(provider.requests_to(CHAT)) < calls:  # noqa: ASYNC110 - the fake is in another thread
            await asyncio.sleep(0.01)


async def until_understood(client: LiveClient) -> None:
    """Wait until no further words come."""
    with suppress(TimeoutError):
        while True:
            async with asyncio.timeout(0.5):
                await client.next_event()


async def stops_for_a_moment(client: LiveClient, provider: FakeProvider, pcm: bytes, calls: int = 1) -> None:
    """Say `pcm`, which is sent faster than it is heard, and be silent, but not for so long that it is the end."""
    await client.say(pcm)
    await until_understood(client)
    await client.say(silence(0.3))
    await until_thinking(provider, calls)


@pytest.fixture(autouse=True)
def words(provider: FakeProvider) -> None:
    say_words(provider, QUESTION)
    provider.behaviour.first_token_seconds = 0.1


def test_a_reply_begins_in_the_silence_and_is_used(server: Server, provider: FakeProvider, alice_token: str) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await stops_for_a_moment(client, provider, QUESTION)
            await client.none_of("input_audio_buffer.committed", "response.created", seconds=0.3)
            assert await in_database(Turn.objects.count) == 0
            await client.say(silence(0.4))
            assert (await client.until_done())["status"] == "completed"

    hold(server, talk())
    assert len(provider.requests_to(CHAT)) == 1
    assert messages_of(provider)[-1]["content"] == WORDS
    turn = Turn.objects.get()
    assert (turn.status, turn.transcript) == (Turn.Status.SPOKEN, WORDS)
    assert turn.question


def test_push_to_talk_begins_when_the_person_is_silent(
    server: Server, provider: FakeProvider, alice_token: str
) -> None:
    provider.behaviour.final_seconds = 0.5

    async def talk() -> None:
        async with live(server.url, alice_token, PUSH_TO_TALK) as client:
            await client.say(QUESTION)
            await until_understood(client)
            await client.say(silence(0.2))
            await client.commit()
            await until_thinking(provider)
            assert not client.of("conversation.item.input_audio_transcription.completed")
            assert (await client.until_done())["status"] == "completed"

    hold(server, talk())
    assert len(provider.requests_to(CHAT)) == 1


def test_it_is_thrown_away_when_the_person_goes_on(
    server: Server, provider: FakeProvider, alice: User, alice_token: str
) -> None:
    webhooks.create_webhook(owner=alice, url=PUBLIC, events=["turn.done"])

    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await stops_for_a_moment(client, provider, QUESTION[:HALF])
            await client.say(QUESTION[HALF:] + silence(1))
            assert (await client.until_done())["status"] == "completed"
            assert len(client.of("response.created")) == 1
            assert not client.of("conversation.item.deleted")
            await client.ask("And then?")

    hold(server, talk())
    first, *_others, second, third = provider.requests_to(CHAT)  # A slow machine finds more pauses.
    assert first.json["messages"][-1]["content"] != WORDS
    assert second.json["messages"][1:] == [{"role": "user", "content": WORDS}]
    reply = provider.behaviour.reply
    assert [message["content"] for message in third.json["messages"][1:]] == [WORDS, reply, "And then?"]
    wait_until(lambda: UsageRecord.objects.count() == 2)
    assert Turn.objects.count() == WebhookDelivery.objects.count() == 2
    both, one = UsageRecord.objects.order_by("created_at")
    assert both.tokens_read > 1.5 * one.tokens_read - 20  # That of the reply that was thrown away is counted.


def test_it_begins_anew_if_the_final_words_differ(
    server: Server, provider: FakeProvider, alice_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def say_other(self: ElevenLabsSocket, _text: str) -> None:
        await self.say({"message_type": "committed_transcript", "text": "Something else entirely?"})

    monkeypatch.setattr(ElevenLabsSocket, "_say_final", say_other)

    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await stops_for_a_moment(client, provider, QUESTION)
            await client.say(silence(0.4))
            assert (await client.until_done())["status"] == "completed"

    hold(server, talk())
    assert [each.json["messages"][-1]["content"] for each in provider.requests_to(CHAT)] == [
        WORDS,
        "Something else entirely?",
    ]
    turn = Turn.objects.get()
    assert (turn.transcript, turn.status) == ("Something else entirely?", Turn.Status.SPOKEN)


@pytest.mark.parametrize("final", [WORDS.upper(), f"{WORDS}!", ", ".join(WORDS.split())])
def test_case_and_punctuation_make_no_difference(
    server: Server, provider: FakeProvider, alice_token: str, monkeypatch: pytest.MonkeyPatch, final: str
) -> None:
    async def say_final(self: ElevenLabsSocket, _text: str) -> None:
        await self.say({"message_type": "committed_transcript", "text": final})

    monkeypatch.setattr(ElevenLabsSocket, "_say_final", say_final)

    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await stops_for_a_moment(client, provider, QUESTION)
            await client.say(silence(0.4))
            assert (await client.until_done())["status"] == "completed"

    hold(server, talk())
    assert len(provider.requests_to(CHAT)) == 1
    assert Turn.objects.get().transcript == final


@pytest.mark.parametrize("allowed", [0, 1])
def test_their_number_is_limited(
    server: Server, provider: FakeProvider, alice_token: str, settings: Settings, allowed: int
) -> None:
    settings.LIVE_REPLIES_ON_TRUST = allowed

    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await stops_for_a_moment(client, provider, QUESTION[:HALF], calls=allowed)
            await client.say(QUESTION[HALF:] + silence(0.3))
            await client.none_of("response.created", seconds=0.3)
            assert len(provider.requests_to(CHAT)) == allowed
            await client.say(silence(0.5))
            assert (await client.until_done())["status"] == "completed"

    hold(server, talk())
    assert len(provider.requests_to(CHAT)) == allowed + 1
    assert Turn.objects.count() == 1


@pytest.mark.parametrize("end", ["leaves", "clears"])
def test_it_leaves_nothing_but_its_usage(server: Server, provider: FakeProvider, alice_token: str, end: str) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await stops_for_a_moment(client, provider, QUESTION)
            if end == "clears":
                await client.send("input_audio_buffer.clear")
                await client.until("input_audio_buffer.cleared")

    hold(server, talk())
    wait_until(UsageRecord.objects.exists)
    record: Any = UsageRecord.objects.get()
    assert record.tokens_read > 0
    assert record.heard_ms > 0
    assert not Turn.objects.exists()
