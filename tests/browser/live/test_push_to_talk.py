"""Questions by button are heard while they are spoken."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from apps.conversations.models import Conversation, Turn
from tests.audio_samples import silence
from tests.browser.live.steps import (
    LATENCIES,
    Frames,
    say,
    start_recording,
    uploads,
    wait_for_answer,
    wait_for_state,
)
from tests.browser.steps import describe_persona
from tests.fakes.behaviour import Behaviour
from tests.fakes.openai import CHAT
from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    from tests.conftest import Server


class TestPushToTalk:
    def test_words_appear_while_they_are_spoken_and_the_turn_looks_as_any_other(
        self, talk: Page, provider: FakeProvider, capsys: pytest.CaptureFixture[str]
    ) -> None:
        provider.behaviour = Behaviour(spoken_seconds=2, partial_seconds=0.1, final_seconds=0.1)
        uploaded, frames = uploads(talk), Frames(talk)
        start_recording(talk)
        expect(talk.locator(".transcript")).to_contain_text("What is")
        expect(talk.locator("html")).to_have_attribute("data-turn-state", "listening")
        talk.wait_for_timeout(1500)
        talk.locator("#record").click()
        wait_for_answer(talk)
        with capsys.disabled():
            say(f"Push-to-talk, button to first sound: {talk.evaluate(LATENCIES)} ms")
        turn = Turn.objects.get()
        expect(talk.locator(".transcript")).to_have_text(provider.behaviour.transcript)
        expect(talk.locator(".reply")).to_have_text(provider.behaviour.reply)
        expect(talk.locator(".turn")).to_have_attribute("data-turn", str(turn.pk))
        for kind in ("question", "answer"):
            talk.get_by_role("button", name=f"Play the {kind}").click()
            expect(talk.get_by_role("button", name=f"Pause the {kind}")).to_be_visible()
        expect(talk.locator(".timings")).to_be_visible()
        expect(talk).to_have_url(f"{talk.url.partition('/talk/')[0]}/talk/{turn.conversation_id}/")
        assert turn.status == Turn.Status.SPOKEN
        assert uploaded == []
        assert len(frames.of("session.created")) == 1

    def test_two_questions_share_a_socket_and_new_settings_apply_to_the_second(
        self, talk: Page, provider: FakeProvider
    ) -> None:
        frames = Frames(talk)
        for persona in ("A pirate.", "A nurse."):
            describe_persona(talk, persona)
            start_recording(talk)
            talk.wait_for_timeout(1500)
            talk.locator("#record").click()
            wait_for_answer(talk)
        systems = [request.json["messages"][0]["content"] for request in provider.requests_to(CHAT)]
        assert "A pirate." in systems[0]
        assert "A nurse." in systems[-1]
        assert Turn.objects.count() == 2
        assert len(frames.of("session.created")) == 2  # The settings have changed.

    def test_a_discarded_question_is_forgotten(self, talk: Page, provider: FakeProvider) -> None:
        start_recording(talk)
        expect(talk.locator(".turn")).to_have_count(1)  # Its words.
        talk.keyboard.press("Escape")
        expect(talk.get_by_role("status")).to_contain_text("thrown away")
        expect(talk.locator(".turn")).to_have_count(0)
        start_recording(talk)
        talk.wait_for_timeout(1500)
        talk.locator("#record").click()
        wait_for_answer(talk)
        assert Turn.objects.count() == 1
        assert len(provider.requests_to(CHAT)) == 1

    def test_a_failed_turn_can_be_tried_again(self, talk: Page, provider: FakeProvider) -> None:
        provider.fail_next(CHAT, status=200, body="This is neither JSON nor sound.")
        start_recording(talk)
        talk.wait_for_timeout(1500)
        talk.locator("#record").click()
        wait_for_state(talk, "failed")
        talk.get_by_role("button", name="Try again").click()
        wait_for_answer(talk)
        assert Turn.objects.get().status == Turn.Status.SPOKEN

    def test_silence_is_not_asked(self, hearing: Callable[..., Page], provider: FakeProvider) -> None:
        page = hearing(silence(60))
        frames = Frames(page)
        start_recording(page)
        page.wait_for_timeout(1000)
        page.locator("#record").click()
        expect(page.get_by_role("status")).to_contain_text("I heard nothing")
        assert frames.of("session.created") == []
        assert not provider.requests


def test_a_stored_conversation_goes_on_over_the_socket(
    talk: Page, server: Server, provider: FakeProvider, conversation: Conversation
) -> None:
    talk.goto(f"{server.url}/talk/{conversation.pk}/")
    frames = Frames(talk)
    start_recording(talk)
    talk.wait_for_timeout(1500)
    talk.locator("#record").click()
    wait_for_answer(talk)
    assert Turn.objects.get().conversation == conversation
    assert frames.of("response.done")[0]["response"]["metadata"] == {"turn_id": str(Turn.objects.get().pk)}
