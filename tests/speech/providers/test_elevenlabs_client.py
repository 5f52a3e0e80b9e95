"""The ElevenLabs client: connections, concurrency and secrets."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
import traceback
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from apps.speech.providers.elevenlabs import (
    ElevenLabsClient,
    ElevenLabsTextToSpeech,
    ElevenLabsVoiceCloner,
    connect,
)
from tests.client import NOWHERE
from tests.fakes.elevenlabs import SPEECH, elevenlabs_error
from tests.fakes.provider import FakeProvider
from tests.speech.providers.elevenlabs_calls import NEUTRAL, SAMPLES, TEXT, config_for, create, list_voices, run, speak
from tests.speech.providers.failures import error_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def full_listener() -> Iterator[int]:
    """Give a port where connecting neither succeeds nor fails: its backlog is full and nobody accepts."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as stack:
        address = listener.getsockname()
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
        yield address[1]


def test_if_the_plan_allows_fewer_requests_the_retry_waits_for_a_running_one(provider: FakeProvider) -> None:
    config, voice_id = config_for(provider, max_retries=1), provider.add_voice("Alice")
    ended: list[str] = []

    async def work(client: ElevenLabsClient) -> None:
        engine, begun = ElevenLabsTextToSpeech(client, config), asyncio.Event()

        async def speak_it(name: str) -> None:
            async for _ in engine.speak(TEXT, voice_id=voice_id, settings=NEUTRAL, previous_text="Before."):
                begun.set()
            ended.append(name)

        provider.behaviour.audio_speed = 3
        first = asyncio.create_task(speak_it("first"))
        await begun.wait()
        provider.fail_next(SPEECH, status=429, body=elevenlabs_error("concurrent_limit_exceeded"))
        await speak_it("second")
        await first

    run(config, work)

    assert ended == ["first", "second"]
    _slow, refused, again = provider.requests_to(SPEECH)
    assert (refused.status, again.status) == (429, 200)


class TestClient:
    def test_all_calls_share_one_connection(self, provider: FakeProvider) -> None:
        config = config_for(provider)

        async def work(client: ElevenLabsClient) -> None:
            cloner = ElevenLabsVoiceCloner(client, config)
            engine = ElevenLabsTextToSpeech(client, config)
            voice_id = await cloner.create("Alice", SAMPLES)
            for _ in range(3):
                async for _ in engine.speak(TEXT, voice_id=voice_id, settings=NEUTRAL, previous_text=""):
                    pass
            await cloner.list()
            await cloner.delete(voice_id)

        run(config, work)

        assert len(provider.requests) == 6
        assert provider.connections == 1

    def test_a_connection_opened_before_is_used(self, provider: FakeProvider) -> None:
        config, voice_id = config_for(provider), provider.add_voice("Alice")

        async def work(client: ElevenLabsClient) -> None:
            await connect(client)
            engine = ElevenLabsTextToSpeech(client, config)
            async for _ in engine.speak(TEXT, voice_id=voice_id, settings=NEUTRAL, previous_text=""):
                pass

        run(config, work)

        assert len(provider.requests) == 2
        assert provider.connections == 1

    def test_a_failed_warm_up_is_not_an_error(self, provider: FakeProvider) -> None:
        run(config_for(provider, base_url=NOWHERE), connect)

        assert not provider.requests

    def test_a_redirect_is_not_followed(self, provider: FakeProvider) -> None:
        elsewhere = {"location": f"{provider.url}/elsewhere"}
        provider.fail_next("/v1", status=307, headers=elsewhere, times=2)

        assert error_of(speak, provider).code == "provider_answer_invalid"
        assert error_of(create, provider).code == "provider_answer_invalid"
        assert provider.requests_to("/elsewhere") == []

    def test_a_server_that_does_not_accept_is_soon_unreachable(self, provider: FakeProvider) -> None:
        began = time.monotonic()
        with full_listener() as port:
            error = error_of(
                list_voices, provider, base_url=f"http://127.0.0.1:{port}", connect_seconds=0.1, max_retries=0
            )

        assert error.code == "provider_unreachable"
        assert time.monotonic() - began < 3

    @pytest.mark.parametrize("call", [speak, create, list_voices])
    def test_the_key_is_sent_and_never_shown(
        self, provider: FakeProvider, caplog: pytest.LogCaptureFixture, call: Callable[..., object]
    ) -> None:
        caplog.set_level(logging.DEBUG)
        secret = "xi-very-secret"

        error = error_of(call, provider, api_key=secret)

        assert error.code == "provider_key_invalid"
        assert provider.last_request.headers["xi-api-key"] == secret
        shown = [str(error), repr(error), error.message, repr(config_for(provider, api_key=secret)), caplog.text]
        shown += traceback.format_exception(error)
        assert caplog.text
        assert not any(secret in text for text in shown)

    def test_spoken_text_is_not_logged(self, provider: FakeProvider, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        provider.fail_next(SPEECH, status=400, body=elevenlabs_error("invalid_text", f"Do not say: {TEXT}"))

        error = error_of(speak, provider)

        assert TEXT not in caplog.text + "".join(traceback.format_exception(error))
        assert "speak: provider_refused (HTTP 400, code invalid_text, request -)" in caplog.messages
