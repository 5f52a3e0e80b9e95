"""Pictures of every page, for people to look at: `make screenshots` writes them to var/screenshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.conf import settings as django_settings

from tests.browser import tour

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.conftest import Server

FOLDER = django_settings.BASE_DIR / "var" / "screenshots"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_take_pictures(
    browser: Browser, server: Server, settings: Settings, alice: User, bob: User, width: int, scheme: str
) -> None:
    settings.ROOT_URLCONF = "tests.site.failing_urls"
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type] # Playwright wants a literal
    page = context.new_page()
    for name in tour.walk(page, server.url, newcomer=bob, regular=alice):
        page.screenshot(path=FOLDER / f"{name}-{width}-{scheme}.png", full_page=True)
    context.close()
