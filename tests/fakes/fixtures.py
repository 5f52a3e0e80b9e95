from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes.provider import FakeProvider
from tests.fakes.voice_servers import FakeVoiceServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def provider_server() -> Iterator[FakeProvider]:
    with FakeProvider().running() as server:
        yield server


@pytest.fixture
def provider(provider_server: FakeProvider) -> FakeProvider:
    """The stand-in for OpenAI and ElevenLabs, with nothing remembered from other tests."""
    provider_server.reset()
    return provider_server


@pytest.fixture(scope="session")
def running_voice_server() -> Iterator[FakeVoiceServer]:
    server = FakeVoiceServer()
    with server.running():
        yield server


@pytest.fixture
def voice_server(running_voice_server: FakeVoiceServer) -> FakeVoiceServer:
    """The stand-in for a voice server of the operator's own, with nothing remembered from other tests."""
    running_voice_server.reset()
    return running_voice_server
