"""The figures on the front page of the admin: on a telephone, in the dark, and without seeing the charts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import faultless_page
from tests.browser.steps import barriers_in, give_session
from tests.factories import make_administrator, make_turn

if TYPE_CHECKING:
    from apps.conversations.models import Conversation
    from tests.conftest import Server

TELEPHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
RULES = [
    "color-contrast",
    "definition-list",
    "dlitem",
    "heading-order",
    "link-name",
    "list",
    "svg-img-alt",
    "td-headers-attr",
]


@pytest.mark.parametrize(("size", "scheme"), [(TELEPHONE, "dark"), (DESKTOP, "light")])
def test_figures_are_charts_and_tables(
    browser: Browser, server: Server, conversation: Conversation, size: dict[str, int], scheme: str
) -> None:
    make_turn(conversation, first_audio_ms=1100)
    make_turn(conversation, status="failed", failed_stage="speak", error_code="provider_timeout")
    context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
    with faultless_page(context) as page:
        give_session(page, server.url, make_administrator())
        page.goto(f"{server.url}/admin/")
        chart = page.locator(".chart").first
        expect(chart.get_by_role("img")).to_have_accessible_name("Turns a day. From 0 to 2 turns a day.")
        bar = chart.locator(".plot rect.answered")
        assert bar.evaluate("bar => bar.getBoundingClientRect().height") > 50
        assert bar.evaluate("bar => getComputedStyle(bar).fill") != "rgb(0, 0, 0)"
        chart.get_by_text("As a table").click()
        expect(chart.get_by_role("row").nth(1)).to_contain_text("2")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert barriers_in(page, rules=RULES) == ""
        page.get_by_role("link", name="provider_timeout").click()
        expect(page.locator("#result_list tbody tr")).to_have_count(1)
