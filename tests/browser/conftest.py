"""A real Chromium, whose fake microphone plays speech with pauses in a loop."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from apps.accounts.models import User
from apps.speech.audio.resampling import join
from apps.speech.base import Recording
from apps.voices.models import VoiceProfile
from tests.audio_samples import TRANSCRIPTS, clip, silence, to_wav
from tests.browser.steps import be_signed_in, open_voices
from tests.conftest import Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TIMEOUT_MS = 20_000  # Enough for a busy machine.
FAKE_UI, FAKE_DEVICE = "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    FAKE_UI,
    FAKE_DEVICE,
]
open_pages: list[Page] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark these tests, and put them last: once Playwright's event loop runs, no other test could start its own."""
    items.sort(key=is_browser_test)
    for item in filter(is_browser_test, items):
        item.add_marker(pytest.mark.browser)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """Leave the pages before the server waits for the end of all requests: some have a socket open."""
    while open_pages:
        open_pages.pop().close()


def is_browser_test(item: pytest.Item) -> bool:
    return Path(__file__).parent in item.path.parents


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a WAV file with all human speech clips in a row."""
    path = tmp_path_factory.mktemp("microphone") / "speech.wav"
    path.write_bytes(to_wav(join([*[clip(name) for name in TRANSCRIPTS], silence(1)])))
    return path


@pytest.fixture(scope="session")
def browser(microphone: Path) -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("Chromium is not installed: apt install chromium")
        pytest.skip("Chromium is not installed")
    # Playwright runs an event loop in this thread, but the tests use the database synchronously.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
        )
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 860}, reduced_motion="reduce")
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    with faultless_page(context) as page:
        yield page


@pytest.fixture
def page_that_hears(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a page in a new browser, whose microphone plays the given recordings in a row."""
    with ExitStack() as stack:

        def make_page(*recordings: Recording) -> Page:
            path = tmp_path / "heard.wav"
            path.write_bytes(to_wav(join(list(recordings))))
            own_browser = browser.browser_type.launch(
                executable_path=CHROMIUM, args=[*FLAGS, f"--use-file-for-fake-audio-capture={path}"]
            )
            stack.callback(own_browser.close)
            context = own_browser.new_context(viewport={"width": 1280, "height": 860}, reduced_motion="reduce")
            context.set_default_timeout(TIMEOUT_MS)
            return stack.enter_context(faultless_page(context))

        yield make_page


@pytest.fixture
def talk(page: Page, server: Server, alice: User, voice: VoiceProfile) -> Page:
    """Alice's Talk page. She has a voice."""
    be_signed_in(page, server.url, alice)
    return page


@pytest.fixture
def voices(page: Page, server: Server, alice: User) -> Page:
    """Alice's My voices page."""
    return open_voices(page, server, alice)


@contextmanager
def faultless_page(context: BrowserContext, *, expected: str = "") -> Iterator[Page]:
    """Yield a page, and fail at the end if its console had an error or a warning.

    Messages that contain `expected` are allowed: the text with which Chromium reports an intended failure.
    """
    problems: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not (expected and expected in message.text):
            problems.append(message.text)

    page = context.new_page()
    open_pages.append(page)
    page.on("console", note)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    assert problems == []


@contextmanager
def page_without(browser: Browser, *flags: str, instead: str = "--mute-audio") -> Iterator[Page]:
    """Yield a page in a Chromium without `flags`, and with the flag `instead`."""
    arguments = [flag for flag in FLAGS if flag not in flags]
    other = browser.browser_type.launch(executable_path=CHROMIUM, args=[*arguments, instead])
    with faultless_page(other.new_context()) as page:
        yield page
    other.close()
