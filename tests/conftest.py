"""Fixtures that all tests share: people, their tokens, the application under its real server, and the fake provider."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.contenttypes.management import create_contenttypes
from django.contrib.contenttypes.models import ContentType
from django.db.models.signals import post_migrate
from django.test import override_settings
from pytest_django import DjangoDbBlocker, Settings

from apps.accounts.models import User
from apps.accounts.services import create_api_token
from apps.conversations.models import Conversation
from apps.core import readiness
from apps.speech import availability
from apps.speech.local import weights
from apps.speech.local.catalogue import SPEAKER_ENCODER
from apps.voices.models import Consent, VoiceProfile
from tests.client import Api, wait_until
from tests.factories import make_administrator, make_consent, make_voice
from tests.fakes.fixtures import *  # noqa: F403
from tests.fakes.provider import FakeProvider
from tests.settings import SCRATCH_DIR
from voiceclone.server import Application

PASSWORD = "a long password for tests"
MODELS_DIR: Path = django_settings.MODELS_DIR
STAND_IN_MODELS = Path(__file__).parent / "data" / "models"
"""A speaker encoder that costs nothing and finds that everybody sounds alike: see make_stand_in_encoder.py."""


def pytest_unconfigure() -> None:
    """Remove the folder of this process: those of pytest-xdist end without running what `atexit` registered."""
    shutil.rmtree(SCRATCH_DIR, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need weights of real models."""
    for item in items:
        if {"models_dir", "speaker_encoder", "turn_end"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.models)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """The test database. After each flush, content types are restored in one query, and permissions, unused, are not.

    Django would search for what is missing: a flush took 43 ms of processor time, and takes 3 ms.
    """
    with django_db_blocker.unblock():
        content_types = list(ContentType.objects.all())

    def restore(**_options: object) -> None:
        ContentType.objects.clear_cache()
        ContentType.objects.bulk_create(content_types, ignore_conflicts=True)

    post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")
    post_migrate.disconnect(create_contenttypes)
    post_migrate.connect(restore, sender=apps.get_app_config("contenttypes"), weak=False)


@pytest.fixture
def real_transactions(transactional_db: None) -> None:
    """Use real transactions: the worker closes its connections, which would end a transaction around a test."""


@pytest.fixture(autouse=True)
def media(settings: Settings) -> Iterator[None]:
    """Leave no file behind."""
    yield
    shutil.rmtree(settings.MEDIA_ROOT, ignore_errors=True)


@pytest.fixture(autouse=True)
def no_outages() -> Iterator[None]:
    """Let no test leave a service that counts as down, or a process that is about to end."""
    yield
    for breakers in availability.breakers_in_use():
        breakers.close()
    readiness.set_ending(ending=False)


def _user(name: str) -> User:
    return User.objects.create_user(name, f"{name}@example.org", PASSWORD)


@pytest.fixture
def alice(db: None) -> User:
    return _user("alice")


@pytest.fixture
def bob(db: None) -> User:
    return _user("bob")


@pytest.fixture
def admin_user(db: None) -> User:
    """An administrator. pytest-django's `admin_client` is signed in as this user."""
    return make_administrator()


@pytest.fixture
def alice_token(alice: User) -> str:
    return create_api_token(owner=alice, name="tests")


@pytest.fixture
def bob_token(bob: User) -> str:
    return create_api_token(owner=bob, name="tests")


def remote_settings(provider: FakeProvider) -> dict[str, object]:
    return {
        "SPEECH_TO_TEXT": "openai",
        "LANGUAGE_MODEL": "openai",
        "TEXT_TO_SPEECH": "elevenlabs",
        "STT_API_KEY": "test-key",
        "CHAT_API_KEY": "test-key",
        "ELEVENLABS_API_KEY": "test-key",
        "LIVE_SPEECH_TO_TEXT": "elevenlabs",
        "LIVE_STT_MODEL": "ears-live",
        "STT_BASE_URL": provider.openai_url,
        "CHAT_BASE_URL": provider.openai_url,
        "ELEVENLABS_BASE_URL": provider.url,
        "MODELS_DIR": STAND_IN_MODELS,
    }


@pytest.fixture
def remote_engines(provider: FakeProvider, settings: Settings) -> FakeProvider:
    """OpenAI and ElevenLabs, both at the fake provider, and the stand-in for the speaker encoder."""
    for name, value in remote_settings(provider).items():
        setattr(settings, name, value)
    return provider


@dataclass(frozen=True)
class Server:
    """The application under uvicorn, as people reach it."""

    url: str
    uvicorn: uvicorn.Server

    def is_idle(self) -> bool:
        return not self.uvicorn.server_state.tasks


@contextmanager
def serve(application: Application | None = None, *, ws_max_size: int = 16 * 2**20) -> Iterator[Server]:
    """Serve the application with the engines that the settings name now."""
    from voiceclone import asgi

    config = uvicorn.Config(
        application or asgi.site,
        host="127.0.0.1",
        port=0,
        log_config=None,
        lifespan="on",
        ws_max_size=ws_max_size,
        ws_per_message_deflate=False,
    )
    uvicorn_server = uvicorn.Server(config)
    thread = threading.Thread(target=uvicorn_server.run)
    thread.start()
    while not uvicorn_server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    port = uvicorn_server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Server(f"http://127.0.0.1:{port}", uvicorn_server)
    finally:
        uvicorn_server.should_exit = True
        thread.join()


@contextmanager
def serve_with(
    settings: dict[str, object], application: Application | None = None, *, ws_max_size: int = 16 * 2**20
) -> Iterator[Server]:
    """Serve the application with the engines of `settings`, which are in force while it starts, and not for longer.

    Settings that stay in force would reach the tests of other files: a server may live as long as its process.
    """
    with ExitStack() as stack:
        with override_settings(**settings):
            server = stack.enter_context(serve(application, ws_max_size=ws_max_size))
        yield server


@pytest.fixture(scope="session")
def running_server(provider_server: FakeProvider) -> Iterator[Server]:
    """A server for all tests that need no other engines: to start and to stop one takes a third of a second."""
    with serve_with(remote_settings(provider_server)) as server:
        yield server


@pytest.fixture
def server(transactional_db: None, remote_engines: FakeProvider, running_server: Server) -> Iterator[Server]:
    """The application with remote engines that are all the fake provider."""
    yield running_server
    wait_until(running_server.is_idle)


@pytest.fixture
def local_server(transactional_db: None) -> Iterator[Server]:
    """The application with the embedded engines."""
    with serve() as server:
        yield server


@pytest.fixture
def alice_api(server: Server, alice_token: str) -> Iterator[Api]:
    """A program that acts for Alice."""
    with Api(server.url, alice_token) as api:
        yield api


@pytest.fixture
def bob_api(server: Server, bob_token: str) -> Iterator[Api]:
    """A program that acts for Bob."""
    with Api(server.url, bob_token) as api:
        yield api


@pytest.fixture
def speaker_encoder(remote_engines: FakeProvider, settings: Settings) -> None:
    """The real speaker encoder. Such tests are skipped without it, unless REQUIRE_MODELS is set."""
    if missing := weights.missing(MODELS_DIR, [SPEAKER_ENCODER]):
        reason = f"{', '.join(missing)} not in {MODELS_DIR}: run `make models`"
        (pytest.fail if os.environ.get("REQUIRE_MODELS") else pytest.skip)(reason)
    settings.MODELS_DIR = MODELS_DIR


@pytest.fixture
def consent(alice: User) -> Consent:
    """Alice's consent, spoken by the reader of the clips."""
    return make_consent(alice)


@pytest.fixture
def voice(alice: User, provider: FakeProvider) -> VoiceProfile:
    """Alice's voice, which exists at the provider."""
    return make_voice(alice, provider.add_voice("Jane"), is_default=True)


@pytest.fixture
def conversation(alice: User, voice: VoiceProfile) -> Conversation:
    """Alice's conversation with that voice."""
    return Conversation.objects.create(owner=alice, voice=voice)
