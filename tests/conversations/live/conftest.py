"""The application with a service that hears live, and what has to hold after every live conversation."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings
from pytest_django import Settings

from apps.accounts.models import User
from apps.conversations.live import socket
from apps.conversations.live.socket import Deadlines, LiveSockets
from apps.usage.models import UsageDay
from apps.voices.models import VoiceProfile
from tests.client import wait_until
from tests.conftest import Server, remote_settings, serve, serve_with
from tests.fakes.provider import FakeProvider
from voiceclone.server import GracefulShutdown, RequestIds, WarmEngines, WriteDeadline, abort_connection

LIVE = {"LIVE_SPEECH_TO_TEXT": "elevenlabs", "LIVE_STT_MODEL": "scribe_v2_realtime", "LIMITS": True}
UPLOAD = {"LIVE_SPEECH_TO_TEXT": "upload", "LIVE_STT_MODEL": "", "LIMITS": True}
OPENAI = {"LIVE_SPEECH_TO_TEXT": "openai", "LIVE_STT_MODEL": "gpt-live-transcribe", "LIMITS": True}
MAX_MESSAGE = 5_000_000  # bytes
DEADLINES = Deadlines(write=0.6, check=0.2, idle=20)


class Watched:
    """The whole application as ASGI, and the tasks of its event loop."""

    def __init__(self, deadlines: Deadlines = DEADLINES, grace_seconds: float = 5) -> None:
        from voiceclone import asgi

        self.sockets = LiveSockets(asgi.handler, abort=abort_connection, deadlines=deadlines)
        warm = WarmEngines(self.sockets)
        self.shutdown = GracefulShutdown(warm, grace_seconds=grace_seconds, sockets=self.sockets)
        self._application = WriteDeadline(RequestIds(self.shutdown))
        self.loop: asyncio.AbstractEventLoop | None = None
        self.base = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            self.loop = asyncio.get_running_loop()
        await self._application(scope, receive, send)

    def tasks(self) -> list[str]:
        """Return what runs in the event loop, besides what runs always."""
        assert self.loop is not None
        answer: list[str] = []
        done = threading.Event()

        def look() -> None:
            answer.extend(repr(task.get_coro()) for task in asyncio.all_tasks())
            done.set()

        self.loop.call_soon_threadsafe(look)
        assert done.wait(5)
        return [each for each in answer if "LifespanOn" not in each and "Server.serve" not in each]

    def note_base(self) -> None:
        self.base = len(self.tasks())


@contextmanager
def serve_live(provider: FakeProvider, settings: dict[str, Any], **options: Any) -> Iterator[tuple[Server, Watched]]:
    watched = Watched(**options)
    with override_settings(**remote_settings(provider) | settings), serve(watched, ws_max_size=MAX_MESSAGE) as server:
        watched.note_base()
        yield server, watched


@pytest.fixture(scope="session")
def running_live_server(provider_server: FakeProvider) -> Iterator[tuple[Server, Watched]]:
    watched = Watched()
    with serve_with(remote_settings(provider_server) | LIVE, watched, ws_max_size=MAX_MESSAGE) as server:
        watched.note_base()
        yield server, watched


@pytest.fixture
def live_settings(remote_engines: FakeProvider, settings: Settings) -> None:
    for name, value in LIVE.items():
        setattr(settings, name, value)


@pytest.fixture
def server(
    transactional_db: None, live_settings: None, running_live_server: tuple[Server, Watched]
) -> Iterator[Server]:
    """The application with ElevenLabs as the service that hears live."""
    server, watched = running_live_server
    yield server
    nothing_is_left(server, watched)


def nothing_is_left(server: Server, watched: Watched) -> None:
    """Wait until all is done, and look for what a conversation may have left behind."""
    wait_until(server.is_idle)
    patience = time.monotonic() + 5
    while len(tasks := watched.tasks()) > watched.base and time.monotonic() < patience:
        time.sleep(0.02)
    assert len(tasks) <= watched.base, tasks
    for day in UsageDay.objects.all():
        assert (day.running, day.reserved_heard_ms, day.reserved_characters) == (0, 0, 0), vars(day)


@pytest.fixture(autouse=True)
def nothing_private_is_logged(
    server: Server, provider: FakeProvider, alice_token: str, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    yield
    wait_until(server.is_idle)
    gc.collect()  # Of tasks whose errors nobody has read.
    secrets = [alice_token, "test-key", provider.behaviour.transcript, provider.behaviour.reply]
    for record in caplog.get_records("call"):
        text = record.getMessage()
        assert record.exc_info is None, (text, record.exc_info)
        assert not any(secret in text for secret in secrets), text


class TurnModel:
    """In the place of the weights of the model of turn ends: the answers to its questions, of which the last stays."""

    def __init__(self) -> None:
        self.probabilities = [0.95]
        self.asked = 0

    def probability(self, _samples: Any) -> float:
        self.asked += 1
        return self.probabilities.pop(0) if len(self.probabilities) > 1 else self.probabilities[0]


@pytest.fixture
def turn_model(monkeypatch: pytest.MonkeyPatch) -> TurnModel:
    model = TurnModel()
    monkeypatch.setattr(socket, "turn_end", lambda: model)
    return model


async def in_database(work: Callable[[], Any]) -> Any:
    """Do `work`, which uses the database, in a thread."""

    def run() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)


@pytest.fixture(autouse=True)
def default_voice(voice: VoiceProfile) -> VoiceProfile:
    """Alice's default voice, which speaks if no other is named."""
    return voice


@pytest.fixture
def second_voice(alice: User, provider: FakeProvider) -> VoiceProfile:
    from tests.factories import make_voice

    return make_voice(alice, provider.add_voice("Ann"), name="Ann")
