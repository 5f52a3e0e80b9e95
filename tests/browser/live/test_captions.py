"""The words of an answer are shown when they are heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from playwright.sync_api import Page, expect

from apps.conversations.models import Turn
from tests.audio_samples import silence
from tests.browser.live.steps import QUESTION, Frames, start_recording, wait_for_state
from tests.browser.steps import LONG_ANSWER
from tests.client import wait_until

if TYPE_CHECKING:
    from tests.fakes.provider import FakeProvider

CHARACTERS_PER_SECOND = 15  # Of the voice.
A_WORD_OR_SO = 25  # Characters.
SHOWN = """seconds => new Promise((resolve) => {
  const shown = [];
  const look = setInterval(() => {
    const heard = (performance.now() - performance.getEntriesByName("first-sound").at(-1).startTime) / 1000;
    shown.push([heard, ...["#call-said", ".reply"].map((place) => document.querySelector(place).textContent.length)]);
    if (heard < seconds) return;
    clearInterval(look);
    resolve(shown);
  }, 50);
})"""


def test_words_follow_the_sound_and_what_was_not_heard_is_not_shown(
    hearing: Callable[..., Page], provider: FakeProvider
) -> None:
    provider.behaviour = LONG_ANSWER
    page = hearing(silence(1), QUESTION, silence(60))
    page.get_by_role("button", name="Call", exact=True).click()
    wait_for_state(page, "speaking")
    for heard, *lengths in page.evaluate(SHOWN, 4):
        for length in lengths:
            assert abs(length - heard * CHARACTERS_PER_SECOND) < A_WORD_OR_SO, (heard, lengths)
    page.get_by_role("button", name="Interrupt the answer").click()
    wait_until(lambda: Turn.objects.filter(status=Turn.Status.INTERRUPTED).exists())
    expect(page.locator(".answer-audio[src]")).to_have_count(1)  # All that is stored is shown.
    turn, shown = Turn.objects.get(), page.locator(".reply").text_content() or ""
    assert turn.reply.startswith(shown)
    assert abs(len(shown) - len(turn.spoken_text)) < A_WORD_OR_SO
    assert len(shown) < len(turn.reply) / 2
    assert page.locator("#call-said").text_content() == shown
    page.reload()
    expect(page.locator(".reply")).to_have_text(turn.spoken_text)


def test_without_sound_all_words_are_shown_at_once(talk: Page, provider: FakeProvider) -> None:
    provider.behaviour = LONG_ANSWER
    frames = Frames(talk)
    talk.get_by_role("button", name="Mute").click()
    start_recording(talk)
    talk.wait_for_timeout(1500)
    talk.locator("#record").click()
    wait_for_state(talk, "speaking")
    expect(talk.locator(".reply")).to_have_text(LONG_ANSWER.reply, timeout=3000)
    expect(talk.locator("html")).to_have_attribute("data-turn-state", "speaking")
    assert frames.of("response.done") == []
