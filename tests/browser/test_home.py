"""The start page: its sounds can be heard, with and without scripts, on telephones and desktops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import faultless_page
from tests.browser.steps import PLAYED, barriers_in, give_session

if TYPE_CHECKING:
    from apps.accounts.models import User
    from tests.conftest import Server

SIZES = [(390, 844), (1280, 800)]
SCHEMES: list[Any] = ["light", "dark"]


def test_a_visitor_hears_a_voice_and_its_clone(page: Page, server: Server) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url)
    page.wait_for_load_state("networkidle")
    assert not [url for url in asked if url.endswith(".mp3")]
    expect(page.locator(".player")).to_have_count(0)  # Each sound has one button, not two.
    recording = page.get_by_role("button", name="The recording")
    clone = page.get_by_role("button", name="Its clone, saying something new")
    for button, sound in ((recording, "#sound-recording"), (clone, "#sound-clone")):
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        assert page.locator(sound).evaluate(PLAYED)
    expect(recording).to_have_attribute("aria-pressed", "false")
    assert page.locator("#sound-recording").evaluate("sound => sound.paused")
    played = page.locator("[data-track=sound-clone]").evaluate("track => track.style.getPropertyValue('--played')")
    assert 0 < float(played) < 0.9
    page.locator("#sound-clone").evaluate("sound => { sound.currentTime = sound.duration - 0.05; }")
    expect(clone).to_have_attribute("aria-pressed", "false")
    expect(page.locator("[data-track=sound-clone]")).not_to_have_attribute("data-started", "")


@pytest.mark.parametrize("size", SIZES, ids=["telephone", "desktop"])
def test_it_fits_is_accessible_and_begins_with_a_sound_in_sight(
    browser: Browser, server: Server, alice: User, size: tuple[int, int]
) -> None:
    for scheme in SCHEMES:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        with faultless_page(context) as page:
            page.goto(server.url)
            assert barriers_in(page) == ""
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
            expect(page.get_by_role("button", name="The recording")).to_be_in_viewport(ratio=1)
            expect(page.get_by_role("link", name="Make my voice").first).to_be_in_viewport(ratio=1)
            give_session(page, server.url, alice)
            page.goto(server.url)
            page.get_by_role("main").get_by_role("link", name="Make a voice").first.click()
            page.wait_for_url(f"{server.url}/voices/**")
        context.close()


def test_without_javascript_the_browsers_players_play(browser: Browser, server: Server) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(server.url)
    expect(page.get_by_role("button", name="The recording")).to_have_count(0)
    for heading in ("The recording", "Its clone, saying something new"):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    for player in page.locator("audio").all():
        expect(player).to_be_visible()
    context.close()
