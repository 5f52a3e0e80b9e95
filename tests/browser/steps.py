"""Steps that people take on the pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.speech import signer
from apps.speech.audio.resampling import resample
from apps.speech.provenance.marks import Origin
from tests.audio_samples import SPEECH_DIR, clip
from tests.client import LONG_REPLY
from tests.conftest import PASSWORD, Server
from tests.fakes.behaviour import Behaviour
from tests.fakes.provider import FakeProvider

LONG_CLIP = SPEECH_DIR / "austen-0870.wav"
SAMPLE_CLIPS = [LONG_CLIP, SPEECH_DIR / "austen-0920.wav"]  # Long enough together for a voice.
LONG_ANSWER = Behaviour(reply=LONG_REPLY, audio_speed=1.2)
WITHOUT_LIVE = "delete window.AudioWorkletNode;"  # For add_init_script: questions are uploaded when they are over.
PLAYED = (
    "audio => new Promise(resolve => { const look = setInterval(() => { if (audio.currentTime > 0.1) {"
    " clearInterval(look); resolve(true); } }, 20); setTimeout(() => resolve(false), 20000); })"
)


def sign_up(page: Page, url: str, username: str = "carol") -> None:
    page.goto(f"{url}/accounts/signup/")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Email").fill(f"{username}@example.org")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password (again)").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign up").click()
    page.wait_for_url(f"{url}/talk/")


def sign_in(page: Page, url: str, username: str) -> None:
    page.goto(f"{url}/accounts/login/")
    page.get_by_label("Username or email").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/talk/")


def confirm_identity(page: Page, url: str) -> None:
    """Enter the password again, which sensitive changes require."""
    page.goto(f"{url}/accounts/reauthenticate/?next=/accounts/profile/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    page.wait_for_url(f"{url}/accounts/profile/")


def be_asked_for_code(page: Page, url: str, username: str) -> None:
    """Sign in with a password, up to the page that asks for the code of the authenticator app."""
    page.goto(f"{url}/accounts/login/")
    page.get_by_label("Username or email").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/accounts/2fa/authenticate/**")


def marked_answer() -> bytes:
    """Return a downloaded answer: an MP3 that is marked as made by AI."""
    speech = resample(clip("austen-0930.wav"), sample_rate=24_000)
    return signer.marker().to_mp3(speech, Origin("elevenlabs", datetime(2026, 3, 2, 8, 15, 30, tzinfo=UTC)))


def give_session(page: Page, url: str, user: User) -> None:
    """Give the browser a session, without the way through the forms."""
    client = Client()
    client.force_login(user)
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": url}])


def be_signed_in(page: Page, url: str, user: User) -> None:
    """Give the browser a session, and open the Talk page."""
    give_session(page, url, user)
    page.goto(f"{url}/talk/")


def wait_for_state(page: Page, state: str) -> None:
    """Wait until the Talk page is in `state`: ready, listening, thinking, speaking or failed."""
    page.wait_for_selector(f"html[data-turn-state={state}]", timeout=120_000)


def type_question(page: Page, text: str = "What is the capital of France?") -> None:
    page.get_by_label("Type instead of speaking").fill(text)
    page.get_by_role("button", name="Send", exact=True).click()


def open_settings(page: Page) -> None:
    page.locator("summary", has_text="Settings").click()


def describe_persona(page: Page, persona: str) -> None:
    """Choose a persona of one's own on the Talk page, describe it, and close the settings."""
    page.get_by_label("Persona", exact=True).select_option("Your own …")
    page.get_by_label("Your own persona").fill(persona)
    page.keyboard.press("Escape")


def wait_for_answer(page: Page) -> None:
    wait_for_state(page, "speaking")
    wait_for_state(page, "ready")


def open_voices(page: Page, server: Server, user: User) -> Page:
    give_session(page, server.url, user)
    page.goto(f"{server.url}/voices/")
    return page


def add_files(page: Page, paths: Sequence[Path] = SAMPLE_CLIPS) -> None:
    folded = page.locator("#another:not([open]) > summary")
    if folded.count():
        folded.click()
    expect(page.locator("#record")).to_be_enabled()  # The script is loaded.
    for path in paths:
        page.locator("#id_audio").set_input_files(path)
    expect(page.locator(".take:not([data-verdict=checking])")).to_have_count(len(paths))


def record_voice(page: Page, url: str, *, name: str, seconds: float) -> None:
    """Record one take and clone a voice from it."""
    page.goto(f"{url}/voices/")
    page.get_by_role("button", name="Start recording").click()
    expect(page.get_by_role("button", name="Stop recording")).to_be_visible()
    page.wait_for_timeout(seconds * 1000)
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator("#takes .take")).to_have_count(1)
    page.get_by_label("Name of the voice").fill(name)
    page.get_by_role("button", name="Make my voice").click()
    expect(page.get_by_role("heading", name=f"Meet {name}")).to_be_visible(timeout=60_000)


def consent_aloud(page: Page, url: str, provider: FakeProvider, *, seconds: float) -> None:
    """Open My voices, read the consent statement aloud, and end where the voice is recorded.

    The microphone plays other words, but the fake service returns the statement as the transcript.
    """
    page.goto(f"{url}/voices/")
    page.get_by_role("link", name="Give your consent").click()
    transcript, provider.behaviour.transcript = provider.behaviour.transcript, page.locator("#statement").inner_text()
    page.get_by_role("button", name="Start recording").click()
    expect(page.get_by_role("button", name="Stop recording")).to_be_visible()
    page.wait_for_timeout(seconds * 1000)
    page.get_by_role("button", name="Stop recording").click()
    expect(page.get_by_label("Your recording")).to_be_visible()
    page.get_by_role("button", name="Consent", exact=True).click()
    page.wait_for_url(f"{url}/voices/#new-voice", timeout=60_000)
    provider.behaviour.transcript = transcript


def ask_aloud(page: Page, *, seconds: float) -> None:
    """Record a question, send it, and wait for the end of the answer."""
    page.get_by_role("button", name="Start recording").click()
    wait_for_state(page, "listening")
    page.wait_for_timeout(seconds * 1000)
    page.locator("#record").click()
    wait_for_state(page, "speaking")
    wait_for_state(page, "ready")


def barriers_in(page: Page, *, rules: Sequence[str] = ()) -> str:
    """Return axe's report of the accessibility problems on the page, "" if there are none. `rules`: only these."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    # The details of the rules that are kept would take longer to collect than all checks.
    options = {"resultTypes": ["violations"]} | ({"runOnly": [*rules]} if rules else {})
    results = AxeResults(page.evaluate("options => axe.run(options)", options))
    return str(results.generate_report()) if results.violations_count else ""
