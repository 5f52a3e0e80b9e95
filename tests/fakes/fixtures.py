from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes.provider import FakeProvider

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
