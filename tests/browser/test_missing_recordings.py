"""A recording that is missing on the server: each page says so when somebody plays it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import faultless_page
from tests.browser.steps import be_signed_in
from tests.factories import make_turn
from tests.storage import stored_files

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.conversations.models import Conversation
    from tests.conftest import Server


@pytest.fixture
def lost(context: BrowserContext, server: Server, alice: User, conversation: Conversation) -> Iterator[Page]:
    """A page of Alice, who has a voice, a consent and a turn, and whose recordings are all lost."""
    make_turn(conversation)
    for file in stored_files():
        file.unlink()
    with faultless_page(context, expected="410") as page:
        be_signed_in(page, server.url, alice)
        yield page


def expect_explanation(page: Page) -> None:
    expect(page.get_by_role("status")).to_contain_text("This recording is missing on the server.")


@pytest.mark.parametrize("name", ["Play the answer", "Play the question"])
def test_of_a_turn(lost: Page, server: Server, conversation: Conversation, name: str) -> None:
    lost.goto(f"{server.url}/talk/{conversation.pk}/")
    lost.get_by_role("button", name=name).click()
    expect_explanation(lost)


def test_of_a_voice(lost: Page, server: Server) -> None:
    lost.goto(f"{server.url}/voices/")
    lost.get_by_text("Source recordings").click()
    lost.locator(".samples audio").evaluate("audio => { audio.play().catch(() => {}); }")
    expect_explanation(lost)


def test_of_a_consent(lost: Page, server: Server) -> None:
    lost.goto(f"{server.url}/voices/consent/")
    lost.locator(".consent audio").evaluate("audio => { audio.play().catch(() => {}); }")
    expect_explanation(lost)
