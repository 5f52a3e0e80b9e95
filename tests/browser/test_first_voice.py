"""The guided way to a first voice: consent, reading, the check, the making, and the hello of the new voice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import BrowserContext, Dialog, Locator, Page, expect

from apps.voices.models import VoiceProfile
from tests.audio_samples import silence
from tests.browser.conftest import faultless_page
from tests.browser.steps import PLAYED, SAMPLE_CLIPS, add_files, barriers_in, give_session, open_voices
from tests.factories import make_consent, make_voice
from tests.fakes.elevenlabs import SPEECH

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

TELEPHONE, DESKTOP = (390, 844), (1280, 800)
HELLO = "Hello! This is me, your new voice. Nice to meet you. What shall we talk about?"
NO_SOUND_WITHOUT_A_CLICK = """
    HTMLMediaElement.prototype.play = () => Promise.reject(new DOMException("no click", "NotAllowedError"));
"""
# Somebody reads `pace` letters a second, and takes a breath after each sentence. Returns by how many phrases the
# highlight was ahead and behind at the most, and how many there are.
READ = """async ({ pace, breath }) => {
  const { Prompter } = await import("/static/js/prompter.js");
  const prompter = new Prompter(document.querySelector("#prompter"));
  const phrases = [...document.querySelectorAll(".phrase")];
  const letters = phrases.map(({ textContent }) => textContent.replace(/[^\\p{L}\\p{N}]/gu, "").length);
  let now = 1000;
  performance.now = () => now;
  const hear = (rms, milliseconds) => {
    for (let heard = 0; heard < milliseconds; heard += 50) {
      now += 50;
      prompter.heed(rms);
    }
  };
  let [ahead, behind] = [0, 0];
  prompter.begin();
  hear(-70, 500);
  for (const [index, { textContent }] of phrases.entries()) {
    hear(-20, (letters[index] / pace) * 1000);
    const shown = phrases.findIndex((phrase) => phrase.classList.contains("now"));
    ahead = Math.max(ahead, shown - index);
    behind = Math.max(behind, index - shown);
    hear(-70, /[.!?]/.test(textContent) ? breath : 100);
  }
  return { ahead, behind, count: phrases.length };
}"""


def in_first_screen(page: Page, control: Locator) -> bool:
    """Return whether the whole control is on the screen of a page that nobody has scrolled."""
    box, size = control.bounding_box(), page.viewport_size
    assert box
    assert size
    assert page.evaluate("() => scrollY") == 0
    return box["y"] >= 0 and box["y"] + box["height"] <= size["height"]


def is_on_top(control: Locator) -> bool:
    """Return whether a click on the middle of the control meets it, and nothing that covers it."""
    return bool(
        control.evaluate(
            "control => { const { x, y, width, height } = control.getBoundingClientRect();"
            " return control.contains(document.elementFromPoint(x + width / 2, y + height / 2)); }"
        )
    )


def look(page: Page) -> None:
    """Find no barrier and no sideways scrolling in either colour scheme."""
    assert barriers_in(page) == ""
    page.emulate_media(color_scheme="dark")
    assert barriers_in(page, rules=["color-contrast"]) == ""
    page.emulate_media(color_scheme="light")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def record(page: Page, seconds: float) -> None:
    page.get_by_role("button", name="Start recording").click()
    expect(page.get_by_role("button", name="Stop recording")).to_be_visible()
    page.wait_for_timeout(seconds * 1000)
    page.get_by_role("button", name="Stop recording").click()


@pytest.mark.usefixtures("speaker_encoder")
@pytest.mark.parametrize("size", [TELEPHONE, DESKTOP])
def test_the_whole_way(
    page: Page, server: Server, alice: User, provider: FakeProvider, settings: Settings, size: tuple[int, int]
) -> None:
    settings.MIN_SAMPLE_SECONDS = 4
    page.set_viewport_size({"width": size[0], "height": size[1]})
    open_voices(page, server, alice)
    page.get_by_role("link", name="Give your consent").click()
    expect(page.get_by_role("heading", name="Step 1 of 4 Read this aloud")).to_be_visible()
    expect(page.get_by_role("button", name="Start recording")).to_be_enabled()
    assert in_first_screen(page, page.get_by_role("button", name="Start recording"))
    look(page)
    provider.behaviour.transcript = page.locator("#statement").inner_text()
    record(page, 3)
    expect(page.get_by_role("heading", name="Listen, then consent")).to_be_focused()
    look(page)
    page.get_by_role("button", name="Consent", exact=True).click()
    page.wait_for_url("**/voices/#new-voice")

    button = page.get_by_role("button", name="Start recording")
    expect(button).to_be_enabled()
    expect(page.get_by_role("heading", name="Step 2 of 4 Read this aloud")).to_be_visible()
    page.evaluate("() => scrollTo(0, 0)")
    assert in_first_screen(page, button)
    look(page)
    button.click()
    expect(page.locator("#needed")).to_contain_text("more seconds are needed")
    expect(page.locator("#level-word")).to_have_text("Good")
    expect(page.locator(".phrase.done").first).to_be_attached()
    expect(page.locator("#needed")).to_contain_text("That is enough")
    look(page)
    page.get_by_role("button", name="Stop recording").click()

    expect(page.get_by_role("heading", name="Step 3 of 4 How it sounds")).to_be_focused()
    expect(page.locator("#verdict-word")).not_to_have_text("Measuring …")
    expect(page.locator("#verdict:is([data-verdict=good], [data-verdict=weak])")).to_be_visible()
    expect(page.locator(".point").first).to_be_hidden()
    expect(page.get_by_label("Name of the voice")).to_have_value("My voice")
    make = page.get_by_role("button", name="Make my voice")
    expect(make).to_be_in_viewport(ratio=1)
    look(page)
    make.click()

    expect(page.get_by_role("heading", name="Meet My voice")).to_be_focused()
    clone = page.locator("#hello-clone")
    assert clone.evaluate(PLAYED)  # Without a click.
    assert provider.requests_to(SPEECH)[-1].json["text"] == HELLO
    expect(page.locator("#meet-note")).to_have_text("This is your new voice. Compare it with yourself.")
    you = page.locator("#hello-you")
    assert you.evaluate(f"audio => (audio.play(), ({PLAYED})(audio))")
    assert clone.evaluate("audio => audio.paused")
    look(page)
    page.get_by_role("link", name="Start talking").click()
    page.wait_for_url(f"**/talk/?voice={VoiceProfile.objects.get().pk}")


def test_the_words_of_a_refused_statement_are_shown(
    context: BrowserContext, server: Server, alice: User, provider: FakeProvider
) -> None:
    with faultless_page(context, expected="422") as page:
        page.set_viewport_size({"width": TELEPHONE[0], "height": TELEPHONE[1]})
        give_session(page, server.url, alice)
        page.goto(f"{server.url}/voices/consent/")
        statement = page.locator("#statement").inner_text()
        heard = statement.replace("alice", "<b>Malice</b>").split("My code words")[0]
        provider.behaviour.transcript = heard
        page.locator("#id_audio").set_input_files(SAMPLE_CLIPS[0])
        page.get_by_role("button", name="Consent", exact=True).click()
        expect(page.get_by_role("heading", name="Some words were different")).to_be_focused()
        expect(page.locator("#expected mark").first).to_have_text("Different: alice.")
        expect(page.locator("#heard mark").first).to_have_text("Different: <b>Malice</b>.")
        expect(page.locator("#expected mark").last).to_contain_text("My code words are")
        look(page)
        again = page.get_by_role("button", name="Read a new statement")
        assert is_on_top(again)
        again.click()
        button = page.get_by_role("button", name="Start recording")
        expect(button).to_be_focused()
        assert is_on_top(button)
        expect(page.locator("#statement")).not_to_have_text(statement)


@pytest.mark.usefixtures("consent")
class TestReading:
    @pytest.mark.parametrize("pace", [7, 10, 14])
    def test_the_text_is_never_ahead_of_the_voice(self, voices: Page, pace: int) -> None:
        found = voices.evaluate(READ, {"pace": pace, "breath": 600})
        assert found["ahead"] == 0, found
        assert found["behind"] <= 5, found

    def test_it_waits_while_nobody_speaks(
        self, page_that_hears: Callable[..., Page], server: Server, alice: User
    ) -> None:
        page = open_voices(page_that_hears(silence(2)), server, alice)
        page.get_by_role("button", name="Start recording").click()
        expect(page.locator("#needed")).to_have_text("Nothing is heard. Is this the right microphone?")
        expect(page.locator(".phrase").first).to_have_class("phrase now")
        page.get_by_role("button", name="Stop recording").click()
        expect(page.get_by_role("status")).to_contain_text("This take is silent")
        expect(page.get_by_role("button", name="Start recording")).to_be_focused()

    def test_another_text_can_be_read(self, voices: Page) -> None:
        voices.get_by_role("button", name="Another text").click()
        expect(voices.get_by_role("heading", name="The old radio")).to_be_in_viewport()


@pytest.mark.usefixtures("consent")
class TestOnTheWay:
    def test_a_reload_and_the_way_back_keep_the_take(self, voices: Page) -> None:
        record(voices, 1)
        expect(voices.get_by_role("heading", name="How it sounds")).to_be_focused()
        expect(voices.locator(".take .point")).to_have_count(5)
        voices.reload()
        expect(voices.get_by_role("heading", name="How it sounds")).to_be_focused()
        expect(voices.locator(".take .point")).to_have_count(5)
        voices.go_back()
        expect(voices.get_by_role("button", name="Start recording")).to_be_visible()
        voices.go_forward()
        expect(voices.locator(".take")).to_be_visible()

    def test_where_sound_needs_a_click_the_voice_waits_for_it(self, page: Page, server: Server, alice: User) -> None:
        page.add_init_script(NO_SOUND_WITHOUT_A_CLICK)
        open_voices(page, server, alice)
        add_files(page)
        page.get_by_role("button", name="Make my voice").click()
        expect(page.locator("#meet-note")).to_have_text("Your voice wants to say hello. Press play.")
        expect(page.get_by_role("group", name="Your clone").get_by_role("button", name="Play")).to_be_visible()


def test_leaving_with_an_unsent_statement_asks_first(page: Page, server: Server, alice: User) -> None:
    asked: list[str] = []

    def note(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    give_session(page, server.url, alice)
    page.goto(f"{server.url}/voices/consent/")
    page.on("dialog", note)
    record(page, 1)
    expect(page.get_by_role("button", name="Consent", exact=True)).to_be_visible()
    page.goto(f"{server.url}/voices/")
    assert asked == ["beforeunload"]


def test_once_there_is_a_voice_the_recorder_is_folded(
    page: Page, server: Server, alice: User, provider: FakeProvider
) -> None:
    make_consent(alice)
    make_voice(alice, provider.add_voice("Old"), name="My voice", is_default=True)
    make_voice(alice, provider.add_voice("New"), name="Newer")
    open_voices(page, server, alice)
    expect(page.locator(".voice h2")).to_have_text(["My voice", "Newer"])
    expect(page.locator("#record")).to_be_hidden()
    page.get_by_text("Make another voice").click()
    expect(page.locator("#record")).to_be_in_viewport(ratio=1)
    add_files(page)
    expect(page.get_by_label("Name of the voice")).to_have_value("My voice 2")
    page.goto("about:blank")
    page.goto(f"{server.url}/voices/#new-voice")
    expect(page.locator("#record")).to_be_in_viewport(ratio=1)
