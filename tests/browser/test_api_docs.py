"""The page with the API documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from apps.core.api_schema import registered

if TYPE_CHECKING:
    from tests.conftest import Server


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_it_shows_every_operation_without_console_errors(page: Page, server: Server, colours: str) -> None:
    page.emulate_media(color_scheme="dark" if colours == "dark" else "light")
    page.goto(f"{server.url}/api/docs/")
    expect(page.locator(".opblock")).to_have_count(sum(map(len, registered().values())))
    page.locator("#operations-Voices-voices_list .opblock-summary-control").click()
    expect(page.locator("#operations-Voices-voices_list .opblock-body")).to_contain_text("read")
