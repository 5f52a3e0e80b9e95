"""Accessibility of every page: axe, small screens, large text, the keyboard, and a console without errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from django.urls import get_resolver
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from apps.voices.models import VoiceProfile
from tests.browser import states, tour
from tests.browser.steps import barriers_in, be_signed_in, give_session, wait_for_state
from tests.client import wait_until
from tests.factories import make_administrator, make_consent
from tests.site.routes import routes

if TYPE_CHECKING:
    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

WIDTHS = [390, 1280]
CONTRAST = ["color-contrast"]  # The only rule that depends on the colour scheme.
NARROW = [360, 640, 1280]  # A telephone, a window of 1280 pixels at 200 %, the same at 100 %.
ALL_ROUTES = list(routes(get_resolver().url_patterns))
NOT_OURS = ("admin", "api", "v1")  # Pages in Django's own style, and URLs for programs.
TARGET = 44  # CSS pixels
CONTROLS = "a[href], button, input:not([type=hidden]), select, textarea, summary, [role=button]"
TOO_SMALL = f"""controls => controls
  .filter(control => control.checkVisibility({{checkVisibilityCSS: true}}))
  .filter(control => !control.closest(".visually-hidden, .skip"))
  .filter(control => getComputedStyle(control).display !== "inline")  // A link inside a sentence.
  .map(control => [(control.labels?.[0] && control.type === "checkbox" ? control.labels[0] : control), control])
  .filter(([area]) => area.getBoundingClientRect().height < {TARGET - 0.5})
  .map(([, control]) => control.outerHTML.slice(0, 120))"""


@pytest.fixture(autouse=True)
def failing_pages(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.site.failing_urls"


def open_page(browser: Browser, **options: Any) -> tuple[BrowserContext, Page, list[str]]:
    """Return a context, a page, and the list of its console errors and warnings."""
    context = browser.new_context(reduced_motion="reduce", **options)
    page, problems = context.new_page(), []
    page.on("console", lambda message: problems.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    return context, page, problems


def is_expected(problem: str) -> bool:
    """Return whether the console reports the status of an error page that the test requested."""
    return re.search(r"responded with a status of (400|403|404|405|413|429|500)", problem) is not None


@pytest.mark.timeout(600)
def test_no_page_has_an_accessibility_problem_or_an_error(
    browser: Browser, server: Server, alice: User, bob: User
) -> None:
    context, page, problems = open_page(browser, color_scheme="light")
    barriers: dict[object, str] = {}
    for name in tour.walk(page, server.url, newcomer=bob, regular=alice):
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 844})
            barriers[name, width] = barriers_in(page)
            page.emulate_media(color_scheme="dark")
            barriers[name, width, "dark"] = barriers_in(page, rules=CONTRAST)
            page.emulate_media(color_scheme="light")
    context.close()
    assert {name: found for name, found in barriers.items() if found} == {}
    assert [problem for problem in problems if not is_expected(problem)] == []


@pytest.mark.timeout(600)
def test_no_state_has_an_accessibility_problem(
    browser: Browser, server: Server, provider: FakeProvider, alice: User, bob: User
) -> None:
    context, page, _ = open_page(browser, color_scheme="light")
    barriers: dict[object, str] = {}
    for name in states.walk(page, server.url, provider=provider, newcomer=bob, regular=alice):
        barriers[name] = barriers_in(page)
        page.emulate_media(color_scheme="dark")
        barriers[f"{name}, dark"] = barriers_in(page, rules=CONTRAST)
        page.emulate_media(color_scheme="light")
    context.close()
    assert {name: found for name, found in barriers.items() if found} == {}


@pytest.mark.timeout(300)
def test_no_page_scrolls_sideways_or_has_small_targets(
    browser: Browser, server: Server, alice: User, bob: User
) -> None:
    context, page, _ = open_page(browser)
    wide, small = {}, {}
    for name in tour.walk(page, server.url, newcomer=bob, regular=alice):
        page.evaluate("() => document.querySelectorAll('details').forEach(details => { details.open = true })")
        for width in NARROW:
            page.set_viewport_size({"width": width, "height": 400})
            wide[name, width] = page.evaluate("() => document.documentElement.scrollWidth") - width
            small[name, width] = page.locator(CONTROLS).evaluate_all(TOO_SMALL)
    context.close()
    assert {place: excess for place, excess in wide.items() if excess} == {}
    assert {place: found for place, found in small.items() if found} == {}


def test_the_keyboard_skips_to_the_content(page: Page, server: Server, alice: User) -> None:
    give_session(page, server.url, alice)
    page.goto(f"{server.url}/voices/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_the_focus_is_visible(page: Page, server: Server, alice: User) -> None:
    give_session(page, server.url, alice)
    for path in ("/voices/", "/talk/", "/history/"):
        page.goto(server.url + path)
        for _step in range(12):
            page.keyboard.press("Tab")
            outline = page.locator(":focus-visible").evaluate_all(
                "found => found.map(control => getComputedStyle(control).outlineStyle)"
            )
            assert outline in ([], ["solid"])  # After the last control, the focus leaves the page.


def test_the_account_menu_works_by_keyboard(page: Page, server: Server, alice: User) -> None:
    be_signed_in(page, server.url, alice)
    menu = page.locator("summary", has_text="alice")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(menu).to_be_focused()


def tab_to(page: Page, control: Locator) -> None:
    for _step in range(60):
        page.keyboard.press("Tab")
        if control.evaluate("control => control === document.activeElement"):
            return
    pytest.fail("the keyboard does not reach the control")


@pytest.mark.usefixtures("speaker_encoder")
def test_recording_cloning_and_talking_work_by_keyboard(
    page: Page, server: Server, provider: FakeProvider, alice: User, settings: Settings
) -> None:
    settings.MIN_SAMPLE_SECONDS = 4
    make_consent(alice)
    be_signed_in(page, server.url, alice)
    page.goto(f"{server.url}/voices/")
    tab_to(page, page.locator("#record"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Stop recording")).to_be_focused()
    page.wait_for_timeout(5000)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="How it sounds")).to_be_focused()
    expect(page.locator(".take .point")).to_have_count(5)
    take = page.locator(".take")
    tab_to(page, take.get_by_role("button", name="Play"))
    page.keyboard.press("Space")
    wait_until(lambda: take.locator("audio").evaluate("audio => audio.currentTime > 0.1"))
    tab_to(page, page.get_by_label("Name of the voice"))
    page.keyboard.type("By keys")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Meet By keys")).to_be_focused(timeout=60_000)
    tab_to(page, page.get_by_role("link", name="Start talking"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/talk/?voice=*")
    tab_to(page, page.locator("#record"))
    page.keyboard.press("Enter")
    wait_for_state(page, "listening")
    page.wait_for_timeout(2000)
    page.keyboard.press("Enter")
    wait_for_state(page, "speaking")
    tab_to(page, page.get_by_role("button", name="Mute"))
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")
    wait_for_state(page, "ready")
    expect(page.locator(".reply")).to_have_text(provider.behaviour.reply)


def test_nothing_moves_with_reduced_motion(browser: Browser, server: Server, alice: User) -> None:
    context, page, _ = open_page(browser)
    give_session(page, server.url, alice)
    moving = "() => document.getAnimations().length"
    for path in ("/", "/voices/", "/talk/"):
        page.goto(server.url + path)
        assert page.evaluate(moving) == 0
    context.close()


def test_the_admin_works_with_the_content_security_policy(page: Page, server: Server, alice: User) -> None:
    make_administrator(alice)
    tour.fill(alice)
    give_session(page, server.url, alice)
    voice = VoiceProfile.objects.for_user(alice).earliest("created_at")
    pages = (
        "",
        "voices/voiceprofile/",
        f"voices/voiceprofile/{voice.pk}/change/",
        "conversations/turn/",
        "accounts/user/add/",
    )
    for path in pages:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 844})
            page.goto(f"{server.url}/admin/{path}")
            expect(page.locator("#content h1")).to_be_visible()
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width, path
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{server.url}/admin/voices/voiceprofile/")
    action = page.get_by_label("Action:").bounding_box()
    assert action
    assert action["width"] > 100


def test_the_tour_visits_every_page() -> None:
    toured = tour.SIGNED_OUT | tour.SIGNED_IN | tour.WITH_CONFIRMED_IDENTITY | tour.WITH_SECOND_FACTOR
    visited = {path.strip("/") for path in toured.values()}
    plain = {route.strip("/") for route in ALL_ROUTES if not re.search(r"[<(]", route)}
    of_pages = {route for route in plain if not route.startswith(NOT_OURS)}
    assert of_pages - visited - tour.NOT_PAGES == set()
