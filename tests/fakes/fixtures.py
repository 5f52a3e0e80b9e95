from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.core.files.storage import default_storage

from apps.core.object_address import storage_setting
from tests.fakes.object_store import KEYS, ObjectStore, client_of, create_bucket, running_object_store
from tests.fakes.provider import FakeProvider
from tests.fakes.voice_servers import FakeVoiceServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings


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


@pytest.fixture(scope="session")
def running_store() -> Iterator[ObjectStore]:
    with running_object_store() as store:
        yield store


@pytest.fixture
def bucket(running_store: ObjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """An object store with an empty bucket, where the site keeps its recordings."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    store = ObjectStore(running_store.url, running_store.process)
    use_storage(settings, store.address)
    create_bucket(default_storage)  # type: ignore[arg-type] # an ObjectStorage
    yield store
    client_of(default_storage).close()  # type: ignore[arg-type]


def use_storage(settings: Settings, address: str) -> None:
    """Let the site keep its recordings at another address."""
    settings.MEDIA_STORAGE = address
    settings.STORAGES = settings.STORAGES | {"default": storage_setting(address)}
