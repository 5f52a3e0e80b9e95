"""The My voices page: the voice cards, the stages of cloning, and the page without JavaScript."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from apps.voices.models import VoiceProfile
from tests.browser.conftest import faultless_page
from tests.browser.steps import PLAYED, SAMPLE_CLIPS, add_files, barriers_in, open_voices
from tests.factories import make_voice
from tests.fakes.elevenlabs import SPEECH, VOICES_ADD

if TYPE_CHECKING:
    from apps.accounts.models import User
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.usefixtures("consent")  # Cloning needs a consent.


def test_cloning_shows_its_stages(voices: Page, provider: FakeProvider) -> None:
    provider.delay(VOICES_ADD, 3)
    add_files(voices)
    voices.get_by_label("Name of the voice").fill("Slow")
    voices.get_by_role("button", name="Make my voice").click()
    voices.wait_for_selector("[data-stage=checking][aria-current]")
    expect(voices.locator("#stages [aria-current]")).to_have_text("Make the voice")
    expect(voices.locator(".voice")).to_contain_text("being cloned")
    expect(voices.get_by_role("heading", name="Meet Slow")).to_be_focused()
    expect(voices.locator(".voice[data-status=ready]")).to_have_count(1)


class TestCards:
    @pytest.fixture(autouse=True)
    def with_a_voice(self, voice: VoiceProfile) -> None:
        """The page shows one voice, Jane."""

    def test_a_voice_speaks_a_typed_text(self, voices: Page, provider: FakeProvider) -> None:
        voices.get_by_label("Let it say something").fill("Nice to meet you.")
        voices.get_by_role("button", name="Hear it Jane").click()
        expect(voices.get_by_role("status")).to_have_text("Playing the preview.")
        assert voices.locator(".preview audio").evaluate(PLAYED)
        assert provider.last_request.json["text"] == "Nice to meet you."

    def test_a_recording_plays(self, voices: Page) -> None:
        voices.get_by_text("Source recordings").click()
        assert voices.locator(".samples audio").evaluate(f"audio => (audio.play(), ({PLAYED})(audio))")

    def test_a_voice_can_be_renamed_on_its_card(self, voices: Page, voice: VoiceProfile) -> None:
        voices.locator("summary", has_text="Rename Jane").click()
        voices.keyboard.press("Escape")
        expect(voices.locator("summary", has_text="Rename Jane")).to_be_focused()
        voices.keyboard.press("Enter")
        expect(voices.locator(".voice input[name=name]")).to_be_focused()
        voices.keyboard.type("Jane Doe")
        voices.keyboard.press("Enter")
        expect(voices.get_by_role("heading", name="Jane Doe")).to_be_focused()
        expect(voices.get_by_role("status")).to_have_text("The voice is now called Jane Doe.")
        voice.refresh_from_db()
        assert voice.name == "Jane Doe"

    def test_another_voice_becomes_the_default(
        self, page: Page, server: Server, alice: User, provider: FakeProvider
    ) -> None:
        other = make_voice(alice, provider.add_voice("Other"), name="Other")
        open_voices(page, server, alice)
        page.get_by_role("button", name="Make default Other").click()
        expect(page.locator(f"#voice-{other.pk} .badge")).to_have_text("Default")
        expect(page.locator(".badge")).to_have_count(1)
        assert VoiceProfile.objects.get(is_default=True) == other

    def test_settings_can_be_heard_before_they_are_saved(
        self, voices: Page, voice: VoiceProfile, provider: FakeProvider
    ) -> None:
        voices.get_by_text("Speech settings").click()
        voices.get_by_role("button", name="Hear the difference").click()
        expect(voices.get_by_role("status")).to_contain_text("Move a slider first")
        voices.get_by_label("Stability").fill("0.8")
        expect(voices.locator(".slider-value").first).to_have_text("0.80")
        voices.get_by_role("button", name="Hear the difference").click()
        expect(voices.get_by_role("status")).to_contain_text("First as it speaks now")
        expect(voices.get_by_role("status")).to_contain_text("with your changes")
        heard = [request.json.get("voice_settings") for request in provider.requests_to(SPEECH)]
        assert sorted(heard, key=str) == sorted([None, {"stability": 0.8}], key=str)
        voice.refresh_from_db()
        assert voice.settings == {}

        voices.get_by_role("button", name="Save Jane").click()
        expect(voices.get_by_role("status")).to_have_text("Jane now speaks with the new settings.")
        voice.refresh_from_db()
        assert voice.settings == {"stability": 0.8}

        voices.get_by_role("button", name="Reset to defaults").click()
        expect(voices.locator(".slider-value").first).to_have_text("0.50")
        voices.get_by_label("Let it say something").fill("Still here")
        save = voices.get_by_role("button", name="Save Jane")
        with voices.expect_response(lambda response: response.request.method == "PATCH"):
            save.click()
        expect(save).to_be_focused()
        expect(voices.get_by_label("Let it say something")).to_have_value("Still here")
        voice.refresh_from_db()
        assert voice.settings == {}

    def test_a_click_while_the_script_of_the_settings_loads_is_not_lost(self, voices: Page) -> None:
        requests: list[Route] = []
        voices.route("**/voice-settings*.js", lambda route: requests.append(route))
        voices.get_by_text("Speech settings").click()
        voices.get_by_role("button", name="Hear the difference").click()
        assert len(requests) == 1
        requests[0].continue_()
        expect(voices.get_by_role("status")).to_contain_text("Move a slider first")

    def test_settings_are_saved_where_their_script_cannot_be_loaded(
        self, browser: Browser, server: Server, alice: User, voice: VoiceProfile
    ) -> None:
        with faultless_page(browser.new_context(), expected="net::ERR_FAILED") as page:
            page.route("**/voice-settings*.js", lambda route: route.abort())
            open_voices(page, server, alice)
            page.get_by_text("Speech settings").click()
            page.get_by_label("Stability").fill("0.8")
            with page.expect_navigation():
                page.get_by_role("button", name="Save Jane").click()
        voice.refresh_from_db()
        assert voice.settings == {"stability": 0.8}

    def test_a_voice_is_deleted_after_a_page_with_the_consequences(self, voices: Page, provider: FakeProvider) -> None:
        voices.get_by_role("link", name="Delete Jane").click()
        expect(voices.get_by_role("main")).to_contain_text("deleted here and at ElevenLabs")
        expect(voices.get_by_role("main")).to_contain_text("The recording that it was made from (7 seconds) is deleted")
        voices.get_by_role("button", name="Delete the voice").click()
        expect(voices.get_by_role("heading", name="Read this aloud")).to_be_visible()
        assert not provider.voices

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_the_page_has_no_accessibility_problem(self, voices: Page, scheme: str) -> None:
        voices.emulate_media(color_scheme=scheme)  # type: ignore[arg-type] # Playwright wants a literal
        for words in ("Speech settings", "Source recordings"):
            voices.get_by_text(words).click()
        add_files(voices)
        assert barriers_in(voices) == ""


def test_without_javascript_people_can_listen_and_upload(
    browser: Browser, server: Server, alice: User, voice: VoiceProfile
) -> None:
    context = browser.new_context(java_script_enabled=False)
    with faultless_page(context) as page:
        open_voices(page, server, alice)
        expect(page.get_by_role("button", name="Start recording")).to_be_hidden()
        page.get_by_text("Source recordings").click()
        expect(page.locator(".samples audio")).to_be_visible()
        page.locator("summary", has_text="Make another voice").click()
        page.get_by_label("Audio files of your voice").set_input_files(SAMPLE_CLIPS)
        page.get_by_label("Name of the voice").fill("Plain")
        page.get_by_role("button", name="Make my voice").click()
        expect(page.get_by_role("heading", name="Plain")).to_be_visible()
        page.locator("summary", has_text="Speech settings: Plain").click()
        page.locator(".voice", has=page.get_by_role("heading", name="Plain")).get_by_label("Speed").fill("1.1")
        page.get_by_role("button", name="Save Plain").click()
        expect(page.get_by_text("“Plain” now speaks with the new settings.")).to_be_visible()
    context.close()
    assert VoiceProfile.objects.get(name="Plain").settings == {"speed": 1.1}
