"""Screenshots of every page and state for human review: `make screenshots` writes them to var/screenshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.conf import settings as django_settings

from tests.browser import states, tour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page
    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

FOLDER = django_settings.BASE_DIR / "var" / "screenshots"
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.parametrize("scheme", ["light", "dark"]),
    pytest.mark.parametrize("width", [390, 1280]),
]


@pytest.fixture
def page(browser: Browser, width: int, scheme: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type] # Playwright wants a literal
    yield context.new_page()
    context.close()


def take_screenshots(page: Page, names: Iterator[str], suffix: str) -> None:
    for name in names:
        page.screenshot(path=FOLDER / f"{name}-{suffix}.png", full_page=True)


def test_screenshots_of_pages(
    page: Page, server: Server, settings: Settings, alice: User, bob: User, width: int, scheme: str
) -> None:
    settings.ROOT_URLCONF = "tests.site.failing_urls"
    take_screenshots(page, tour.walk(page, server.url, newcomer=bob, regular=alice), f"{width}-{scheme}")


def test_screenshots_of_states(
    page: Page, server: Server, provider: FakeProvider, alice: User, bob: User, width: int, scheme: str
) -> None:
    names = states.walk(page, server.url, provider=provider, newcomer=bob, regular=alice)
    take_screenshots(page, names, f"{width}-{scheme}")
