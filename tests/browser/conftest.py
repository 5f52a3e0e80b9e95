"""A real Chromium whose microphone hears a person read, over and over, with pauses."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from apps.speech.audio import join
from apps.speech.base import Recording
from tests.audio_samples import TRANSCRIPTS, clip, silence, to_wav

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE = 20_000  # milliseconds, for machines that have other things to do
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark these tests, and put them last: once Playwright's event loop runs, no other test could start its own."""
    items.sort(key=is_browser_test)
    for item in filter(is_browser_test, items):
        item.add_marker(pytest.mark.browser)


def is_browser_test(item: pytest.Item) -> bool:
    return Path(__file__).parent in item.path.parents


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WAV file of all human clips, one after the other."""
    path = tmp_path_factory.mktemp("microphone") / "speech.wav"
    path.write_bytes(to_wav(join([*[clip(name) for name in TRANSCRIPTS], silence(1)])))
    return path


@pytest.fixture(scope="session")
def browser(microphone: Path) -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("Chromium is not installed: apt install chromium")
        pytest.skip("Chromium is not installed")
    # Playwright runs an event loop in this thread; the tests' own look into the database is synchronous all the same.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
        )
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 860}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    with faultless_page(context) as page:
        yield page


@pytest.fixture
def page_that_hears(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Make a page in a browser of its own, whose microphone hears the given recordings one after the other."""
    with ExitStack() as stack:

        def make_page(*recordings: Recording) -> Page:
            path = tmp_path / "heard.wav"
            path.write_bytes(to_wav(join(list(recordings))))
            own_browser = browser.browser_type.launch(
                executable_path=CHROMIUM, args=[*FLAGS, f"--use-file-for-fake-audio-capture={path}"]
            )
            stack.callback(own_browser.close)
            context = own_browser.new_context(viewport={"width": 1280, "height": 860}, reduced_motion="reduce")
            context.set_default_timeout(PATIENCE)
            return stack.enter_context(faultless_page(context))

        yield make_page


@contextmanager
def faultless_page(context: BrowserContext, *, expected: str = "") -> Iterator[Page]:
    """Give a page in which nothing may go wrong unseen: no error, no warning of the content security policy.

    A test that makes a request fail names what Chromium says of it: only messages with the words `expected` may come.
    """
    problems: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not (expected and expected in message.text):
            problems.append(message.text)

    page = context.new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    assert problems == []


@contextmanager
def page_without(browser: Browser, *flags: str, instead: str = "--mute-audio") -> Iterator[Page]:
    """A page of a Chromium that lacks some of the usual flags."""
    arguments = [flag for flag in FLAGS if flag not in flags]
    other = browser.browser_type.launch(executable_path=CHROMIUM, args=[*arguments, instead])
    with faultless_page(other.new_context()) as page:
        yield page
    other.close()
