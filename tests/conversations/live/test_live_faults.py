"""Live conversations when a client, a service or the process fails."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from apps.conversations.models import LISTENER_LEFT, Turn
from apps.usage.models import UsageRecord
from tests.client import LONG_REPLY, wait_until
from tests.conftest import Server
from tests.conversations.live.client import (
    HEARD_BY_VAD,
    PUSH_TO_TALK,
    SPOKEN,
    TEXT_ONLY,
    LiveClient,
    hold,
    live,
    live_clip,
    seconds_of,
    silence,
)
from tests.conversations.live.conftest import DEADLINES, LIVE, Watched, nothing_is_left, serve_live
from tests.conversations.live.test_turn_detection import WORDS, say_words
from tests.fakes.elevenlabs_live import PATH
from tests.fakes.openai import CHAT
from tests.fakes.provider import FakeProvider

QUESTION = live_clip("austen-0930.wav")
TRANSCRIPTIONS = "/v1/audio/transcriptions"
FINAL = "conversation.item.input_audio_transcription.completed"


class TestCut:
    @pytest.mark.parametrize("kind", [*HEARD_BY_VAD, FINAL, *dict.fromkeys(SPOKEN)])
    def test_at_any_event(self, server: Server, provider: FakeProvider, alice_token: str, kind: str) -> None:
        async def talk() -> None:
            async with live(server.url, alice_token) as client:
                await client.say(QUESTION + silence(1))
                await client.until(kind)
                client.connection._connection.transport.abort()

        hold(server, talk())
        wait_until(server.is_idle)
        assert len(provider.requests_to(CHAT)) <= 1
        # A question that nobody waits for can be tried again.
        unanswered = Turn.objects.filter(status=Turn.Status.FAILED)
        assert not unanswered.exclude(error_code=LISTENER_LEFT).exists()
        ended = Turn.objects.values_list("status", flat=True)
        if kind in HEARD_BY_VAD[:1]:
            assert len(ended) <= 1
        else:
            assert set(ended) <= {Turn.Status.FAILED, Turn.Status.INTERRUPTED, Turn.Status.SPOKEN}
            assert len(ended) == 1 or kind == HEARD_BY_VAD[1]
        assert UsageRecord.objects.count() <= 1
        if kind == "response.done":
            assert list(ended) == [Turn.Status.SPOKEN]

    def test_while_speaking_and_with_a_held_answer(
        self, server: Server, provider: FakeProvider, alice_token: str
    ) -> None:
        provider.behaviour.reply, provider.behaviour.spoken_seconds = LONG_REPLY, 60

        async def talk() -> None:
            async with live(server.url, alice_token) as client:
                await client.write("First?")
                await client.send("response.create")
                await client.until("response.output_audio.delta")
                await client.say(silence(0.3) + QUESTION)
                await client.until("response.done")
                client.connection._connection.transport.abort()

        hold(server, talk())
        assert Turn.objects.get().status == Turn.Status.INTERRUPTED


class TestHearing:
    async def ask(self, client: LiveClient) -> dict[str, Any]:
        await client.say(QUESTION)
        await client.commit()
        return await client.until_done()

    def test_a_socket_that_is_lost_is_opened_again(
        self, server: Server, provider: FakeProvider, alice_token: str
    ) -> None:
        say_words(provider, QUESTION)
        provider.break_socket(PATH, after_seconds=0.8)

        async def talk() -> None:
            async with live(server.url, alice_token, PUSH_TO_TALK) as client:
                assert (await self.ask(client))["status"] == "completed"

        hold(server, talk())
        assert Turn.objects.get().transcript == WORDS
        assert len(provider.requests_to(PATH)) == 2
        assert UsageRecord.objects.get().heard_ms > 1000 * (seconds_of(QUESTION) + 0.5)  # Some was sent again.

    def test_a_busy_service_is_asked_again(self, server: Server, provider: FakeProvider, alice_token: str) -> None:
        provider.fail_next(PATH, status=429, headers={"retry-after": "0"})

        async def talk() -> None:
            async with live(server.url, alice_token, PUSH_TO_TALK) as client:
                assert (await self.ask(client))["status"] == "completed"

        hold(server, talk())
        assert not provider.requests_to(TRANSCRIPTIONS)

    def test_partials_that_are_repeated_after_the_commit_ask_nothing(
        self, server: Server, provider: FakeProvider, alice_token: str
    ) -> None:
        async def talk() -> None:
            async with live(server.url, alice_token) as client:
                await client.say(QUESTION + silence(1))
                await client.until_done()
                await client.say(silence(1))
                await client.none_of("input_audio_buffer.speech_started", "response.created", seconds=1.5)

        hold(server, talk())
        assert len(provider.requests_to(CHAT)) == Turn.objects.count() == 1

    @pytest.mark.parametrize("session", [None, PUSH_TO_TALK], ids=["server_vad", "push_to_talk"])
    def test_without_the_service_the_recording_is_heard(
        self, server: Server, provider: FakeProvider, alice_token: str, session: dict[str, Any] | None
    ) -> None:
        provider.fail_next(PATH, status=500, times=50)

        async def talk() -> None:
            async with live(server.url, alice_token, session) as client:
                await client.say(QUESTION + silence(1))
                if session is not None:
                    await client.commit()
                assert (await client.until_done())["status"] == "completed"
                (failed,) = client.of("conversation.item.input_audio_transcription.failed")
                assert failed["error"]["code"].startswith("provider_")

        hold(server, talk())
        assert len(provider.requests_to(TRANSCRIPTIONS)) == 1
        assert Turn.objects.get().transcript == provider.behaviour.transcript

    def test_nobody_hears(self, server: Server, provider: FakeProvider, alice_token: str) -> None:
        provider.fail_next(PATH, status=500, times=50)
        provider.fail_next(TRANSCRIPTIONS, status=500, times=50)

        async def talk() -> None:
            async with live(server.url, alice_token, PUSH_TO_TALK) as client:
                response = await self.ask(client)
                assert response["status"] == "failed"
                assert response["status_details"]["error"]["code"].startswith("provider_")

        hold(server, talk())
        turn = Turn.objects.get()  # It may be tried again: its sound is there.
        assert (turn.status, turn.failed_stage) == (Turn.Status.FAILED, Turn.Stage.HEAR)
        assert turn.question


@pytest.mark.parametrize("path", [CHAT, "/v1/text-to-speech"], ids=["model", "voice"])
def test_a_service_that_fails_ends_the_response(
    server: Server, provider: FakeProvider, alice_token: str, path: str
) -> None:
    provider.fail_next(path, status=400)

    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            response = await client.ask()
            assert response["status"] == "failed"
            assert response["status_details"]["error"]["code"].startswith("provider_")
            assert (await client.ask())["status"] == "completed"

    hold(server, talk())
    assert [turn.status for turn in Turn.objects.order_by("created_at")] == [Turn.Status.FAILED, Turn.Status.SPOKEN]


class TestClients:
    def handshake(self, server: Server, token: str) -> socket.socket:
        """Open a socket without a library, with a small buffer for what comes."""
        raw = socket.socket()
        raw.settimeout(10)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ["GET /v1/realtime HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", f"Authorization: Bearer {token}", "", ""]
        raw.sendall("\r\n".join(lines).encode())
        assert b"101" in raw.recv(200)
        return raw

    def test_one_that_stops_reading_is_left(self, server: Server, alice_token: str) -> None:
        frame = bytes([0x81, 0x80 | 12, 0, 0, 0, 0]) + b'{"type":"x"}'

        def flood() -> None:
            with self.handshake(server, alice_token) as raw, suppress(ConnectionError):
                while True:
                    raw.sendall(frame * 500)

        began = time.monotonic()
        flood()
        wait_until(server.is_idle)
        assert time.monotonic() - began < 15

    def test_one_that_never_sends_is_closed(self, server: Server, provider: FakeProvider, alice_token: str) -> None:
        async def talk(url: str) -> None:
            async with live(url, alice_token) as client:
                with pytest.raises(ConnectionClosed) as closed:
                    await client.next_event()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1000

        with serve_live(provider, LIVE, deadlines=replace(DEADLINES, idle=0.3)) as (other, watched):
            asyncio.run(talk(other.url))
            nothing_is_left(other, watched)

    def test_a_session_has_an_end(self, server: Server, provider: FakeProvider, alice_token: str) -> None:
        async def talk(url: str) -> None:
            async with live(url, alice_token) as client:
                assert (await client.until("error"))["error"]["code"] == "session_expired"
                with pytest.raises(ConnectionClosed):
                    await client.next_event()

        with serve_live(provider, LIVE, deadlines=replace(DEADLINES, session=0.3)) as (other, watched):
            asyncio.run(talk(other.url))
            nothing_is_left(other, watched)

    def test_a_message_has_a_longest_length(self, server: Server, alice_token: str) -> None:
        async def talk() -> None:
            async with live(server.url, alice_token) as client:
                await client.connection._connection.send("x" * 4_900_000)
                assert (await client.until("error"))["error"]["code"] == "invalid_json"
                with suppress(ConnectionClosed):
                    await client.connection._connection.send("x" * 20_000_000)
                with pytest.raises(ConnectionClosed) as closed:
                    await client.next_event()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1009

        hold(server, talk())


class TestShutdown:
    def end(self, watched: Watched) -> None:
        assert watched.loop is not None
        asyncio.run_coroutine_threadsafe(watched.shutdown._shut_down(lambda: None), watched.loop)

    def test_idle_sockets_are_closed_and_answers_are_given(
        self, server: Server, provider: FakeProvider, alice_token: str
    ) -> None:
        provider.behaviour.first_token_seconds = 1.0

        async def talk(url: str, watched: Watched) -> None:
            async with live(url, alice_token, TEXT_ONLY) as idle, live(url, alice_token) as busy:
                await busy.write("First?")
                await busy.send("response.create")
                await busy.until("response.created")
                self.end(watched)
                with pytest.raises(ConnectionClosed) as closed:
                    await idle.next_event()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1012
                assert (await busy.until_done())["status"] == "completed"
                with pytest.raises(ConnectionClosed) as closed:
                    await busy.next_event()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1012

        with serve_live(provider, LIVE) as (other, watched):
            asyncio.run(talk(other.url, watched))
        assert Turn.objects.get().status == Turn.Status.SPOKEN

    def test_after_the_grace_period_answers_are_interrupted(
        self, server: Server, provider: FakeProvider, alice_token: str
    ) -> None:
        provider.behaviour.reply = LONG_REPLY

        async def talk(url: str, watched: Watched) -> None:
            async with live(url, alice_token) as client:
                await client.write("First?")
                await client.send("response.create")
                await client.until("response.output_audio.delta")
                self.end(watched)
                assert (await client.until_done())["status"] == "cancelled"
                with pytest.raises(ConnectionClosed) as closed:
                    await client.next_event()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1012

        with serve_live(provider, LIVE, grace_seconds=0.5) as (other, watched):
            asyncio.run(talk(other.url, watched))
        assert Turn.objects.get().status == Turn.Status.INTERRUPTED
