"""Hands-free over the socket: questions end by themselves, and answers stop when somebody speaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from apps.conversations.models import Turn
from apps.speech.base import Recording
from tests.audio_samples import clip, silence
from tests.browser.live.steps import (
    LATENCIES,
    LONG_QUESTION,
    NOTE_STATES,
    QUESTION,
    SECOND_QUESTION,
    WITH_PAUSE,
    Frames,
    listen,
    say,
    uploads,
    wait_for_state,
)
from tests.browser.steps import LONG_ANSWER, type_question
from tests.client import wait_until
from tests.fakes.behaviour import Behaviour
from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    pass


def wait_until_answered(question: Sequence[Recording]) -> None:
    """Wait until the latest turn is answered and its question has all pieces of `question`."""

    def is_answered() -> bool:
        latest = Turn.objects.order_by("-created_at").first()
        if latest is None or latest.status != Turn.Status.SPOKEN:
            return False
        return (latest.question_seconds or 0) > sum(piece.seconds for piece in question)

    wait_until(is_answered)


class TestHandsFree:
    @pytest.mark.timeout(300)
    def test_ten_turns_with_pauses_and_two_interruptions(
        self, hearing: Callable[..., Page], provider: FakeProvider, capsys: pytest.CaptureFixture[str]
    ) -> None:
        short = Behaviour(reply="It is Paris.", final_seconds=0.15, first_token_seconds=0.1, first_audio_seconds=0.1)
        provider.behaviour = short
        questions = [[QUESTION], WITH_PAUSE] * 5
        interrupted = (2, 6)
        page = hearing(
            silence(1),
            *[
                piece
                for number, question in enumerate(questions)
                for piece in (*question, silence(2.5 if number in interrupted else 4.5))
            ],
            silence(60),
        )
        frames = Frames(page)
        listen(page)
        for number in range(len(questions)):
            expect(page.locator(".turn")).to_have_count(number + 1, timeout=30_000)
            if number in interrupted:
                wait_for_state(page, "speaking")
                provider.behaviour = short
                wait_for_state(page, "listening")
                continue
            wait_until_answered(questions[number])
            expect(page.locator(".turn").nth(number).locator(".answer-audio[src]")).to_have_count(1)
            provider.behaviour = LONG_ANSWER if number + 1 in interrupted else short
        expect(page.locator(".turn")).to_have_count(10)
        wait_for_state(page, "listening")
        latencies = page.evaluate(LATENCIES)
        with capsys.disabled():
            say(f"Hands-free, last word to first sound: {[round(each) for each in latencies]} ms")
        page.get_by_role("button", name="Stop listening").click()
        wait_for_state(page, "ready")
        turns = list(Turn.objects.all())
        assert [turn.status for turn in turns] == [
            Turn.Status.INTERRUPTED if number in interrupted else Turn.Status.SPOKEN for number in range(10)
        ]
        for turn, question in zip(turns, questions, strict=True):
            assert turn.question_seconds is not None
            assert turn.question_seconds > sum(piece.seconds for piece in question)
        for number in interrupted:
            assert 0 < len(turns[number].spoken_text) < len(turns[number].reply)
        assert len(frames.of("session.created")) == 1
        assert median(latencies) < 2500  # What the page or the server waits for delays each; a busy machine, some.

    def test_a_question_that_goes_on_after_its_end_is_one_turn(
        self, hearing: Callable[..., Page], provider: FakeProvider
    ) -> None:
        page = hearing(silence(1), *WITH_PAUSE, silence(60))
        frames = Frames(page)
        listen(page)
        wait_until_answered(WITH_PAUSE)
        expect(page.locator(".answer-audio[src]")).to_have_count(1)
        wait_for_state(page, "listening")
        first, _whole = frames.of("input_audio_buffer.committed")
        assert first["item_id"] in [each["item_id"] for each in frames.of("conversation.item.deleted")]
        expect(page.locator(".turn")).to_have_count(1)
        expect(page.locator(".turn-note")).to_be_hidden()
        expect(page.locator(".reply")).to_have_text(provider.behaviour.reply)
        turn = Turn.objects.get()
        assert turn.question_seconds is not None
        assert turn.question_seconds > sum(piece.seconds for piece in WITH_PAUSE)

    def test_a_noise_that_stopped_the_answer_lets_it_go_on(
        self, hearing: Callable[..., Page], provider: FakeProvider
    ) -> None:
        provider.behaviour = Behaviour(reply=LONG_ANSWER.reply, audio_speed=1.2, partial_seconds=1)
        speech = clip("austen-0890.wav")
        cough = Recording(speech.pcm[2 * 4480 : 2 * 7680], speech.sample_rate)  # 200 ms of a voice.
        page = hearing(silence(1), QUESTION, silence(3.5), cough, silence(60))
        frames = Frames(page)
        listen(page)
        wait_for_state(page, "speaking")
        page.wait_for_timeout(6000)
        wait_for_state(page, "speaking")
        wait_for_state(page, "listening")
        expect(page.locator(".turn")).to_have_count(1)
        expect(page.locator(".turn-note")).to_be_hidden()
        expect(page.locator(".reply")).to_have_text(provider.behaviour.reply)
        assert len(frames.of("conversation.item.truncate")) == 1
        assert Turn.objects.get().status == Turn.Status.SPOKEN

    def test_speech_stops_the_answer_and_the_server_learns_what_was_heard(
        self, hearing: Callable[..., Page], provider: FakeProvider
    ) -> None:
        provider.behaviour = LONG_ANSWER
        page = hearing(silence(1), QUESTION, silence(4), SECOND_QUESTION, silence(60))
        frames = Frames(page)
        page.evaluate(NOTE_STATES)
        listen(page)
        wait_for_state(page, "speaking")
        wait_for_state(page, "listening")
        states = page.evaluate("window.states")
        began = next(time for state, time in states if state == "speaking")
        heard_ms = next(time for state, time in states if state == "listening" and time > began) - began
        expect(page.locator(".turn").first).to_have_attribute("data-status", "interrupted")
        wait_for_state(page, "speaking")
        page.get_by_role("button", name="Stop", exact=True).click()
        wait_for_state(page, "ready")
        [truncated, _last] = frames.of("conversation.item.truncate")
        assert abs(truncated["audio_end_ms"] - heard_ms) < 1000
        wait_until(lambda: Turn.objects.filter(status=Turn.Status.INTERRUPTED).count() == 2)
        first = Turn.objects.all()[0]
        share = len(first.spoken_text) / len(first.reply)
        assert 0 < share < 0.6
        sent = sum(
            len(event["delta"])
            for event in frames.of("response.output_audio.delta")
            if event["item_id"] == truncated["item_id"]
        )
        assert sent * 3 / 4 / 48 > truncated["audio_end_ms"]  # More had come than was heard.

    def test_the_button_sends_at_once(self, hearing: Callable[..., Page], provider: FakeProvider) -> None:
        page = hearing(silence(1), LONG_QUESTION, silence(60))
        listen(page)
        page.get_by_role("button", name="Send now").click(delay=500)
        wait_for_state(page, "thinking")
        wait_for_state(page, "speaking")

    def test_a_typed_question_goes_over_the_open_session(
        self, hearing: Callable[..., Page], provider: FakeProvider
    ) -> None:
        """Its server knows the sound of the answer, and does not take it for somebody who interrupts."""
        provider.behaviour = LONG_ANSWER
        page = hearing(silence(60))
        frames, uploaded = Frames(page), uploads(page)
        listen(page)
        for question in ("What is the capital of France?", "And of Spain?"):
            type_question(page, question)
            wait_for_state(page, "speaking")
        expect(page.locator(".turn").first).to_have_attribute("data-status", "interrupted")
        expect(page.get_by_role("heading", level=1)).to_have_text("What is the capital of France?")
        wait_for_state(page, "listening")
        assert uploaded == []
        assert len(frames.of("session.created")) == 1
        assert [turn.status for turn in Turn.objects.all()] == [Turn.Status.INTERRUPTED, Turn.Status.SPOKEN]
        assert [turn.transcript for turn in Turn.objects.all()] == ["What is the capital of France?", "And of Spain?"]
