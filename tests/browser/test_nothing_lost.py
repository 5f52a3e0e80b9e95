"""Nothing is lost: turns that are left, stopped, asked again, or made elsewhere, and people who are signed out."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from apps.accounts.sessions import Session
from apps.conversations.models import Conversation, Turn
from tests.browser.conftest import faultless_page
from tests.browser.steps import (
    LONG_ANSWER,
    barriers_in,
    be_signed_in,
    sign_in,
    type_question,
    wait_for_answer,
    wait_for_state,
)
from tests.client import LONG_REPLY, wait_until
from tests.fakes.behaviour import Behaviour
from tests.fakes.elevenlabs import SPEECH
from tests.fakes.openai import CHAT

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.voices.models import VoiceProfile
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 800}}


@pytest.fixture
def broken(browser: Browser, server: Server, alice: User, voice: VoiceProfile) -> Iterator[Page]:
    """Alice's Talk page, on which requests may fail."""
    context = browser.new_context(reduced_motion="reduce")
    with faultless_page(context, expected="Failed to load resource") as page:
        be_signed_in(page, server.url, alice)
        yield page
    context.close()


def is_spoken() -> bool:
    return Turn.objects.filter(status=Turn.Status.SPOKEN).exists()


class TestLeaving:
    @pytest.mark.parametrize("state", ["thinking", "speaking"])
    def test_a_turn_is_finished_and_shown_after_a_reload(self, talk: Page, provider: FakeProvider, state: str) -> None:
        provider.behaviour = Behaviour(reply=LONG_REPLY, first_token_seconds=1, audio_speed=4)
        type_question(talk)
        wait_for_state(talk, state)
        wait_until(Turn.objects.exists)
        talk.reload()
        if state == "thinking":
            expect(talk.get_by_text("This answer is still being made.")).to_be_visible()
        expect(talk.get_by_role("button", name="Play the answer")).to_be_visible()
        expect(talk.locator(".reply")).to_have_text(LONG_REPLY.strip())
        expect(talk.locator(".turn")).to_have_attribute("data-status", "spoken")
        assert Turn.objects.get().status == Turn.Status.SPOKEN
        assert len(provider.requests_to(CHAT)) == 1

    def test_a_live_answer_is_finished_and_shown_after_a_reload(self, talk: Page, provider: FakeProvider) -> None:
        provider.behaviour = Behaviour(reply=LONG_REPLY, audio_speed=4)
        talk.get_by_role("button", name="Start recording").click()
        wait_for_state(talk, "listening")
        talk.wait_for_timeout(1500)
        talk.locator("#record").click()
        wait_for_state(talk, "speaking")
        talk.reload()
        expect(talk.get_by_role("button", name="Play the answer")).to_be_visible()
        expect(talk.locator(".reply")).to_have_text(LONG_REPLY.strip())
        turn = Turn.objects.get()
        assert (turn.status, turn.spoken_text) == (Turn.Status.SPOKEN, "")

    def test_a_turn_is_there_after_the_way_back(self, talk: Page, server: Server, provider: FakeProvider) -> None:
        provider.behaviour = Behaviour(first_token_seconds=1)
        type_question(talk)
        talk.wait_for_url("**/talk/*-*/")
        talk.goto(f"{server.url}/history/")
        wait_until(is_spoken)
        talk.go_back()
        expect(talk.locator(".reply")).to_have_text(provider.behaviour.reply)

    def test_a_turn_that_goes_on_after_a_reload_can_be_stopped(self, talk: Page, provider: FakeProvider) -> None:
        provider.behaviour = Behaviour(first_token_seconds=60)
        type_question(talk)
        wait_until(Turn.objects.exists)
        talk.wait_for_url("**/talk/*-*/")
        talk.reload()
        talk.get_by_role("button", name="Stop it").click()
        expect(talk.get_by_text("Stopped.", exact=True)).to_be_visible()
        assert Turn.objects.get().status == Turn.Status.INTERRUPTED

    def test_a_recording_is_not_left_by_accident(self, talk: Page) -> None:
        talk.get_by_role("button", name="Start recording").click()
        wait_for_state(talk, "listening")
        expect(talk).to_have_title(re.compile("^Listening · New conversation – "))
        talk.on("dialog", lambda dialog: dialog.dismiss())
        with talk.expect_event("dialog") as asked:
            talk.close(run_before_unload=True)
        assert asked.value.type == "beforeunload"
        expect(talk.locator("html")).to_have_attribute("data-turn-state", "listening")
        talk.get_by_role("button", name="Throw away").click()

    def test_typed_text_and_mute_are_kept(self, talk: Page) -> None:
        talk.get_by_label("Type instead of speaking").fill("Half a question")
        talk.get_by_role("button", name="Mute").click()
        talk.reload()
        expect(talk.get_by_label("Type instead of speaking")).to_have_value("Half a question")
        expect(talk.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")

    def test_who_stops_before_there_is_a_conversation_begins_no_second_one(
        self, talk: Page, provider: FakeProvider
    ) -> None:
        requests: list[Route] = []
        talk.route("**/api/v1/conversations", lambda route: requests.append(route))
        type_question(talk)
        wait_for_state(talk, "thinking")
        talk.get_by_role("button", name="Stop", exact=True).click()
        type_question(talk)
        wait_for_state(talk, "thinking")
        for request in requests:
            request.continue_()
        wait_for_answer(talk)
        assert Conversation.objects.count() == 1


class TestGoingOn:
    def test_a_stopped_answer_goes_on_where_it_was_heard(self, talk: Page, provider: FakeProvider) -> None:
        provider.behaviour = LONG_ANSWER
        asked = time.monotonic()
        type_question(talk)
        wait_for_state(talk, "speaking")
        talk.wait_for_timeout(1500)
        talk.get_by_role("button", name="Stop", exact=True).click()
        wait_until(lambda: Turn.objects.get().status == Turn.Status.INTERRUPTED)
        heard = Turn.objects.get().heard_seconds
        assert heard
        assert 0.5 < heard < time.monotonic() - asked
        provider.behaviour = Behaviour(reply=LONG_REPLY, audio_speed=50)
        asked = time.monotonic()
        talk.get_by_role("button", name="Go on").click()
        wait_for_state(talk, "speaking")
        wait_until(is_spoken)
        expect(talk.get_by_role("button", name="Go on")).to_be_hidden()
        talk.get_by_role("button", name="Stop", exact=True).click()
        wait_until(lambda: Turn.objects.get().status == Turn.Status.INTERRUPTED)
        turn = Turn.objects.get()
        assert turn.heard_seconds
        assert heard < turn.heard_seconds < heard + time.monotonic() - asked  # It is not heard from its beginning.
        assert len(provider.requests_to(CHAT)) == 1

    def test_the_rest_is_shown_when_the_network_is_back(self, broken: Page, provider: FakeProvider) -> None:
        provider.behaviour = Behaviour(reply=LONG_REPLY, audio_speed=3)
        type_question(broken)
        wait_for_state(broken, "speaking")
        broken.context.set_offline(True)
        wait_until(is_spoken)
        broken.context.set_offline(False)
        expect(broken.locator(".turn")).to_have_attribute("data-status", "spoken")
        expect(broken.get_by_role("button", name="Play the answer")).to_be_visible()
        assert len(provider.requests_to(CHAT)) == 1

    def test_it_can_be_tried_again_where_the_script_that_waits_is_lost_too(self, broken: Page) -> None:
        cut = {"Content-Type": "text/event-stream", "X-Turn-Id": str(uuid4())}
        broken.route("**/live/stored-turns*.js", lambda route: route.abort())
        broken.route("**/turns", lambda route: route.fulfill(status=201, headers=cut, body=""))
        type_question(broken)
        expect(broken.get_by_role("button", name="Try again")).to_be_visible()
        expect(broken.locator("html")).to_have_attribute("data-turn-state", "failed")

    def test_a_question_that_could_not_be_sent_is_asked_once(self, broken: Page, provider: FakeProvider) -> None:
        broken.context.set_offline(True)
        type_question(broken)
        wait_for_state(broken, "failed")
        expect(broken.get_by_role("button", name="Ask again")).to_be_hidden()
        broken.context.set_offline(False)
        broken.get_by_role("button", name="Try again").click()
        wait_for_answer(broken)
        assert Turn.objects.count() == 1


class TestAskingAgain:
    @pytest.mark.parametrize("size", SIZES)
    def test_an_answer_is_made_again_and_a_question_edited(self, talk: Page, provider: FakeProvider, size: str) -> None:
        talk.set_viewport_size(SIZES[size])  # type: ignore[arg-type] # Playwright wants a literal
        type_question(talk, "First?")
        wait_for_answer(talk)
        provider.behaviour.reply = "Another answer."
        talk.get_by_role("button", name="Make another answer").dblclick()
        wait_for_answer(talk)
        expect(talk.locator(".turn .reply:visible")).to_have_text(["Another answer."])
        assert Turn.objects.count() == 2
        provider.behaviour.reply = "A third one."
        talk.get_by_role("button", name="Edit the question").click()
        field = talk.get_by_role("textbox", name="Edit the question")
        expect(field).to_be_focused()
        talk.keyboard.press("Escape")
        expect(field).to_have_count(0)
        talk.get_by_role("button", name="Edit the question").click()
        field.fill("Second?")
        talk.get_by_role("button", name="Ask", exact=True).click()
        wait_for_answer(talk)
        assert [message["content"] for message in provider.requests_to(CHAT)[-1].json["messages"][1:]] == ["Second?"]
        for _view in ("made here", "reloaded"):
            expect(talk.locator(".turns > .turn")).to_have_count(1)
            talk.locator("summary", has_text="Earlier versions (2)").click()
            expect(talk.locator(".version .reply")).to_have_text([Behaviour().reply, "Another answer."])
            expect(talk.locator(".version .reply").last).to_be_visible()
            assert talk.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
            assert barriers_in(talk) == ""
            talk.reload()

    def test_also_while_a_later_answer_is_being_made(self, talk: Page, provider: FakeProvider) -> None:
        type_question(talk, "First?")
        wait_for_answer(talk)
        provider.behaviour = LONG_ANSWER
        type_question(talk, "Later?")
        wait_for_state(talk, "speaking")
        talk.get_by_role("button", name="Edit the question").first.click()
        talk.get_by_role("textbox", name="Edit the question").fill("Second?")
        provider.behaviour = Behaviour()
        talk.get_by_role("button", name="Ask", exact=True).click()
        expect(talk.locator(".turns > .turn > .answer .reply").last).to_have_text(provider.behaviour.reply)
        wait_for_state(talk, "ready")
        statuses = Turn.objects.order_by("created_at").values_list("status", flat=True)
        assert list(statuses) == ["spoken", "interrupted", "spoken"]

    def test_what_is_refused_leaves_the_old_answer(self, broken: Page, provider: FakeProvider) -> None:
        type_question(broken)
        wait_for_answer(broken)
        broken.get_by_role("button", name="Make another answer").hover()
        broken.wait_for_load_state("networkidle")
        broken.context.set_offline(True)
        broken.get_by_role("button", name="Make another answer").click()
        expect(broken.get_by_role("status")).to_contain_text("The connection was lost")
        expect(broken.locator(".turn .reply")).to_have_text([provider.behaviour.reply])
        broken.get_by_role("button", name="Edit the question").click()
        field = broken.get_by_role("textbox", name="Edit the question")
        field.fill("Second?")
        broken.get_by_role("button", name="Ask", exact=True).click()
        expect(field).to_have_value("Second?")  # It is not lost.
        broken.keyboard.press("Escape")
        broken.context.set_offline(False)
        broken.get_by_role("button", name="Make another answer").click()
        wait_for_answer(broken)
        assert Turn.objects.count() == 2


class TestElsewhere:
    def test_another_tab_shows_the_new_turns(self, talk: Page, provider: FakeProvider) -> None:
        type_question(talk, "First?")
        wait_for_answer(talk)
        with faultless_page(talk.context) as other:
            other.goto(talk.url)
            expect(other.locator(".transcript")).to_have_text(["First?"])
            type_question(talk, "Second?")
            wait_for_answer(talk)
            expect(other.locator(".transcript")).to_have_text(["First?", "Second?"])
            provider.behaviour.reply = "Another answer."
            other.get_by_role("button", name="Make another answer").last.click()
            wait_for_answer(other)
            expect(talk.locator(".turns > .turn > .answer .reply")).to_have_text([Behaviour().reply, "Another answer."])
            expect(talk.locator("summary", has_text="Earlier versions (1)")).to_be_visible()

    def test_who_was_signed_out_signs_in_and_sends_the_same_question(
        self, broken: Page, server: Server, alice: User, provider: FakeProvider
    ) -> None:
        Session.objects.all().delete()
        type_question(broken)
        wait_for_state(broken, "failed")
        expect(broken.locator(".turn-error")).to_contain_text("You are signed out.")
        link = broken.locator(".turn-error").get_by_role("link", name="Sign in")
        expect(link).to_have_attribute("href", "/accounts/login/?next=%2Ftalk%2F")
        with broken.context.expect_page() as opened:
            link.click()
        sign_in(opened.value, server.url, alice.username)
        broken.bring_to_front()
        broken.get_by_role("button", name="Try again").click()
        wait_for_answer(broken)
        assert Turn.objects.get().transcript == "What is the capital of France?"
        assert provider.requests_to(SPEECH)
