"""Hands-free without a socket: the page listens until a pause, and detects speech from the level of the sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from apps.conversations.models import Turn
from tests.audio_samples import clip, silence
from tests.browser.steps import LONG_ANSWER, WITHOUT_LIVE, be_signed_in, open_settings, wait_for_state
from tests.client import wait_until
from tests.fakes.openai import TRANSCRIPTIONS
from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.voices.models import VoiceProfile
    from tests.conftest import Server

QUESTION, SECOND_QUESTION = clip("austen-0880.wav"), clip("austen-0930.wav")
OPEN_SECONDS = 1  # Silence between the press of the button and the first word.

PageThatHears = Callable[..., Page]


class TestHandsFree:
    def start(self, page: Page, url: str, owner: User) -> None:
        page.add_init_script(WITHOUT_LIVE)
        be_signed_in(page, url, owner)
        page.get_by_role("switch", name="Hands-free").check()
        page.get_by_role("button", name="Start listening").click()
        wait_for_state(page, "listening")

    def test_a_pause_sends_the_question_and_it_listens_again_after_the_answer(
        self, page_that_hears: PageThatHears, server: Server, provider: FakeProvider, alice: User, voice: VoiceProfile
    ) -> None:
        provider.behaviour.reply = "It is Paris."
        page = page_that_hears(silence(OPEN_SECONDS), QUESTION, silence(5), SECOND_QUESTION, silence(30))
        self.start(page, server.url, alice)
        for count in (1, 2):
            expect(page.locator(".answer-audio[src]")).to_have_count(count)
            wait_for_state(page, "listening")
        page.wait_for_timeout(2000)

        assert [turn.status for turn in Turn.objects.all()] == [Turn.Status.SPOKEN] * 2
        assert len(provider.requests_to(TRANSCRIPTIONS)) == 2
        for turn, question in zip(Turn.objects.all(), (QUESTION, SECOND_QUESTION), strict=True):
            assert turn.question_seconds is not None
            assert question.seconds + 1 < turn.question_seconds < question.seconds + 5  # With the silence around it.
        page.get_by_role("button", name="Stop listening").click()
        wait_for_state(page, "ready")

    def test_speech_during_the_answer_stops_it_and_becomes_the_next_question(
        self, page_that_hears: PageThatHears, server: Server, provider: FakeProvider, alice: User, voice: VoiceProfile
    ) -> None:
        provider.behaviour = LONG_ANSWER
        page = page_that_hears(silence(OPEN_SECONDS), QUESTION, silence(4), SECOND_QUESTION, silence(30))
        self.start(page, server.url, alice)
        wait_for_state(page, "speaking")
        wait_for_state(page, "listening")
        expect(page.locator(".turn").first).to_have_attribute("data-status", "interrupted")
        wait_for_state(page, "speaking")
        expect(page.locator(".turn")).to_have_count(2)
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.get_by_role("status")).to_contain_text("Stopped")
        expect(page.get_by_role("button", name="Start listening")).to_be_visible()
        wait_until(lambda: Turn.objects.filter(total_ms__isnull=False).count() == 2)
        assert len(provider.requests_to(TRANSCRIPTIONS)) == 2

    def test_silence_is_never_sent(
        self, page_that_hears: PageThatHears, server: Server, provider: FakeProvider, alice: User, voice: VoiceProfile
    ) -> None:
        page = page_that_hears(silence(60))
        self.start(page, server.url, alice)
        page.wait_for_timeout(3000)
        assert not provider.requests
        assert not Turn.objects.exists()
        page.get_by_role("switch", name="Hands-free").uncheck()
        wait_for_state(page, "ready")
        ask = page.get_by_role("button", name="Start recording")
        ask.click()
        wait_for_state(page, "listening")
        page.wait_for_timeout(1000)
        page.locator("#record").click()
        expect(page.get_by_role("status")).to_contain_text("I heard nothing")
        assert not provider.requests

    def test_the_mode_and_its_pause_are_remembered(self, talk: Page) -> None:
        talk.get_by_role("switch", name="Hands-free").check()
        open_settings(talk)
        talk.get_by_label("Hands-free: send after a pause of").fill("2.5")
        expect(talk.locator("#pause-seconds")).to_have_text("2.5 s")
        talk.reload()
        expect(talk.get_by_role("switch", name="Hands-free")).to_be_checked()
        expect(talk.locator("#pause-seconds")).to_have_text("2.5 s")
        expect(talk.get_by_role("button", name="Start listening")).to_be_visible()


class TestVoiceActivity:
    """The detection of speech from levels in dBFS, each for a number of seconds."""

    QUIET, FAN, WORD, LOUD = -70, -40, -32, -20

    @pytest.fixture
    def site(self, page: Page, server: Server) -> Page:
        """A page of the site, which can import the scripts."""
        page.goto(f"{server.url}/accounts/login/")
        return page

    def changes(self, page: Page, *levels: tuple[float, float], strict: bool = False) -> list[str]:
        """Return the detected changes, each with its time in seconds."""
        changes: list[str] = page.evaluate(
            """async ([levels, strict]) => {
                const { VoiceActivity } = await import("/static/js/voice-activity.js");
                const activity = new VoiceActivity(1000);
                activity.strict = strict;
                const changes = [];
                let now = 0;
                for (const [level, seconds] of levels) {
                    for (const end = now + seconds * 1000; now < end; now += 50) {
                        const change = activity.update(level, now);
                        if (change) changes.push(`${change} ${(now / 1000).toFixed(2)}`);
                    }
                }
                return changes;
            }""",
            [levels, strict],
        )
        return changes

    def test_words_with_short_pauses_are_one_question(self, site: Page) -> None:
        words = [(self.WORD, 0.4), (self.QUIET, 0.3)] * 5
        assert self.changes(site, (self.QUIET, 2), *words, (self.QUIET, 3)) == ["started 2.15", "stopped 6.15"]

    def test_speech_from_the_first_moment_is_detected(self, site: Page) -> None:
        assert self.changes(site, (self.LOUD, 2), (self.QUIET, 2))[0] == "started 0.15"

    def test_clicks_fans_and_signal_gaps_are_not_speech(self, site: Page) -> None:
        click = (self.LOUD, 0.1)
        assert not self.changes(site, (self.QUIET, 2), click, (self.QUIET, 2), click, (self.QUIET, 2))
        assert not self.changes(site, (self.FAN, 60))
        assert not self.changes(site, (-200, 0.1), (-50, 5), (-200, 0.1), (-50, 5))

    def test_speech_over_a_fan_is_detected(self, site: Page) -> None:
        assert self.changes(site, (self.FAN, 5), (self.LOUD, 3), (self.FAN, 3)) == ["started 5.15", "stopped 8.95"]

    def test_constant_noise_does_not_keep_a_question_open(self, site: Page) -> None:
        [started, stopped] = self.changes(site, (self.QUIET, 3), (self.FAN, 30))
        assert started.startswith("started")
        assert float(stopped.split()[1]) < 25

    def test_the_echo_of_an_answer_is_not_speech(self, site: Page) -> None:
        echo = [(-48, 0.3), (self.QUIET, 0.2)] * 10
        assert self.changes(site, (self.QUIET, 2), *echo)
        assert not self.changes(site, (self.QUIET, 2), *echo, strict=True)
        assert self.changes(site, (self.QUIET, 2), (self.LOUD, 1), strict=True) == ["started 2.30"]
