"""The Talk page over the socket, with a service that hears live."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import BrowserContext, Page

from apps.speech.base import Recording
from tests.browser.conftest import faultless_page
from tests.browser.live.steps import BROKEN_CONNECTION, INIT
from tests.browser.steps import be_signed_in
from tests.client import wait_until
from tests.conftest import Server, remote_settings, serve_with
from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    from pytest_django import Settings

    from apps.accounts.models import User
    from apps.voices.models import VoiceProfile

LIVE: dict[str, object] = {"LIVE_SPEECH_TO_TEXT": "elevenlabs", "LIVE_STT_MODEL": "scribe_v2_realtime"}


@pytest.fixture(scope="package")
def running_live_server(provider_server: FakeProvider) -> Iterator[Server]:
    with serve_with(remote_settings(provider_server) | LIVE) as server:
        yield server


@pytest.fixture
def server(
    transactional_db: None, remote_engines: FakeProvider, settings: Settings, running_live_server: Server
) -> Iterator[Server]:
    """The application with ElevenLabs as the service that hears live."""
    for name, value in LIVE.items():
        setattr(settings, name, value)
    yield running_live_server
    wait_until(running_live_server.is_idle)


@pytest.fixture
def talk(context: BrowserContext, server: Server, alice: User, voice: VoiceProfile) -> Iterator[Page]:
    """Alice's Talk page, whose microphone plays human speech without end."""
    context.add_init_script(INIT)
    with faultless_page(context, expected=BROKEN_CONNECTION) as page:
        be_signed_in(page, server.url, alice)
        yield page


@pytest.fixture
def hearing(
    page_that_hears: Callable[..., Page], server: Server, alice: User, voice: VoiceProfile
) -> Callable[..., Page]:
    """Return a function that opens Alice's Talk page, where the microphone plays the given recordings in a row."""

    def open_page(*recordings: Recording) -> Page:
        page = page_that_hears(*recordings)
        page.add_init_script(INIT)
        be_signed_in(page, server.url, alice)
        return page

    return open_page
