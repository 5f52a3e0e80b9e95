"""Questions by button, space bar and keyboard, and without a microphone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from apps.conversations.models import Turn
from tests.browser.conftest import FAKE_DEVICE, FAKE_UI, page_without
from tests.browser.steps import be_signed_in, type_question, wait_for_answer, wait_for_state

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.voices.models import VoiceProfile
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider


class TestMicrophone:
    """Problems with the microphone are explained, and typed questions still work."""

    @pytest.mark.parametrize(
        ("flag", "instead", "words"),
        [
            (FAKE_UI, "--deny-permission-prompts", "Allow the microphone in your browser’s address bar"),
            (FAKE_DEVICE, "--mute-audio", "No microphone found. Plug one in, or go on without it."),
        ],
        ids=["denied", "missing"],
    )
    @pytest.mark.parametrize("hands_free", [False, True])
    def test_without_a_microphone_it_explains_why_and_accepts_typed_questions(
        self,
        browser: Browser,
        server: Server,
        alice: User,
        voice: VoiceProfile,
        flag: str,
        instead: str,
        words: str,
        hands_free: bool,
    ) -> None:
        with page_without(browser, flag, instead=instead) as page:
            be_signed_in(page, server.url, alice)
            page.get_by_role("switch", name="Hands-free").set_checked(hands_free)
            page.locator("#record").click()
            expect(page.get_by_role("status")).to_contain_text(words)
            expect(page.locator("html")).to_have_attribute("data-turn-state", "failed")
            type_question(page)
            wait_for_answer(page)
        assert Turn.objects.get().status == Turn.Status.SPOKEN


class TestKeyboard:
    def test_a_question_typed_before_the_script_is_loaded_is_kept(
        self, page: Page, server: Server, alice: User, voice: VoiceProfile
    ) -> None:
        question = page.get_by_label("Type instead of speaking")

        def serve_script(route: Route) -> None:
            question.fill("A secret?")
            question.press("Enter")
            route.continue_()

        page.route("**/js/conversation.js", serve_script)
        be_signed_in(page, server.url, alice)
        wait_for_state(page, "ready")
        expect(page).to_have_url(f"{server.url}/talk/")
        expect(question).to_have_value("A secret?\n")  # As in every text box without a script.
        question.press("Enter")
        expect(page.locator(".turn")).to_contain_text("A secret?")

    def test_it_records_while_the_space_bar_is_held(self, talk: Page) -> None:
        talk.keyboard.down("Space")
        wait_for_state(talk, "listening")
        talk.wait_for_timeout(1500)
        talk.keyboard.up("Space")
        wait_for_answer(talk)
        assert Turn.objects.get().status == Turn.Status.SPOKEN

    @pytest.mark.parametrize("focused", ["#main", "#record"])
    def test_one_tap_on_the_space_bar_starts_and_another_sends(self, talk: Page, focused: str) -> None:
        talk.locator(focused).focus()
        talk.keyboard.press("Space")
        wait_for_state(talk, "listening")
        talk.wait_for_timeout(1500)
        talk.keyboard.press("Space")
        wait_for_answer(talk)
        assert Turn.objects.count() == 1

    def test_in_a_field_the_space_bar_types_a_space(self, talk: Page) -> None:
        field = talk.get_by_label("Type instead of speaking")
        field.press_sequentially("a b")
        expect(field).to_have_value("a b")
        expect(talk.locator("html")).to_have_attribute("data-turn-state", "ready")

    def test_escape_throws_the_recording_away(self, talk: Page, provider: FakeProvider) -> None:
        talk.get_by_role("button", name="Start recording").click()
        wait_for_state(talk, "listening")
        talk.keyboard.press("Escape")
        expect(talk.get_by_role("status")).to_contain_text("thrown away")
        assert not provider.requests
