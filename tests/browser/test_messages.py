"""Messages: toasts that cover nothing, and errors at their fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import faultless_page
from tests.browser.steps import barriers_in, give_session, open_voices
from tests.factories import make_voice

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.voices.models import VoiceProfile
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

NAME = "W" * 60
SCROLL = "y => new Promise(done => { scrollTo(0, y); requestAnimationFrame(() => setTimeout(done, 50)) })"
COVERED = """() => {
  const toast = document.querySelector(".toast").getBoundingClientRect();
  const controls = [...document.querySelectorAll("a, button, input, select, textarea, summary, audio")];
  return controls.filter((control) => control.checkVisibility()).filter((control) => {
    const box = control.getBoundingClientRect();
    return box.width && box.left < toast.right && box.right > toast.left && box.top < toast.bottom
      && box.bottom > toast.top;
  }).map((control) => control.outerHTML.slice(0, 80));
}"""


@pytest.mark.parametrize("width", [390, 1280])
def test_a_toast_covers_no_button_and_a_long_name_wraps(
    page: Page, server: Server, provider: FakeProvider, alice: User, voice: VoiceProfile, width: int
) -> None:
    make_voice(alice, provider.add_voice(NAME), name=NAME)
    page.set_viewport_size({"width": width, "height": 844})
    open_voices(page, server, alice)
    page.get_by_role("button", name="Make default").click()
    status = page.get_by_role("status")
    expect(status).to_contain_text(NAME)
    for scrolled in range(0, 1200, 150):
        page.evaluate(SCROLL, scrolled)
        assert page.evaluate(COVERED) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    expect(status).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("text", ["W" * 60, "The words were others. " * 12, "W" * 800], ids=["word", "text", "endless"])
@pytest.mark.parametrize("size", [(390, 844), (320, 400)], ids=["telephone", "low"])
def test_a_toast_covers_nothing_whatever_it_says(
    page: Page,
    server: Server,
    provider: FakeProvider,
    alice: User,
    voice: VoiceProfile,
    text: str,
    size: tuple[int, int],
) -> None:
    make_voice(alice, provider.add_voice(NAME), name=NAME)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    open_voices(page, server, alice)
    page.evaluate("async text => (await import('/static/js/page.js')).announce(text, 'error')", text)
    status = page.get_by_role("status")
    for scrolled in range(0, 1200, 100):
        page.evaluate(SCROLL, scrolled)
        assert page.evaluate(COVERED) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert status.bounding_box()["height"] > 28  # type: ignore[index] # A line of it can be read.
    page.evaluate(f"({SCROLL})(600)")
    assert barriers_in(page) == ""
    status.click()
    expect(status).to_be_hidden()


def test_a_refusal_of_consent_covers_no_button(page: Page, server: Server, bob: User) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    give_session(page, server.url, bob)
    page.goto(f"{server.url}/voices/consent/")
    page.evaluate(
        "async () => (await import('/static/js/page.js')).announce('The words were others. '.repeat(4), 'error')"
    )
    for scrolled in range(0, 900, 150):
        page.evaluate(SCROLL, scrolled)
        assert page.evaluate(COVERED) == []


@pytest.fixture
def page_that_refuses(context: BrowserContext) -> Iterator[Page]:
    with faultless_page(context, expected="422") as page:
        yield page


def test_a_refused_address_of_a_webhook_marks_its_field(page_that_refuses: Page, server: Server, alice: User) -> None:
    page = page_that_refuses
    give_session(page, server.url, alice)
    page.goto(f"{server.url}/accounts/webhooks/")
    field = page.get_by_label("Address")
    field.fill("https://me:secret@example.org/hook")
    page.get_by_role("button", name="Create the webhook").click()
    expect(page.locator(".error-summary")).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(
        "The public address of your server for messages. It begins with https://. "
        "A webhook needs a public address that begins with https://, without a user name in it."
    )
    page.locator(".error-summary a").click()
    expect(field).to_be_focused()
    for event in page.get_by_role("checkbox").all():
        event.uncheck()
    page.get_by_role("button", name="Create the webhook").click()
    page.locator(".error-summary a", has_text="Events").click()
    expect(page.get_by_role("checkbox").first).to_be_focused()
    assert barriers_in(page) == ""
