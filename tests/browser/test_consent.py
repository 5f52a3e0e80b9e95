"""The consent page: recording, refusal with a new statement, and withdrawal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from apps.accounts.sessions import Session
from apps.voices.models import Consent, ConsentChallenge
from tests.audio_samples import SPEECH_DIR
from tests.browser.conftest import faultless_page
from tests.browser.steps import SAMPLE_CLIPS, barriers_in, be_signed_in

if TYPE_CHECKING:
    from pytest_django import Settings

    from apps.accounts.models import User
    from apps.voices.models import VoiceProfile
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

# The number of takes that the browser keeps.
KEPT = """() => new Promise(tell => {
  const opening = indexedDB.open("voiceclone");
  opening.onsuccess = () => {
    const counting = opening.result.transaction("takes").objectStore("takes").count();
    counting.onsuccess = () => tell(counting.result);
  };
})"""
CLIP = SPEECH_DIR / "austen-0870.wav"


def open_consent(page: Page, server: Server, user: User) -> None:
    be_signed_in(page, server.url, user)
    page.goto(f"{server.url}/voices/consent/")


def send_file(page: Page) -> None:
    page.get_by_text("Or send an audio file").click()
    page.get_by_label("Recording of the statement").set_input_files(CLIP)
    page.get_by_role("button", name="Consent", exact=True).click()


def test_the_button_is_disabled_until_the_script_is_loaded(page: Page, server: Server, alice: User) -> None:
    button = page.get_by_role("button", name="Start recording")
    disabled_before = []

    def serve_script(route: Route) -> None:
        disabled_before.append(button.is_disabled())
        route.continue_()

    page.route("**/js/consent.js", serve_script)
    open_consent(page, server, alice)
    button.click()
    expect(page.get_by_role("button", name="Stop recording")).to_be_visible()
    assert disabled_before == [True]


def test_a_refusal_explains_itself_and_shows_a_new_statement(
    context: BrowserContext, server: Server, alice: User
) -> None:
    with faultless_page(context, expected="422") as page:
        page.set_viewport_size({"width": 390, "height": 500})
        open_consent(page, server, alice)
        before = page.locator("#statement").inner_text()
        send_file(page)
        expect(page.get_by_role("heading", name="Some words were different")).to_be_focused()
        page.get_by_role("button", name="Read a new statement").click()
        expect(page.locator("#statement")).not_to_have_text(before)
        challenge = ConsentChallenge.objects.get()
        expect(page.locator("#statement")).to_have_text(challenge.statement)
        expect(page.locator("#statement")).to_be_in_viewport()
        expect(page.locator("#code-words li")).to_have_text(challenge.code_words)
    assert not Consent.objects.exists()


def test_a_failed_upload_keeps_the_recording(
    context: BrowserContext, server: Server, alice: User, provider: FakeProvider
) -> None:
    with faultless_page(context, expected="net::ERR_") as page:
        open_consent(page, server, alice)
        provider.behaviour.transcript = page.locator("#statement").inner_text()
        context.set_offline(True)
        send_file(page)
        expect(page.get_by_role("status")).to_contain_text("The connection was lost")
        context.set_offline(False)
        page.get_by_role("button", name="Consent", exact=True).click()
        page.wait_for_url("**/voices/#new-voice")
    assert Consent.objects.get().owner == alice


def test_an_unsent_recording_is_kept_for_its_speaker_over_signing_out(
    context: BrowserContext, server: Server, alice: User, bob: User, provider: FakeProvider
) -> None:
    with faultless_page(context, expected="401") as page:
        page.on("dialog", lambda dialog: dialog.accept())
        open_consent(page, server, alice)
        provider.behaviour.transcript = page.locator("#statement").inner_text()
        Session.objects.all().delete()
        send_file(page)
        expect(page.get_by_role("status").first).to_contain_text("You are signed out.")
        link = page.get_by_role("link", name="Sign in")
        expect(link).to_have_attribute("href", "/accounts/login/?next=%2Fvoices%2Fconsent%2F")
        assert page.evaluate(KEPT) == 1
        open_consent(page, server, bob)
        expect(page.get_by_role("button", name="Start recording")).to_be_enabled()
        expect(page.get_by_label("Your recording")).to_be_hidden()
        open_consent(page, server, alice)
        expect(page.get_by_text("Your last recording is still here.")).to_be_visible()
        expect(page.get_by_role("group", name="Your recording")).to_be_visible()
        assert barriers_in(page) == ""
        page.get_by_role("button", name="Consent", exact=True).click()
        page.wait_for_url("**/voices/#new-voice")
        assert page.evaluate(KEPT) == 0
        expect(page.get_by_text("Your last recording is still here.")).to_be_hidden()
    assert Consent.objects.get().owner == alice


def test_a_refused_recording_is_not_kept(context: BrowserContext, server: Server, alice: User) -> None:
    with faultless_page(context, expected="422") as page:
        open_consent(page, server, alice)
        send_file(page)
        expect(page.get_by_role("heading", name="Some words were different")).to_be_focused()
        page.wait_for_function(f"async () => await ({KEPT})() === 0")


def test_on_a_phone_the_recording_is_in_view(page: Page, server: Server, alice: User) -> None:
    page.set_viewport_size({"width": 390, "height": 500})
    open_consent(page, server, alice)
    page.get_by_role("button", name="Start recording").click()
    expect(page.locator("#statement")).to_be_in_viewport()
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Stop recording").click()
    expect(page.get_by_label("Your recording")).to_be_in_viewport()


@pytest.mark.usefixtures("speaker_encoder")
def test_the_message_about_the_consent_is_removed_after_cloning(
    page: Page, server: Server, alice: User, settings: Settings
) -> None:
    settings.CONSENT = "attested"
    open_consent(page, server, alice)
    page.get_by_label("I consent to this").check()
    page.get_by_role("button", name="Consent", exact=True).click()
    expect(page.get_by_text("Your consent is recorded. Now record your voice.")).to_be_visible()
    page.locator("#id_audio").set_input_files(SAMPLE_CLIPS)
    expect(page.locator(".take .point")).to_have_count(10)
    page.get_by_label("Name of the voice").fill("Jane")
    page.get_by_role("button", name="Make my voice").click()
    expect(page.get_by_role("heading", name="Meet Jane")).to_be_visible()
    expect(page.get_by_text("Your consent is recorded")).to_have_count(0)


def test_nothing_can_be_sent_without_a_recording(page: Page, server: Server, alice: User) -> None:
    open_consent(page, server, alice)
    expect(page.get_by_role("button", name="Start recording")).to_be_visible()
    expect(page.get_by_role("button", name="Consent", exact=True)).to_be_hidden()


def test_the_name_in_the_statement_can_be_changed(page: Page, server: Server, alice: User) -> None:
    open_consent(page, server, alice)
    page.get_by_text("This is not my name").click()
    page.get_by_label("Your name, as you say it").fill("Alice Liddell")
    page.get_by_role("button", name="Use this name").click()
    expect(page.locator("#statement")).to_contain_text("My name is Alice Liddell.")


def test_one_click_withdraws(page: Page, server: Server, alice: User, voice: VoiceProfile) -> None:
    open_consent(page, server, alice)
    expect(page.locator(".withdrawal")).to_contain_text("Your voices can no longer speak")
    page.get_by_role("button", name="Withdraw my consent").click()
    expect(page.get_by_text("Your consent is withdrawn.")).to_be_visible()
    page.goto(f"{server.url}/voices/")
    expect(page.locator(".voice")).to_contain_text("being deleted")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_accessibility_problem(
    page: Page, server: Server, alice: User, voice: VoiceProfile, scheme: str
) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type] # Playwright wants a literal
    open_consent(page, server, alice)
    for words in ("Or send an audio file", "This is not my name"):
        page.get_by_text(words).click()
    assert barriers_in(page) == ""
