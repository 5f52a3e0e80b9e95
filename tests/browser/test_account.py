"""The life of an account: sign up, confirm the address, add a second factor, create a token."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import requests
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.core import mail
from playwright.sync_api import Browser, Page, expect

from apps.accounts.models import User
from apps.conversations.models import Conversation
from tests.accounts.steps import code_of
from tests.browser.conftest import CHROMIUM
from tests.browser.steps import barriers_in, sign_in, sign_up
from tests.client import bearer
from tests.conftest import PASSWORD, Server
from tests.factories import make_turn

ACCOUNT_PAGES = ["profile/", "email/", "password/change/", "2fa/", "sessions/", "tokens/"]


def confirm_address(page: Page) -> None:
    """Follow the link in the last mail."""
    link = re.search(r"http\S+/confirm-email/\S+", str(mail.outbox[-1].body))
    assert link
    page.goto(link[0])
    page.get_by_role("button", name="Yes, confirm it").click()
    page.wait_for_url("**/talk/")


def enter_password(page: Page) -> None:
    expect(page.get_by_role("heading", name="Is it you?")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()


def open_account_page(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Account").get_by_role("link", name=name).click()


def switch_second_factor_on(page: Page) -> str:
    """Set up the authenticator app and return its secret."""
    open_account_page(page, "Two-factor sign-in")
    page.get_by_role("link", name="Set up").click()
    enter_password(page)
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    secret = page.locator("#secret").inner_text()
    page.get_by_label("Authenticator code").fill(code_of(secret))
    page.get_by_role("button", name="Switch on").click()
    expect(page.locator("#codes li")).to_have_count(10)
    return secret


def sign_in_with_code(page: Page, server: Server, secret: str) -> None:
    page.goto(f"{server.url}/accounts/login/")
    page.get_by_label("Username or email").fill("carol")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.get_by_label("Code").fill(code_of(secret))
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/talk/")


def create_token(page: Page) -> str:
    """Create a token and return its secret from the page."""
    open_account_page(page, "API tokens")
    page.get_by_label("Name").fill("Kitchen speaker")
    page.get_by_role("button", name="Create the token").click()
    return page.locator("#token").inner_text()


def test_a_person_signs_up_confirms_adds_a_second_factor_and_creates_a_token(page: Page, server: Server) -> None:
    sign_up(page, server.url)
    confirm_address(page)
    assert EmailAddress.objects.get().verified

    page.locator("summary").filter(has_text="carol").click()
    page.get_by_role("link", name="Account", exact=True).click()
    secret = switch_second_factor_on(page)
    assert Authenticator.objects.filter(user=User.objects.get(), type="totp").exists()
    page.context.clear_cookies()
    sign_in_with_code(page, server, secret)

    page.goto(f"{server.url}/accounts/profile/")
    token = create_token(page)
    assert requests.get(f"{server.url}/api/v1/voices", headers=bearer(token), timeout=10).status_code == 200
    page.goto(f"{server.url}/accounts/tokens/")
    expect(page.get_by_role("heading", name="Kitchen speaker")).to_be_visible()
    expect(page.get_by_text(token)).to_have_count(0)


def test_a_button_copies_the_token(page: Page, server: Server) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_up(page, server.url)
    page.goto(f"{server.url}/accounts/profile/")
    token = create_token(page)
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    page.goto(f"{server.url}/accounts/tokens/")
    page.get_by_label("Name").focus()
    page.keyboard.press("Control+V")
    expect(page.get_by_label("Name")).to_have_value(token)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_account_pages_are_accessible_and_fit_a_phone(page: Page, server: Server, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type] # Playwright wants a literal
    page.set_viewport_size({"width": 360, "height": 800})
    sign_up(page, server.url)
    confirm_address(page)
    page.goto(f"{server.url}/accounts/profile/")
    switch_second_factor_on(page)
    assert_usable(page)
    create_token(page)
    assert_usable(page)
    for path in ACCOUNT_PAGES:
        page.goto(f"{server.url}/accounts/{path}")
        assert_usable(page)
    page.context.clear_cookies()
    for path in ("accounts/confirm-email/", "accounts/inactive/", "accounts/password/reset/done/"):
        page.goto(f"{server.url}/{path}")
        assert_usable(page)


def assert_usable(page: Page) -> None:
    assert barriers_in(page) == ""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url


@pytest.fixture
def page_with_history(browser: Browser) -> Iterator[Page]:
    """A page of a browser that keeps earlier pages in memory, as browsers outside of tests do."""
    remembering = browser.browser_type.launch(
        executable_path=CHROMIUM, ignore_default_args=["--disable-back-forward-cache"]
    )
    yield remembering.new_page()
    remembering.close()


def test_the_back_button_shows_nothing_private_after_signing_out(
    page_with_history: Page, server: Server, conversation: Conversation
) -> None:
    page = page_with_history
    make_turn(conversation, transcript="Where is the treasure?")
    sign_in(page, server.url, "alice")
    page.goto(f"{server.url}/talk/{conversation.pk}/")
    expect(page.get_by_text("Where is the treasure?").first).to_be_visible()
    page.locator("summary").filter(has_text="alice").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{server.url}/")
    page.go_back()
    page.wait_for_url("**/accounts/login/**")
    expect(page.get_by_text("Where is the treasure?")).to_have_count(0)


def test_an_administrator_sets_up_the_second_factor_on_the_way_to_the_admin(
    page: Page, server: Server, alice: User
) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    sign_in(page, server.url, "alice")
    page.goto(f"{server.url}/admin/")
    expect(page.get_by_text("The admin needs two-factor sign-in.")).to_be_visible()
    enter_password(page)
    page.get_by_label("Authenticator code").fill(code_of(page.locator("#secret").inner_text()))
    page.get_by_role("button", name="Switch on").click()
    page.get_by_role("link", name="Continue to the admin").click()
    expect(page.get_by_role("heading", name="Site administration")).to_be_visible()
