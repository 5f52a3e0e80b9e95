"""What an open microphone needs of the screen and of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import Page, expect

from tests.browser.live.steps import Frames, listen, wait_for_state

if TYPE_CHECKING:
    from pytest_django import Settings

LOCKS = """
window.locks = [];
Object.defineProperty(navigator, "wakeLock", {
  value: { request: async (type) => {
    window.locks.push(type);
    return { release: async () => window.locks.splice(window.locks.indexOf(type), 1) };
  } },
});
"""
IS_ON, MAY_BE_OFF = "() => window.locks.join() === 'screen'", "() => window.locks.length === 0"
BUFFERED = "Object.defineProperty(WebSocket.prototype, 'bufferedAmount', { get: () => window.buffered ?? 0 });"
APPEND = "input_audio_buffer.append"
BYTES_PER_SECOND = 48_000


def test_the_screen_stays_on_while_it_is_open(talk: Page) -> None:
    talk.add_init_script(LOCKS)
    talk.reload()
    listen(talk)
    talk.wait_for_function(IS_ON)
    talk.get_by_role("button", name="Stop", exact=True).click()
    talk.wait_for_function(MAY_BE_OFF)
    wait_for_state(talk, "ready")
    talk.get_by_role("button", name="Call", exact=True).click()
    talk.wait_for_function(IS_ON)
    talk.get_by_role("button", name="End the call").press("Enter")  # A tap so soon would be ignored.
    expect(talk.get_by_role("dialog")).to_have_count(0)
    talk.wait_for_function(MAY_BE_OFF)


def test_sound_that_the_network_does_not_take_is_kept_for_as_long_as_a_question_may_be(
    talk: Page, settings: Settings
) -> None:
    settings.MAX_QUESTION_SECONDS = 2
    talk.add_init_script(BUFFERED)
    talk.reload()
    frames = Frames(talk)

    def seconds_sent() -> float:
        return sum(len(each["audio"]) * 3 / 4 for each in frames.of(APPEND)) / BYTES_PER_SECOND

    listen(talk)
    while not frames.of(APPEND):
        talk.wait_for_timeout(50)
    talk.evaluate("window.buffered = 2 ** 20")
    talk.wait_for_timeout(300)
    before = seconds_sent()
    talk.wait_for_timeout(4000)
    assert seconds_sent() == before
    talk.evaluate("window.buffered = 0")
    talk.wait_for_timeout(300)
    assert 1.5 < seconds_sent() - before < 3
    talk.get_by_role("button", name="Stop", exact=True).click()
    wait_for_state(talk, "ready")
