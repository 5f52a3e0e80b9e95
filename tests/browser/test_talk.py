"""The Talk page: answers, failures, settings, the history and accessibility."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from apps.conversations.models import Conversation, Turn
from apps.conversations.views import TURNS_PER_PAGE
from tests.browser.steps import (
    LONG_ANSWER,
    WITHOUT_LIVE,
    ask_aloud,
    barriers_in,
    be_signed_in,
    describe_persona,
    type_question,
    wait_for_answer,
    wait_for_state,
)
from tests.client import LONG_REPLY, wait_until
from tests.factories import make_turn
from tests.fakes.elevenlabs import SPEECH
from tests.fakes.elevenlabs_live import PATH as LISTEN
from tests.fakes.openai import CHAT, TRANSCRIPTIONS, openai_error
from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    from apps.accounts.models import User
    from tests.conftest import Server


def is_above(upper: Locator, lower: Locator) -> bool:
    boxes = upper.bounding_box(), lower.bounding_box()
    assert boxes[0]
    assert boxes[1]
    return boxes[0]["y"] + boxes[0]["height"] <= boxes[1]["y"]


class TestAnswer:
    def test_stop_interrupts_the_answer_and_its_calls(self, talk: Page, provider: FakeProvider) -> None:
        provider.behaviour = LONG_ANSWER
        type_question(talk)
        wait_for_state(talk, "speaking")
        talk.get_by_role("button", name="Stop", exact=True).click()
        wait_for_state(talk, "ready")
        expect(talk.locator(".turn-note")).to_be_visible()
        wait_until(lambda: Turn.objects.get().status == Turn.Status.INTERRUPTED)
        wait_until(lambda: all(request.finished.is_set() for request in provider.requests_to(SPEECH)))
        expect(talk.get_by_role("button", name="Stop", exact=True)).to_have_attribute("aria-disabled", "true")

    def test_a_mere_emoji_is_shown_without_a_player(self, talk: Page, provider: FakeProvider) -> None:
        provider.behaviour.reply = "\N{GRINNING FACE}"
        type_question(talk)
        wait_until(lambda: Turn.objects.filter(status=Turn.Status.SPOKEN).exists())
        wait_for_state(talk, "ready")
        expect(talk.locator(".turn .reply")).to_have_text("\N{GRINNING FACE}")
        expect(talk.locator(".turn .answer .clip")).to_be_hidden()

    def test_stop_while_a_finished_answer_plays_stores_the_spoken_part(
        self, talk: Page, provider: FakeProvider
    ) -> None:
        provider.behaviour.reply = "One sentence that takes its time to be heard, and goes on and on for a while. " * 3
        type_question(talk)
        wait_for_state(talk, "speaking")
        wait_until(lambda: Turn.objects.get().status == Turn.Status.SPOKEN)
        talk.wait_for_timeout(1500)
        talk.get_by_role("button", name="Stop", exact=True).click()
        wait_until(lambda: Turn.objects.get().status == Turn.Status.INTERRUPTED)
        assert 0 < len(Turn.objects.get().spoken_text) < len(provider.behaviour.reply) / 2

    def test_mute_silences_the_answer_but_does_not_stop_it(self, talk: Page, provider: FakeProvider) -> None:
        talk.add_init_script(
            "const make = AudioContext.prototype.createGain;"
            "AudioContext.prototype.createGain = function () { return (window.gain = make.call(this)); };"
        )
        talk.reload()
        provider.behaviour = LONG_ANSWER
        type_question(talk)
        wait_for_state(talk, "speaking")
        mute = talk.get_by_role("button", name="Mute")
        for pressed, volume in (("true", 0), ("false", 1)):
            mute.click()
            expect(mute).to_have_attribute("aria-pressed", pressed)
            talk.wait_for_function("volume => window.gain.gain.value === volume", arg=volume)
        expect(talk.locator("html")).to_have_attribute("data-turn-state", "speaking")
        talk.get_by_role("button", name="Stop", exact=True).click()

    def test_a_suggestion_is_sent_unchanged(self, talk: Page, provider: FakeProvider) -> None:
        suggestion = talk.get_by_role("button", name="What should I cook tonight?")
        suggestion.click()
        wait_for_answer(talk)
        assert provider.requests_to(CHAT)[0].json["messages"][-1]["content"] == "What should I cook tonight?"
        expect(talk.get_by_role("heading", name="What should I cook tonight?")).to_be_visible()

    def test_it_can_be_played_copied_and_inspected(self, talk: Page, provider: FakeProvider) -> None:
        talk.context.grant_permissions(["clipboard-write"])
        field = talk.get_by_label("Type instead of speaking")
        ask_aloud(talk, seconds=2)
        for reloaded in (False, True):
            if reloaded:
                talk.reload()
            talk.get_by_role("button", name="Play the answer").click()
            expect(talk.get_by_role("button", name="Pause the answer")).to_be_visible()
            expect(talk.get_by_label("Position").last).to_be_visible()
            talk.get_by_role("button", name="Play the question").click()
            expect(talk.get_by_role("button", name="Play the answer")).to_be_visible()  # One sound at a time.
            talk.get_by_role("button", name="Pause the question").click()
            talk.get_by_role("button", name="Copy the answer").click()
            expect(talk.get_by_role("status")).to_have_text("Copied.")
            field.clear()  # What was typed is kept over a reload.
            field.press("ControlOrMeta+V")
            expect(field).to_have_value(provider.behaviour.reply)
            talk.locator("summary", has_text="Timings").click()
            turn = Turn.objects.get()
            stages = [milliseconds for milliseconds in turn.timings.values() if milliseconds is not None]
            expect(talk.locator(".timing:visible")).to_have_count(len(stages))  # Of live questions the words are known.
            wait_until(lambda: is_above(talk.locator(".timings dl"), talk.locator(".dock .status")))
            first_sound = talk.locator("[data-timing=first_audio_ms]")
            expect(first_sound.locator(".timing-ms")).to_have_text(str(turn.first_audio_ms))
            expect(first_sound.locator("line")).to_have_attribute("x2", str(turn.first_audio_ms))


class TestFailure:
    @pytest.mark.parametrize("reloaded", [False, True])
    @pytest.mark.parametrize("path", [TRANSCRIPTIONS, CHAT, SPEECH])
    def test_a_retry_continues_from_the_failed_stage(
        self, talk: Page, provider: FakeProvider, path: str, reloaded: bool
    ) -> None:
        talk.add_init_script(WITHOUT_LIVE)
        talk.reload()
        provider.fail_next(path, status=200, body="This is neither JSON nor sound.")
        talk.get_by_role("button", name="Start recording").click()
        wait_for_state(talk, "listening")
        talk.wait_for_timeout(1000)
        talk.locator("#record").click()
        wait_for_state(talk, "failed")
        expect(talk.get_by_role("status")).to_have_text(re.compile(r"^Failed\. See above\. The speech service"))
        if path != TRANSCRIPTIONS:
            expect(talk.locator(".transcript")).to_have_text(provider.behaviour.transcript)
        if reloaded:
            talk.reload()
            wait_for_state(talk, "ready")
        heard = len(provider.requests_to(TRANSCRIPTIONS))
        talk.get_by_role("button", name="Go on" if path == SPEECH else "Try again").click()
        wait_for_answer(talk)
        expect(talk.locator(".reply")).to_have_text(provider.behaviour.reply)
        assert Turn.objects.get().status == Turn.Status.SPOKEN
        assert len(provider.requests_to(TRANSCRIPTIONS)) - heard == (path == TRANSCRIPTIONS)

    def test_a_retry_that_cannot_succeed_is_not_offered(self, talk: Page, provider: FakeProvider) -> None:
        provider.fail_next(CHAT, status=401, body=openai_error("invalid_api_key"))
        type_question(talk)
        wait_for_state(talk, "failed")
        for _view in ("live", "reloaded"):
            expect(talk.locator(".turn-error")).to_contain_text("rejected its key")
            expect(talk.get_by_role("button", name="Try again")).to_have_count(0)
            talk.reload()

    def test_the_next_question_after_a_failure_is_answered(self, talk: Page, provider: FakeProvider) -> None:
        provider.fail_next(CHAT, status=401, body=openai_error("invalid_api_key"))
        type_question(talk)
        wait_for_state(talk, "failed")
        type_question(talk, "And now?")
        wait_for_answer(talk)
        expect(talk.locator(".reply").last).to_have_text(provider.behaviour.reply)


class TestSettings:
    def test_they_apply_from_the_first_question(self, talk: Page, provider: FakeProvider) -> None:
        talk.get_by_label("Language", exact=True).select_option("French")
        describe_persona(talk, "A pirate.")
        ask_aloud(talk, seconds=1)
        assert provider.requests_to(LISTEN)[0].query["language_code"] == "fr"
        system = provider.requests_to(CHAT)[0].json["messages"][0]["content"]
        assert "Always answer in French" in system
        assert "A pirate." in system
        talk.get_by_label("Language", exact=True).select_option("German")
        expect(talk.get_by_role("status")).to_contain_text("Saved")
        assert Conversation.objects.get().language == "de"

    def test_a_new_conversation_can_be_renamed_exported_and_deleted(self, talk: Page, server: Server) -> None:
        type_question(talk)
        wait_for_answer(talk)
        talk.locator("summary", has_text="Manage").click()
        expect(talk.get_by_role("link", name="Delete this conversation")).to_be_in_viewport()
        with talk.expect_download() as download:
            talk.get_by_role("link", name="Export as text").click()
        assert "You: What is the capital of France?" in Path(download.value.path()).read_text()
        talk.get_by_label("Title").fill("Paris")
        talk.get_by_role("button", name="Save").click()
        expect(talk.get_by_role("heading", level=1)).to_have_text("Paris")
        talk.locator("summary", has_text="Manage").click()
        talk.get_by_role("link", name="Delete this conversation").click()
        talk.get_by_role("button", name="Delete the conversation").click()
        talk.wait_for_url(f"{server.url}/history/")
        assert not Conversation.objects.exists()


class TestHistory:
    def test_conversations_can_be_searched_renamed_exported_and_deleted(
        self, talk: Page, server: Server, conversation: Conversation
    ) -> None:
        make_turn(conversation)
        make_turn(
            Conversation.objects.create(owner=conversation.owner, title="Dinner"), transcript="Rice?", reply="Yes."
        )
        talk.goto(f"{server.url}/history/")
        talk.get_by_label("Search in conversations").fill("france")
        talk.get_by_role("button", name="Search").click()
        expect(talk.locator(".conversation")).to_have_count(1)
        talk.get_by_text("Actions for").locator("..").click()
        talk.locator("summary", has_text="Rename").click()
        talk.get_by_label("New title").fill("Geography")
        talk.get_by_role("button", name="Save").click()
        talk.wait_for_url("**/history/?q=france")
        expect(talk.get_by_role("link", name="Geography", exact=True)).to_be_visible()
        talk.get_by_text("Actions for").locator("..").click()
        with talk.expect_download() as download:
            talk.get_by_role("link", name="Export as JSON").click()
        assert re.fullmatch(r"geography-\d{4}-\d\d-\d\d\.json", download.value.suggested_filename)
        assert json.loads(Path(download.value.path()).read_text())["turns"][0]["reply"] == "Paris."
        talk.keyboard.press("Escape")
        expect(talk.get_by_role("link", name="Export as JSON")).to_be_hidden()
        talk.get_by_text("Actions for").locator("..").click()
        talk.get_by_role("link", name="Delete", exact=True).click()
        talk.get_by_role("button", name="Delete the conversation").click()
        expect(talk.get_by_role("link", name="Dinner", exact=True)).to_be_visible()
        expect(talk.locator(".conversation")).to_have_count(1)

    def test_a_long_conversation_has_pages(self, talk: Page, server: Server, conversation: Conversation) -> None:
        for number in range(TURNS_PER_PAGE + 3):
            make_turn(conversation, transcript=f"Question {number}")
        talk.goto(f"{server.url}/talk/{conversation.pk}/")
        expect(talk.locator(".turn")).to_have_count(TURNS_PER_PAGE)
        expect(talk.locator(".turn").last).to_be_in_viewport()
        talk.get_by_role("link", name="Earlier turns").click()
        expect(talk.locator(".transcript")).to_have_text([f"Question {number}" for number in range(3)])
        expect(talk.locator("#record")).to_have_count(0)
        talk.get_by_role("button", name="Play the answer").first.click()
        expect(talk.get_by_role("button", name="Pause the answer")).to_be_visible()
        talk.get_by_role("link", name="Back to the latest turns").click()
        expect(talk.get_by_role("button", name="Start recording")).to_be_visible()


class TestAccess:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_a_conversation_has_no_accessibility_problem(
        self, talk: Page, server: Server, conversation: Conversation, scheme: str
    ) -> None:
        make_turn(conversation, heard_ms=200, first_word_ms=400, first_audio_ms=600)
        make_turn(conversation, status="failed", error_code="provider_busy", reply="", answer="")
        talk.emulate_media(color_scheme=scheme)  # type: ignore[arg-type] # Playwright wants a literal
        talk.goto(f"{server.url}/talk/{conversation.pk}/")
        for summary in talk.locator("summary:visible").all()[1:]:
            if summary.evaluate("element => !element.parentElement.open"):
                summary.click()
        assert barriers_in(talk) == ""

    def test_stop_and_the_state_are_visible_on_a_low_screen(
        self, talk: Page, server: Server, conversation: Conversation
    ) -> None:
        """A window of 1280 by 860 pixels at 200 %, or a phone in landscape."""
        make_turn(conversation, reply=LONG_REPLY * 4)
        talk.set_viewport_size({"width": 640, "height": 430})
        talk.goto(f"{server.url}/talk/{conversation.pk}/")
        for top in (False, True):
            if top:
                talk.evaluate("() => scrollTo(0, 0)")
            for control in (talk.locator("#status"), talk.get_by_role("button", name="Stop", exact=True)):
                expect(control).to_be_in_viewport(ratio=1)
        talk.get_by_label("Type instead of speaking").focus()
        expect(talk.get_by_label("Type instead of speaking")).to_be_in_viewport(ratio=1)

    def test_it_fits_a_width_of_320_pixels(self, talk: Page, server: Server, conversation: Conversation) -> None:
        make_turn(conversation, transcript="word " * 40, reply="Llanfairpwllgwyngyllgogerychwyrndrobwllllantysilio")
        talk.set_viewport_size({"width": 320, "height": 640})
        for path in (f"/talk/{conversation.pk}/", "/talk/", "/history/"):
            talk.goto(server.url + path)
            assert talk.evaluate("document.documentElement.scrollWidth") <= 320

    def test_without_javascript_the_history_can_be_read_and_played(
        self, browser: Browser, server: Server, alice: User, conversation: Conversation
    ) -> None:
        make_turn(conversation)
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        be_signed_in(page, server.url, alice)
        page.goto(f"{server.url}/history/?q=france")
        page.locator(".conversation h3 a").click()
        expect(page.get_by_text("Talking needs JavaScript")).to_be_visible()
        for player in ("question", "answer"):
            box = page.locator(f".{player}-audio").bounding_box()
            assert box
            assert box["width"] > 200
        expect(page.get_by_role("link", name="Download the answer as MP3")).to_be_visible()
        expect(page.locator("#record")).to_be_hidden()
        context.close()
