"""The size of the scripts and styles that a page loads, as served after `collectstatic`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import override_settings
from playwright.sync_api import expect

from tests.browser.steps import be_signed_in, sign_in, wait_for_state
from tests.conftest import Server, serve
from voiceclone.server import OneThreadHandler, WarmEngines

if TYPE_CHECKING:
    from playwright.sync_api import Page, Response

    from apps.accounts.models import User
    from apps.voices.models import VoiceProfile
    from tests.fakes.provider import FakeProvider

MAX_BYTES = 80_000  # Uncompressed.
MANIFEST = {"staticfiles": {"BACKEND": "voiceclone.static.StaticFilesStorage"}}


@pytest.fixture(scope="module")
def static_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("static")


@pytest.fixture
def served(transactional_db: None, remote_engines: FakeProvider, static_root: Path) -> Iterator[Server]:
    """The application with the static files of a real site: minified, and with hashed names."""
    storages = django_settings.STORAGES | MANIFEST
    with override_settings(STORAGES=storages, STATIC_ROOT=static_root, WHITENOISE_USE_FINDERS=False):
        call_command("collectstatic", interactive=False, verbosity=0)
        # A new application, because an application lists its static files only once, at its start.
        with serve(WarmEngines(OneThreadHandler())) as server:
            yield server


def bytes_of_first_load(page: Page, url: str) -> dict[str, int]:
    """Return the uncompressed bytes of each style sheet and script that the page loads."""
    sizes: dict[str, int] = {}

    def note(response: Response) -> None:
        path = urlsplit(response.url).path
        if path.endswith((".css", ".js")):
            sizes[path] = len(response.body())

    page.on("response", note)
    page.goto(url)
    page.wait_for_load_state("networkidle")
    return sizes


@pytest.mark.parametrize("path", ["/voices/", "/talk/"])
def test_our_own_style_and_scripts_are_small(
    page: Page, served: Server, alice: User, voice: VoiceProfile, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(page, served.url, alice.username)
    sizes = bytes_of_first_load(page, served.url + path)
    with capsys.disabled():
        print(f"\n{path} loads {sum(sizes.values())} bytes in {len(sizes)} files")  # noqa: T201 - output for the developer
    assert any(name.endswith(".css") for name in sizes)
    assert sum(sizes.values()) < MAX_BYTES


def test_the_minified_files_work(page: Page, served: Server, alice: User, voice: VoiceProfile) -> None:
    be_signed_in(page, served.url, alice)
    page.get_by_label("Type instead of speaking").fill("What is the capital of France?")
    page.get_by_role("button", name="Send", exact=True).click()
    wait_for_state(page, "speaking")
    wait_for_state(page, "ready")
    page.get_by_role("switch", name="Hands-free").check()
    page.get_by_role("button", name="Start listening").click()
    wait_for_state(page, "listening")
    page.goto(f"{served.url}/voices/")
    page.get_by_text("Speech settings").click()
    page.get_by_label("Stability").fill("0.8")
    expect(page.locator(".slider-value").first).to_have_text("0.80")
