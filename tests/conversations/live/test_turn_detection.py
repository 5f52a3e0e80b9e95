"""Questions whose end the server finds, with pauses in them, and what is no question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_django import Settings

from apps.conversations.models import Turn
from apps.speech.base import LIVE_SAMPLE_RATE
from tests.client import wait_until
from tests.conftest import Server
from tests.conversations.live.client import (
    HEARD_BY_VAD,
    PUSH_TO_TALK,
    SEMANTIC,
    SPOKEN,
    LiveClient,
    hold,
    live,
    live_clip,
    louder,
    seconds_of,
    silence,
)
from tests.conversations.live.conftest import TurnModel
from tests.conversations.live.test_push_to_talk import messages_of
from tests.fakes.live import voiced_seconds
from tests.fakes.openai import CHAT
from tests.fakes.provider import FakeProvider

QUESTION = live_clip("austen-0930.wav")
LONG_QUESTION = live_clip("austen-0920.wav")
WORDS = "one two three four five six seven eight nine ten"
COMMITTED = "input_audio_buffer.committed"
PAUSE_SECONDS = 1.7
SHARES = (0.2, 0.35, 0.5, 0.65, 0.8)


def say_words(provider: FakeProvider, pcm: bytes) -> None:
    """Let the services hear WORDS in `pcm`, one after the other."""
    provider.behaviour.transcript, provider.behaviour.spoken_seconds = WORDS, voiced_seconds(pcm)


def files() -> set[Path]:
    from django.conf import settings

    return {path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()}


def noise(seconds: float, decibels: float) -> bytes:
    samples = np.random.default_rng(1).normal(0, 10 ** (decibels / 20) * 32768, round(seconds * LIVE_SAMPLE_RATE))
    return samples.clip(-32768, 32767).astype("<i2").tobytes()


def music(seconds: float) -> bytes:
    """Return chords with four notes a second."""
    time = np.arange(round(seconds * LIVE_SAMPLE_RATE)) / LIVE_SAMPLE_RATE
    root = 220 * 2 ** (np.array([0, 5, 7, 3])[(time * 4).astype(int) % 4] / 12)
    phase = np.cumsum(root) / LIVE_SAMPLE_RATE
    chord = sum(np.sin(2 * np.pi * phase * ratio) for ratio in (1, 1.26, 1.5, 2))
    return (chord * np.exp(-3 * (time * 4 % 1) / 4) * 2500).astype("<i2").tobytes()


@pytest.mark.parametrize("session", [None, SEMANTIC], ids=["server_vad", "semantic_vad"])
def test_a_question_is_answered_when_it_ends(
    server: Server, provider: FakeProvider, alice_token: str, turn_model: TurnModel, session: dict[str, object] | None
) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token, session) as client:
            await client.say(silence(0.5) + QUESTION + silence(1.5))
            assert (await client.until_done())["status"] == "completed"
            assert client.kinds == [*HEARD_BY_VAD, *SPOKEN]
            started, stopped = client.of(HEARD_BY_VAD[0])[0], client.of(HEARD_BY_VAD[1])[0]
            assert 500 <= started["audio_start_ms"] < stopped["audio_end_ms"] <= 600 + seconds_of(QUESTION) * 1000

    hold(server, talk())
    wait_until(lambda: Turn.objects.filter(status=Turn.Status.SPOKEN).exists())
    turn = Turn.objects.get()
    assert turn.transcript == provider.behaviour.transcript
    assert turn.question_seconds is not None
    assert turn.question_seconds > 0.8 * seconds_of(QUESTION)
    assert len(provider.requests_to(CHAT)) == 1
    assert turn_model.asked == (1 if session else 0)


def test_an_unfinished_question_ends_after_the_longest_pause(
    server: Server, provider: FakeProvider, alice_token: str, turn_model: TurnModel, settings: Settings
) -> None:
    turn_model.probabilities, settings.LIVE_LONGEST_PAUSE_SECONDS = [0.02], 2

    async def talk() -> None:
        async with live(server.url, alice_token, SEMANTIC) as client:
            await client.say(QUESTION + silence(1.1))
            await client.none_of(COMMITTED)
            await client.say(silence(1))
            assert (await client.until_done())["status"] == "completed"

    hold(server, talk())
    assert turn_model.asked == 1


def test_an_end_without_a_response(server: Server, provider: FakeProvider, alice_token: str) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await client.update({"audio": {"input": {"turn_detection": {"create_response": False}}}})
            await client.say(QUESTION + silence(1))
            await client.until(COMMITTED)
            await client.none_of("response.created")
            assert not provider.requests_to(CHAT)
            await client.send("response.create")
            assert (await client.until_done())["status"] == "completed"

    hold(server, talk())
    assert Turn.objects.count() == 1


def test_a_client_may_end_a_question_itself(server: Server, provider: FakeProvider, alice_token: str) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await client.say(QUESTION)
            await client.until("input_audio_buffer.speech_started")
            await client.send("input_audio_buffer.commit")
            assert (await client.until_done())["status"] == "completed"

    hold(server, talk())
    assert Turn.objects.count() == 1


def test_endless_speech_is_asked_in_pieces(
    server: Server, provider: FakeProvider, alice_token: str, settings: Settings
) -> None:
    settings.MAX_QUESTION_SECONDS = 3

    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await client.say(LONG_QUESTION)
            await client.until(COMMITTED)

    hold(server, talk())
    turn = Turn.objects.order_by("created_at")[0]
    assert turn.question_seconds is not None
    assert turn.question_seconds < 3.6


@pytest.mark.parametrize("change", ["to push-to-talk", "to semantic_vad", "language"])
def test_settings_may_change_while_somebody_speaks(
    server: Server, provider: FakeProvider, alice_token: str, turn_model: TurnModel, change: str
) -> None:
    say_words(provider, QUESTION)
    updates: dict[str, dict[str, Any]] = {
        "to push-to-talk": PUSH_TO_TALK,
        "to semantic_vad": SEMANTIC,
        "language": {"audio": {"input": {"transcription": {"language": "en"}}}},
    }

    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            half = len(QUESTION) // 4 * 2
            await client.say(silence(0.3) + QUESTION[:half])
            await client.until("input_audio_buffer.speech_started")
            await client.update(updates[change])
            await client.say(QUESTION[half:] + silence(1))
            if change == "to push-to-talk":
                await client.commit()
            assert (await client.until_done())["status"] == "completed"

    hold(server, talk())
    turn = Turn.objects.get()
    assert turn.transcript == WORDS
    assert turn.question_seconds is not None
    assert turn.question_seconds > 0.8 * seconds_of(QUESTION)


def test_sound_of_push_to_talk_without_speech_is_forgotten(server: Server, alice_token: str) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token, PUSH_TO_TALK) as client:
            await client.say(silence(1))
            await client.update({"audio": {"input": {"turn_detection": {"type": "server_vad"}}}})
            assert (await client.refused("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"

    hold(server, talk())
    assert not Turn.objects.exists()


class TestPauses:
    """A pause of 1.7 s in the middle of a question, at which the server takes it for its end."""

    async def ask(self, client: LiveClient, share: float, wait_for: str) -> None:
        place = int(share * len(LONG_QUESTION)) // 2 * 2
        before = 1.2 if wait_for else PAUSE_SECONDS
        await client.say(silence(0.3) + LONG_QUESTION[:place] + silence(before))
        if wait_for:
            await client.until(wait_for)
        await client.say(silence(PAUSE_SECONDS - before) + LONG_QUESTION[place:] + silence(1))
        while (await client.until_done())["status"] != "completed":
            pass

    def check(self, provider: FakeProvider, before: set[Path]) -> None:
        wait_until(lambda: Turn.objects.filter(status=Turn.Status.SPOKEN).exists())
        turn = Turn.objects.get()
        assert turn.transcript == WORDS
        assert turn.question_seconds is not None
        assert turn.question_seconds > 0.9 * seconds_of(LONG_QUESTION) + PAUSE_SECONDS
        assert [message["content"] for message in messages_of(provider)] == [WORDS]
        assert len(files() - before) == 2

    @pytest.mark.parametrize(
        ("share", "wait_for"),
        list(zip(SHARES, ["", COMMITTED, "response.created", "response.output_audio.delta", COMMITTED], strict=True)),
    )
    def test_it_is_heard_whole(
        self, server: Server, provider: FakeProvider, alice_token: str, share: float, wait_for: str
    ) -> None:
        say_words(provider, LONG_QUESTION)
        before = files()

        async def talk() -> None:
            async with live(server.url, alice_token) as client:
                await self.ask(client, share, wait_for)
                first, *_others, last = client.of("input_audio_buffer.speech_started")
                assert first["item_id"] in [each["item_id"] for each in client.of("conversation.item.deleted")]
                (*_parts, heard) = client.of("conversation.item.input_audio_transcription.completed")
                assert (heard["item_id"], heard["transcript"]) == (last["item_id"], WORDS)

        hold(server, talk())
        self.check(provider, before)

    @pytest.mark.parametrize("share", SHARES)
    def test_also_if_the_model_is_wrong(
        self, server: Server, provider: FakeProvider, alice_token: str, turn_model: TurnModel, share: float
    ) -> None:
        say_words(provider, LONG_QUESTION)
        before = files()

        async def talk() -> None:
            async with live(server.url, alice_token, SEMANTIC) as client:
                await self.ask(client, share, "response.output_audio.delta")

        hold(server, talk())
        self.check(provider, before)

    def test_with_others_that_were_answered_together(
        self, server: Server, provider: FakeProvider, alice_token: str
    ) -> None:
        say_words(provider, LONG_QUESTION)

        async def talk() -> None:
            async with live(server.url, alice_token) as client:
                await client.write("First of all:")
                await self.ask(client, 0.5, "response.output_audio.delta")

        hold(server, talk())
        assert Turn.objects.get().transcript == f"First of all:\n\n{WORDS}"


@pytest.mark.parametrize(
    "sound",
    [silence(3), noise(4, -40), noise(4, -25), music(4), louder(QUESTION, -60)],
    ids=["silence", "quiet noise", "loud noise", "music", "speech far away"],
)
def test_what_is_no_question(server: Server, provider: FakeProvider, alice_token: str, sound: bytes) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await client.say(sound + silence(1))
            await client.none_of(COMMITTED, "response.created")

    hold(server, talk())
    assert not provider.requests_to(CHAT)
    assert not Turn.objects.exists()
