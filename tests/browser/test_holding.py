"""The record button while it is held, by mouse and by touch, and recordings that are thrown away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect

from apps.conversations.models import Turn
from tests.browser.conftest import TIMEOUT_MS, faultless_page
from tests.browser.steps import WITHOUT_LIVE, be_signed_in, wait_for_answer, wait_for_state

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.voices.models import VoiceProfile
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

HELD_MS = 1500
# A microphone may be there only when a press is no click any more.
SLOW_MICROPHONE = """
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = (wanted) =>
  new Promise((resolve) => setTimeout(resolve, 400)).then(() => open(wanted));
"""


def middle_of_button(page: Page) -> tuple[float, float]:
    box = page.locator("#record").bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.fixture
def phone(browser: Browser, server: Server, alice: User, voice: VoiceProfile) -> Iterator[Page]:
    """Alice's Talk page on a telephone."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, reduced_motion="reduce")
    context.set_default_timeout(TIMEOUT_MS)
    with faultless_page(context) as page:
        be_signed_in(page, server.url, alice)
        yield page
    context.close()


class Finger:
    def __init__(self, page: Page) -> None:
        self.session: CDPSession = page.context.new_cdp_session(page)
        self.x, self.y = middle_of_button(page)

    def touch(self, kind: str) -> None:
        points = [{"x": self.x, "y": self.y}] if kind == "touchStart" else []
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


class TestHolding:
    @pytest.mark.parametrize("scripts", ["", WITHOUT_LIVE], ids=["live", "upload"])
    def test_the_mouse_records_from_the_press_to_the_release(self, talk: Page, scripts: str) -> None:
        talk.add_init_script(scripts + SLOW_MICROPHONE)
        talk.reload()
        talk.mouse.move(*middle_of_button(talk))
        pressed = time.monotonic()
        talk.mouse.down()
        wait_for_state(talk, "listening")
        expect(talk.get_by_role("status")).to_have_text("Listening. Let go to send.")
        talk.wait_for_timeout(HELD_MS)
        talk.mouse.move(30, 30)  # The release counts outside of the button, too.
        talk.mouse.up()
        held = time.monotonic() - pressed
        wait_for_answer(talk)
        seconds = Turn.objects.get().question_seconds
        assert seconds
        assert HELD_MS / 1000 <= seconds < held + 1

    def test_a_finger_records_from_the_press_to_the_release(self, phone: Page) -> None:
        finger = Finger(phone)
        finger.touch("touchStart")
        wait_for_state(phone, "listening")
        phone.wait_for_timeout(HELD_MS)
        finger.touch("touchEnd")
        wait_for_answer(phone)
        assert (Turn.objects.get().question_seconds or 0) >= HELD_MS / 1000

    def test_a_short_touch_is_one_press(self, phone: Page) -> None:
        phone.locator("#record").tap()
        wait_for_state(phone, "listening")
        phone.wait_for_timeout(HELD_MS)
        expect(phone.locator("html")).to_have_attribute("data-turn-state", "listening")
        phone.locator("#record").tap()
        wait_for_answer(phone)
        assert Turn.objects.count() == 1

    def test_what_was_said_before_the_system_takes_the_finger_is_kept(self, phone: Page) -> None:
        finger = Finger(phone)
        finger.touch("touchStart")
        wait_for_state(phone, "listening")
        phone.wait_for_timeout(HELD_MS)
        finger.touch("touchCancel")
        expect(phone.get_by_role("status")).to_contain_text("The microphone was interrupted")
        phone.get_by_role("button", name="Send it after all").click()
        wait_for_answer(phone)
        assert Turn.objects.count() == 1


class TestThrowingAway:
    @pytest.mark.parametrize("scripts", ["", WITHOUT_LIVE], ids=["live", "upload"])
    def test_it_can_be_undone(self, talk: Page, provider: FakeProvider, scripts: str) -> None:
        talk.add_init_script(scripts)
        talk.reload()
        talk.get_by_role("button", name="Start recording").click()
        wait_for_state(talk, "listening")
        talk.wait_for_timeout(HELD_MS)
        expect(talk.get_by_role("button", name="Stop", exact=True)).to_be_hidden()
        talk.get_by_role("button", name="Throw away").click()
        expect(talk.get_by_role("status")).to_have_text("Recording thrown away.")
        expect(talk.get_by_role("button", name="Start recording")).to_be_focused()
        expect(talk.locator("#no-turns")).to_be_visible()
        assert not Turn.objects.exists()
        talk.get_by_role("button", name="Send it after all").click()
        wait_for_answer(talk)
        expect(talk.locator("#kept")).to_be_hidden()
        [turn] = Turn.objects.all()
        assert turn.question_seconds
        assert turn.question_seconds > HELD_MS / 1000 - 0.3
        assert turn.transcript == provider.behaviour.transcript

    def test_the_next_recording_takes_the_place_of_the_one_thrown_away(self, talk: Page) -> None:
        talk.get_by_role("button", name="Start recording").click()
        wait_for_state(talk, "listening")
        talk.wait_for_timeout(HELD_MS)
        talk.keyboard.press("Escape")
        expect(talk.locator("#kept")).to_be_visible()
        talk.get_by_role("button", name="Start recording").click()
        wait_for_state(talk, "listening")
        expect(talk.locator("#kept")).to_be_hidden()
        talk.wait_for_timeout(HELD_MS)
        talk.locator("#record").click()
        wait_for_answer(talk)
        assert Turn.objects.count() == 1
