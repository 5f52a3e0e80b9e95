"""A call: hands-free talk on the whole screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from apps.conversations.models import Turn
from apps.speech.base import Recording
from tests.audio_samples import silence
from tests.browser.conftest import faultless_page
from tests.browser.live.steps import INIT, QUESTION, SECOND_QUESTION, uploads
from tests.browser.steps import LONG_ANSWER, WITHOUT_LIVE, barriers_in, be_signed_in
from tests.client import wait_until
from tests.factories import make_voice
from tests.fakes.behaviour import Behaviour
from tests.fakes.openai import CHAT
from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.voices.models import VoiceProfile
    from tests.conftest import Server

PHONE, PHONE_ON_ITS_SIDE, DESKTOP = (390, 844), (844, 390), (1280, 800)
# Notes each face and its word, because some pass faster than a test looks.
FACES = """
window.faces = [];
window.awaited = 0;
addEventListener("DOMContentLoaded", () => {
  const dialog = document.getElementById("call-dialog");
  if (!dialog) return;
  new MutationObserver(() => {
    const { face } = dialog.dataset;
    const word = document.getElementById("call-state").textContent;
    if (dialog.open && window.faces.at(-1)?.[0] !== face) window.faces.push([face, word]);
  }).observe(dialog, { attributes: true, subtree: true, childList: true });
});
"""
SEEN = """face => {
  const index = window.faces.findIndex(([name], number) => number >= window.awaited && name === face);
  if (index >= 0) window.awaited = index + 1;
  return index >= 0;
}"""
MICROPHONES = """
window.asked = 0;
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
  window.asked += 1;
  if (window.asked === window.deniedTime) throw new DOMException("no", "NotAllowedError");
  window.stream = await open(wanted);
  return window.stream;
};
"""
CUT_OFF = """() => {
  const { width, height } = document.documentElement.getBoundingClientRect();
  return [...document.querySelectorAll("#call-dialog :is(button, a, .call-state, .call-hint, .call-captions)")]
    .filter((element) => element.checkVisibility())
    .map((element) => [element.id || element.className, element.getBoundingClientRect()])
    .filter(([, { left, top, right, bottom }]) => left < 0 || top < 0 || right > innerWidth || bottom > innerHeight)
    .map(([name]) => name)
    .concat(document.documentElement.scrollWidth > innerWidth ? ["the page"] : []);
}"""
PICTURE = "() => document.getElementById('call-canvas').toDataURL()"


def wait_for_face(page: Page, face: str) -> None:
    """Wait until the call has had that face after those that were awaited before."""
    page.wait_for_function(SEEN, arg=face, timeout=40_000)


def wait_for_movement(page: Page, picture: str) -> None:
    """Wait until the call looks different from `picture`."""
    page.wait_for_function(f"picture => ({PICTURE})() !== picture", arg=picture)


def call(page: Page) -> None:
    page.get_by_role("button", name="Call", exact=True).click()
    wait_for_face(page, "listening")


@pytest.fixture
def in_call(hearing: Callable[..., Page]) -> Callable[..., Page]:
    """Return a function that opens Alice's Talk page in the same way, and notes the faces of the call."""

    def open_page(*recordings: Recording, script: str = "") -> Page:
        page = hearing(*recordings)
        page.add_init_script(FACES + script)
        page.reload()
        return page

    return open_page


def resize(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})


class TestCall:
    def test_two_turns_of_which_speech_interrupts_the_first(
        self, in_call: Callable[..., Page], provider: FakeProvider
    ) -> None:
        provider.behaviour = LONG_ANSWER
        page = in_call(silence(2), QUESTION, silence(4), SECOND_QUESTION, silence(60), script=MICROPHONES)
        resize(page, PHONE)
        page.get_by_role("button", name="Call", exact=True).dblclick()
        expect(page.get_by_role("dialog")).to_have_accessible_name("Call with Jane AI voice")
        wait_for_face(page, "thinking")
        expect(page.locator("#call-heard")).to_have_text(provider.behaviour.transcript)
        wait_for_face(page, "speaking")
        expect(page.locator("#call-said")).to_contain_text("The capital of France")
        provider.behaviour = Behaviour(reply="It is Paris.")
        wait_for_face(page, "listening")
        wait_for_face(page, "thinking")
        wait_for_face(page, "listening")
        expect(page.locator("#call-said")).to_have_text("It is Paris.")
        faces = page.evaluate("window.faces")
        assert [face for face, _word in faces][:1] == ["starting"]
        assert [face for face, _word in faces][1:] == ["listening", "thinking", "speaking"] * 2 + ["listening"]
        assert dict(faces)["speaking"] == "Speaking"
        assert page.evaluate("window.asked") == 1

        page.get_by_role("button", name="End the call").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.get_by_role("button", name="Call", exact=True)).to_be_focused()
        expect(page.locator("html")).to_have_attribute("data-microphone", "")
        first, second = Turn.objects.all()
        assert page.url.endswith(f"/talk/{first.conversation_id}/")
        assert [first.status, second.status] == [Turn.Status.INTERRUPTED, Turn.Status.SPOKEN]
        page.reload()
        expect(page.locator(".reply")).to_have_count(2)
        expect(page.locator(".reply").last).to_have_text("It is Paris.")

    def test_a_tap_interrupts_and_a_muted_microphone_hears_nothing(
        self, in_call: Callable[..., Page], provider: FakeProvider
    ) -> None:
        provider.behaviour = LONG_ANSWER
        page = in_call(silence(2), QUESTION, silence(7), SECOND_QUESTION, silence(3), QUESTION, silence(60))
        call(page)
        wait_for_face(page, "speaking")
        still = page.evaluate(PICTURE)
        page.get_by_role("button", name="Interrupt the answer").click()
        wait_for_face(page, "listening")
        wait_for_movement(page, still)
        page.keyboard.press("m")
        wait_for_face(page, "muted")
        expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("Muted")
        expect(page.get_by_role("button", name="Mute the microphone")).to_have_attribute("aria-pressed", "true")
        page.wait_for_timeout(9000)  # The second question.
        assert Turn.objects.get().status == Turn.Status.INTERRUPTED
        page.keyboard.press("m")
        wait_for_face(page, "thinking")
        page.keyboard.press("Escape")
        wait_for_face(page, "listening")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)

    def test_every_state_fits_and_is_accessible(self, in_call: Callable[..., Page], provider: FakeProvider) -> None:
        provider.behaviour = Behaviour(reply=LONG_ANSWER.reply * 4, audio_speed=1.2)
        page = in_call(silence(2), QUESTION, silence(60))
        call(page)
        problems: list[tuple[str, object, str]] = []

        def look(state: str) -> None:
            for size in (PHONE, PHONE_ON_ITS_SIDE, DESKTOP):
                resize(page, size)
                problems.extend([(state, size, name) for name in page.evaluate(CUT_OFF)])
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                if barriers := barriers_in(page):
                    problems.append((state, scheme, barriers))

        wait_for_face(page, "speaking")
        look("speaking")
        first = page.evaluate(PICTURE)
        page.wait_for_timeout(200)
        assert page.evaluate(PICTURE) == first  # Nothing moves for those who do not want it.
        page.emulate_media(reduced_motion="no-preference")
        wait_for_movement(page, first)
        page.get_by_role("button", name="Voice").click()
        look("voices")
        page.keyboard.press("Escape")
        page.locator("#call-shape").click()
        wait_for_face(page, "listening")
        look("listening")
        page.get_by_role("button", name="Mute the microphone").click()
        look("muted")
        page.context.set_offline(True)
        wait_for_face(page, "offline")
        look("offline")
        page.context.set_offline(False)
        wait_for_face(page, "muted")
        assert problems == []

    def test_by_keyboard(self, in_call: Callable[..., Page], provider: FakeProvider, alice: User) -> None:
        other = make_voice(alice, provider.add_voice("Carol"), name="Carol")
        page = in_call(silence(60))
        page.get_by_role("button", name="Call", exact=True).press("Enter")
        wait_for_face(page, "listening")
        for _press in range(8):
            page.keyboard.press("Tab")
            assert page.evaluate(
                "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
            )
        captions = page.get_by_role("button", name="Captions")
        captions.press("Space")
        expect(page.get_by_role("region", name="Captions")).to_have_count(0)
        page.get_by_role("button", name="Voice").press("Enter")
        expect(page.get_by_role("button", name="Jane")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Voice")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_have_accessible_name("Call with Carol AI voice")
        assert page.locator("#voice").input_value() == str(other.pk)
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Call", exact=True)).to_be_focused()
        page.reload()
        call(page)
        expect(captions).to_have_attribute("aria-pressed", "false")
        expect(page.get_by_role("region", name="Captions")).to_have_count(0)


class TestTrouble:
    def test_of_the_microphone_is_said_with_a_way_on(self, in_call: Callable[..., Page]) -> None:
        page = in_call(silence(60), script=f"window.deniedTime = 1;{MICROPHONES}")
        page.get_by_role("button", name="Call", exact=True).click()
        status, again = (
            page.get_by_role("dialog").get_by_role("status"),
            page.get_by_role("dialog").get_by_role("button", name="Try again"),
        )
        expect(status).to_contain_text("Allow the microphone in your browser")
        again.click()
        wait_for_face(page, "listening")
        page.evaluate("window.stream.getAudioTracks()[0].dispatchEvent(new Event('ended'))")
        expect(status).to_contain_text("The microphone was interrupted")
        again.click()
        wait_for_face(page, "listening")

    def test_of_a_service_is_said_with_another_attempt(
        self, in_call: Callable[..., Page], provider: FakeProvider
    ) -> None:
        provider.fail_next(CHAT, status=200, body="This is neither JSON nor sound.")
        page = in_call(silence(1), QUESTION, silence(60), script=WITHOUT_LIVE)
        call(page)
        wait_for_face(page, "failed")
        expect(page.get_by_role("dialog").get_by_role("status")).to_contain_text("Try again")
        page.get_by_role("dialog").get_by_role("button", name="Try again").click()
        wait_for_face(page, "speaking")
        wait_for_face(page, "listening")
        expect(page.locator("#call-said")).to_have_text(provider.behaviour.reply)

    @pytest.mark.parametrize("missing", ["WebSocket", "AudioWorkletNode"])
    def test_without_a_socket_questions_are_uploaded_until_somebody_is_signed_out(
        self, context: BrowserContext, server: Server, alice: User, voice: VoiceProfile, missing: str
    ) -> None:
        context.add_init_script(f"{INIT}{FACES}delete window.{missing};localStorage.setItem('pause', '0.5')")
        with faultless_page(context, expected="Failed to load resource") as page:
            be_signed_in(page, server.url, alice)
            uploaded = uploads(page)
            call(page)
            wait_for_face(page, "speaking")
            page.keyboard.press("m")
            wait_for_face(page, "muted")
            assert len(uploaded) == 1
            page.wait_for_timeout(4000)
            assert len(uploaded) == 1
            context.clear_cookies()
            page.keyboard.press("m")
            wait_for_face(page, "failed")
            expect(page.get_by_role("dialog").get_by_role("status")).to_contain_text("You are signed out")
            page.get_by_role("dialog").get_by_role("link", name="Sign in").click()
            page.wait_for_url("**/accounts/login/?next=%2Ftalk%2F*")
        wait_until(lambda: Turn.objects.filter(total_ms__isnull=False).exists())
