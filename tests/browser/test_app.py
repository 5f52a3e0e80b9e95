"""What every page has: the app, its theme, its keys, its player; and an answer that is shared by a link."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import faultless_page
from tests.browser.steps import PLAYED, barriers_in, be_signed_in, give_session
from tests.client import LONG_REPLY
from tests.factories import make_administrator, make_turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apps.accounts.models import User
    from apps.conversations.models import Conversation, Turn
    from tests.conftest import Server

SIZES = {"telephone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 800}}
PAPER = "getComputedStyle(document.documentElement).backgroundColor"
LIGHT, DARK = "rgb(242, 245, 244)", "rgb(13, 20, 18)"
WIDER = "() => document.documentElement.scrollWidth > innerWidth"
SHARE = """navigator.canShare = data => Boolean(data.url || data.files);
navigator.share = async ({url, files}) => { window.shared = url ?? `${files[0].name} ${files[0].size > 1000}`; };"""


@pytest.fixture
def turn(conversation: Conversation) -> Turn:
    return make_turn(conversation, reply=LONG_REPLY, question_seconds=2.5, answer_seconds=2.5)


@pytest.fixture
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    """The browser of somebody else, who has no account and prefers the dark."""
    context = browser.new_context(viewport=SIZES["telephone"], color_scheme="dark", reduced_motion="reduce")  # type: ignore[arg-type] # Playwright wants its own type
    yield context
    context.close()


def expect_no_barriers(page: Page) -> None:
    for size in SIZES.values():
        page.set_viewport_size(size)  # type: ignore[arg-type] # as above
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert barriers_in(page) == ""
        assert not page.evaluate(WIDER)
    page.emulate_media(color_scheme="light")


def test_the_manifest_is_valid_and_its_icons_exist(page: Page, server: Server) -> None:
    page.goto(server.url)
    devtools = page.context.new_cdp_session(page)
    read = devtools.send("Page.getAppManifest")
    assert read["url"] == f"{server.url}/manifest.webmanifest"
    assert read["errors"] == []
    manifest = json.loads(read["data"])
    assert (manifest["name"], manifest["start_url"], manifest["display"]) == ("VoiceClone", "/talk/", "standalone")
    assert [each["url"] for each in manifest["shortcuts"]] == ["/talk/", "/voices/", "/history/"]
    sizes = "source => new Promise(end => { const image = new Image(); image.onload = () => end(image.width);"
    sizes += " image.onerror = () => end(0); image.src = source; })"
    for icon in manifest["icons"]:
        assert f"{page.evaluate(sizes, icon['src'])}x" in icon["sizes"]
    assert {icon["purpose"] for icon in manifest["icons"]} == {"any", "maskable"}
    assert page.evaluate(sizes, page.locator("link[rel=apple-touch-icon]").get_attribute("href")) == 180
    answer = page.request.get(f"{server.url}/manifest.webmanifest")
    assert answer.headers["content-type"] == "application/manifest+json"
    errors = devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert [error["errorId"] for error in errors if error["errorId"] != "in-incognito"] == []


def test_the_app_is_installed_from_the_menu(page: Page, server: Server, alice: User) -> None:
    be_signed_in(page, server.url, alice)
    page.locator(".menu > summary").click()
    install = page.get_by_role("button", name="Install")
    expect(install).to_be_hidden()
    page.evaluate(
        "() => { const event = new Event('beforeinstallprompt', {cancelable: true});"
        " event.prompt = async () => { window.prompted = true; }; dispatchEvent(event); }"
    )
    install.click()
    assert page.evaluate("window.prompted")
    page.evaluate("() => dispatchEvent(new Event('appinstalled'))")
    expect(install).to_be_hidden()


class TestTheme:
    def test_it_is_remembered_and_no_page_begins_in_another(self, visitor: BrowserContext, server: Server) -> None:
        with faultless_page(visitor) as page:
            page.goto(server.url)
            assert page.evaluate(PAPER) == DARK
            page.get_by_role("radio", name="Light").check(force=True)
            assert page.evaluate(PAPER) == LIGHT
        page = visitor.new_page()
        page.route("**/*.js", lambda route: route.abort())
        page.goto(f"{server.url}/privacy/")
        assert page.evaluate(PAPER) == LIGHT
        shown = "meta => meta.media === 'all' && meta.content"
        assert page.locator("meta[name=theme-color][data-scheme=light]").evaluate(shown) == "#f2f5f4"
        page.goto(f"{server.url}/nothing/")
        assert page.evaluate(PAPER) == LIGHT

    def test_it_follows_the_system_again(self, page: Page, server: Server, alice: User) -> None:
        be_signed_in(page, server.url, alice)
        page.locator(".menu > summary").click()
        page.get_by_role("radio", name="System").focus()
        page.keyboard.press("ArrowLeft")
        expect(page.get_by_role("radio", name="Dark")).to_be_checked()
        assert page.evaluate(PAPER) == DARK
        expect_no_barriers(page)
        page.reload()
        page.locator(".menu > summary").click()
        page.get_by_role("radio", name="System").check(force=True)
        assert page.evaluate(PAPER) == LIGHT
        page.emulate_media(color_scheme="dark")
        assert page.evaluate(PAPER) == DARK
        assert "theme" not in page.evaluate("document.cookie")


def test_a_question_mark_lists_the_keys_but_not_in_a_field(page: Page, server: Server, turn: Turn) -> None:
    be_signed_in(page, server.url, turn.owner)
    page.get_by_label("Type instead of speaking").focus()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog).to_be_hidden()
    expect(page.get_by_label("Type instead of speaking")).to_have_value("?")
    page.get_by_role("link", name="My voices").focus()
    page.keyboard.press("?")
    expect(dialog.get_by_text("Speak, and send when you let go")).to_be_visible()
    expect_no_barriers(page)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.locator(".menu > summary").click()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    page.get_by_role("button", name="Close").click()
    expect(page.locator(".menu > summary")).to_be_focused()
    page.goto(f"{server.url}/history/")
    page.keyboard.press("?")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_text("Speak, and send when you let go")).to_be_hidden()


def test_single_keys_can_be_switched_off_for_all_pages(page: Page, server: Server, turn: Turn) -> None:
    be_signed_in(page, server.url, turn.owner)
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    page.keyboard.press("?")
    dialog.get_by_label("Use single-key shortcuts").focus()
    page.keyboard.press("Space")
    expect(dialog.get_by_label("Use single-key shortcuts")).not_to_be_checked()
    expect(dialog.locator(".single-key").first).to_have_css("text-decoration-line", "line-through")
    expect_no_barriers(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Call").click()
    mute = page.locator("#call-mute")
    expect(mute).to_be_visible()
    mute.press("m")
    expect(mute).to_have_attribute("aria-pressed", "false")
    mute.press("Space")  # The key of a button that has the focus is no shortcut.
    expect(mute).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="End the call").click()
    page.goto(f"{server.url}/history/")
    page.keyboard.press("?")
    expect(dialog).to_be_hidden()
    page.context.clear_cookies()
    page.goto(f"{server.url}/accounts/login/")
    page.keyboard.press("?")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    dialog.get_by_label("Use single-key shortcuts").check()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(dialog).to_be_visible()
    expect_no_barriers(page)


def test_recordings_are_played_by_keyboard(page: Page, server: Server, turn: Turn) -> None:
    be_signed_in(page, server.url, turn.owner)
    page.goto(f"{server.url}/talk/{turn.conversation_id}/")
    audio, question = page.locator(".answer-audio"), page.locator(".question-audio")
    page.get_by_role("button", name="Play the answer").focus()
    page.keyboard.press("Enter")
    assert audio.evaluate(PLAYED)
    pause = page.get_by_role("button", name="Pause the answer")
    expect(pause).to_be_focused()
    page.keyboard.press("Tab")
    slider = page.get_by_role("group", name="Answer").get_by_role("slider", name="Position")
    expect(slider).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(pause).to_be_hidden()  # Five seconds on is the end.
    page.get_by_role("button", name="Play the answer").click()
    page.get_by_role("button", name="1×").click()
    assert audio.evaluate("audio => audio.playbackRate") == 1.25
    page.get_by_role("button", name="Play the question").click()
    assert question.evaluate(PLAYED)
    assert audio.evaluate("audio => audio.paused")  # One at a time.
    expect_no_barriers(page)


def test_recordings_that_come_later_get_the_player(page: Page, server: Server, turn: Turn) -> None:
    give_session(page, server.url, turn.owner)
    page.goto(f"{server.url}/voices/")
    page.get_by_role("button", name="Hear it Jane").click()
    player = page.get_by_role("group", name="Preview of Jane")
    expect(player.get_by_role("slider", name="Position")).to_be_enabled()
    assert page.locator(".preview audio").evaluate(PLAYED)
    assert page.locator("audio[controls]").count() == 0


def test_an_answer_is_shared_by_a_link_and_the_link_revoked(
    page: Page, visitor: BrowserContext, server: Server, turn: Turn
) -> None:
    page.add_init_script(SHARE)
    be_signed_in(page, server.url, turn.owner)
    page.goto(f"{server.url}/talk/{turn.conversation_id}/")
    page.get_by_role("link", name="Share the answer").click()
    dialog = page.get_by_role("dialog", name="Share this answer")
    dialog.get_by_role("button", name="Share the MP3").click()
    page.wait_for_function("window.shared === 'answer-made-by-ai.mp3 true'")
    dialog.get_by_role("radio", name="1 day").check(force=True)
    dialog.get_by_label("Show the question and the answer as text").check()
    dialog.get_by_role("button", name="Create a link").click()
    expect(dialog.get_by_role("status")).to_have_text("The link is ready.")
    address = dialog.get_by_label("Your link").input_value()
    expect_no_barriers(page)
    dialog.get_by_role("button", name="Send").click()
    page.wait_for_function("address => window.shared === address", arg=address)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    with faultless_page(visitor, expected="404") as theirs:
        theirs.goto(address)
        expect(theirs.get_by_role("heading", name="An answer made by AI")).to_be_visible()
        expect(theirs.get_by_text(LONG_REPLY)).to_be_visible()
        expect(theirs.get_by_text("alice")).to_have_count(0)
        theirs.get_by_role("button", name="Play").click()
        assert theirs.locator("audio").evaluate(PLAYED)
        expect_no_barriers(theirs)
        page.goto(f"{server.url}/accounts/shares/")
        page.get_by_role("button", name="Revoke").click()
        expect(page.get_by_text("The link is revoked.")).to_be_visible()
        theirs.reload()
        expect(theirs.get_by_role("heading", name="This link leads nowhere")).to_be_visible()


def test_staff_reach_the_admin_from_the_menu(page: Page, server: Server, alice: User, bob: User) -> None:
    make_administrator(alice)
    be_signed_in(page, server.url, alice)
    page.locator(".menu > summary").click()
    page.get_by_role("link", name="Admin", exact=True).click()
    sections = page.locator("#content .app-accounts caption, #content .app-account caption")
    expect(sections).to_have_count(2)
    assert len(set(sections.all_inner_texts())) == 2
    page.context.clear_cookies()
    be_signed_in(page, server.url, bob)
    page.locator(".menu > summary").click()
    expect(page.get_by_role("link", name="Account", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Admin", exact=True)).to_be_hidden()
