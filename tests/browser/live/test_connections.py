"""Sockets that break, are refused, or are missing: nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from apps.accounts.sessions import Session
from apps.conversations.models import Turn
from tests.audio_samples import silence
from tests.browser.conftest import faultless_page
from tests.browser.live.steps import (
    BROKEN_CONNECTION,
    INIT,
    LONG_QUESTION,
    REFUSED,
    Frames,
    cut,
    listen,
    start_recording,
    uploads,
    wait_for_answer,
    wait_for_state,
)
from tests.browser.steps import LONG_ANSWER, be_signed_in, open_settings, type_question
from tests.client import wait_until
from tests.fakes.behaviour import Behaviour
from tests.fakes.openai import CHAT
from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.voices.models import VoiceProfile
    from tests.conftest import Server


class TestBrokenConnection:
    def test_in_the_middle_of_a_question_by_button_nothing_is_lost(
        self, talk: Page, server: Server, provider: FakeProvider
    ) -> None:
        uploaded, frames = uploads(talk), Frames(talk)
        start_recording(talk)
        expect(talk.locator(".turn")).to_have_count(1)
        talk.wait_for_timeout(1500)
        cut(server)
        talk.wait_for_timeout(1500)
        talk.locator("#record").click()
        wait_for_answer(talk)
        turn = Turn.objects.get()
        assert turn.question_seconds is not None
        assert turn.question_seconds > 3
        assert uploaded == []
        assert len(frames.of("session.created")) == 2
        expect(talk.locator(".turn")).to_have_count(1)

    def test_in_the_middle_of_a_question_hands_free_nothing_is_lost(
        self, hearing: Callable[..., Page], server: Server, provider: FakeProvider
    ) -> None:
        page = hearing(silence(1), LONG_QUESTION, silence(60))
        frames = Frames(page)
        listen(page)
        expect(page.locator(".turn")).to_have_count(1)
        page.wait_for_timeout(2500)
        cut(server)
        wait_for_state(page, "speaking")
        wait_for_state(page, "listening")
        turn = Turn.objects.get()
        assert turn.question_seconds is not None
        assert turn.question_seconds > LONG_QUESTION.seconds
        assert len(frames.of("session.created")) == 2
        expect(page.locator(".turn")).to_have_count(1)

    def test_before_the_answer_the_server_goes_on_and_it_is_heard_all_the_same(
        self, talk: Page, server: Server, provider: FakeProvider
    ) -> None:
        provider.behaviour.first_token_seconds = 2
        start_recording(talk)
        talk.wait_for_timeout(2000)
        talk.locator("#record").click()
        wait_for_state(talk, "thinking")
        talk.wait_for_timeout(500)
        cut(server)
        wait_for_answer(talk)
        expect(talk.locator(".reply")).to_have_text(provider.behaviour.reply)
        expect(talk.locator(".turn")).to_have_count(1)
        turn = Turn.objects.get()
        assert turn.status == Turn.Status.SPOKEN
        expect(talk.locator(".turn")).to_have_attribute("data-turn", str(turn.pk))
        assert len(provider.requests_to(CHAT)) == 1

    def test_in_the_middle_of_an_answer_the_rest_is_heard_and_the_next_question_is_answered(
        self, talk: Page, server: Server, provider: FakeProvider
    ) -> None:
        provider.behaviour = LONG_ANSWER
        start_recording(talk)
        talk.wait_for_timeout(1500)
        talk.locator("#record").click()
        wait_for_state(talk, "speaking")
        talk.wait_for_timeout(500)
        cut(server)
        wait_for_state(talk, "ready")
        turn = Turn.objects.get()
        expect(talk.locator(".turn")).to_have_attribute("data-turn", str(turn.pk))
        expect(talk.locator(".turn")).to_have_attribute("data-status", "spoken")
        assert turn.status == Turn.Status.SPOKEN
        expect(talk.locator(".question-audio[src]")).to_have_count(1)
        provider.behaviour = Behaviour()
        start_recording(talk)
        talk.wait_for_timeout(1500)
        talk.locator("#record").click()
        wait_for_answer(talk)
        assert Turn.objects.count() == 2

    def test_if_it_does_not_come_back_the_question_is_uploaded(
        self, context: BrowserContext, server: Server, alice: User, voice: VoiceProfile
    ) -> None:
        context.add_init_script(INIT)
        context.add_init_script(REFUSED.replace("true", "window.isCut"))
        with faultless_page(context, expected=BROKEN_CONNECTION) as page:
            be_signed_in(page, server.url, alice)
            uploaded = uploads(page)
            start_recording(page)
            expect(page.locator(".turn")).to_have_count(1)
            page.evaluate("window.isCut = true")
            cut(server)
            page.wait_for_timeout(2000)
            page.locator("#record").click()
            wait_for_answer(page)
            assert len(uploaded) == 1
            expect(page.locator(".turn")).to_have_count(1)
        turn = Turn.objects.get()
        assert turn.question_seconds is not None
        assert turn.question_seconds > 2


class TestWithoutASocket:
    def test_a_question_that_waits_for_the_socket_is_answered_by_upload_while_the_microphone_stays_open(
        self, hearing: Callable[..., Page], provider: FakeProvider
    ) -> None:
        page = hearing(silence(60))
        page.add_init_script("window.WebSocket = class { constructor() { throw new Error('forbidden'); } };")
        page.reload()
        uploaded = uploads(page)
        listen(page)
        type_question(page)
        wait_for_state(page, "speaking")
        wait_for_state(page, "listening")
        expect(page.locator(".reply")).to_have_text(provider.behaviour.reply)
        assert len(uploaded) == 1
        assert Turn.objects.get().status == Turn.Status.SPOKEN
        expect(page.locator("html")).to_have_attribute("data-microphone", "open")

    @pytest.mark.parametrize(
        "missing",
        [
            "delete window.WebSocket;",
            "delete window.AudioWorkletNode;",
            "AudioWorklet.prototype.addModule = () => Promise.reject(new Error('not here'));",
            REFUSED,
        ],
        ids=["no WebSocket", "no worklet", "no module", "refused"],
    )
    @pytest.mark.parametrize("hands_free", [False, True])
    def test_questions_are_uploaded(
        self, context: BrowserContext, server: Server, alice: User, voice: VoiceProfile, missing: str, hands_free: bool
    ) -> None:
        context.add_init_script(INIT)
        context.add_init_script(missing)
        with faultless_page(context, expected=BROKEN_CONNECTION) as page:
            be_signed_in(page, server.url, alice)
            uploaded = uploads(page)
            if hands_free:
                open_settings(page)
                page.get_by_label("Hands-free: send after a pause of").fill("0.5")  # The reader makes short ones.
                listen(page)
            else:
                start_recording(page)
                page.wait_for_timeout(2000)
                page.locator("#record").click()
            wait_for_state(page, "speaking")
            page.get_by_role("button", name="Stop", exact=True).click()
            wait_for_state(page, "ready")
            assert len(uploaded) >= 1
        wait_until(lambda: Turn.objects.filter(total_ms__isnull=False).exists())


def test_who_was_signed_out_while_a_socket_was_open_is_led_to_the_sign_in(
    context: BrowserContext, server: Server, alice: User, voice: VoiceProfile
) -> None:
    context.add_init_script(INIT)
    page = context.new_page()  # Chromium reports the refused requests and sockets.
    be_signed_in(page, server.url, alice)
    start_recording(page)
    page.wait_for_timeout(1500)
    page.locator("#record").click()
    wait_for_answer(page)
    Session.objects.all().delete()
    type_question(page, "Who am I?")
    error = page.locator(".turn").last.locator(".turn-error")
    expect(error).to_contain_text("You are signed out. What you typed and recorded is kept here")
    expect(error.get_by_role("link", name="Sign in")).to_be_visible()
    page.close()
