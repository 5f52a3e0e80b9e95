"""The error pages."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
import requests
from django.conf import settings as django_settings
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse

from tests.conftest import PASSWORD
from tests.voiceclone.test_body_limit import TOO_MUCH, chunks
from voiceclone.bodies import DISCARD_FACTOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.client import Page
    from tests.conftest import Server

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
FAILURES = {"request": 400, "permission": 403, "form": 403, "method": 405, "size": 413, "attempts": 429, "fault": 500}


@pytest.fixture
def failing(settings: Settings) -> Client:
    settings.ROOT_URLCONF = "tests.site.failing_urls"
    return Client(raise_request_exception=False, headers=BROWSER)


def assert_security_headers(headers: object) -> None:
    for name in ("Content-Security-Policy", "Permissions-Policy", "X-Content-Type-Options", "Referrer-Policy"):
        assert name in headers  # type: ignore[operator] # requests' and Django's headers share no type


class Tags(HTMLParser):
    """Collects the tags and the links of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "a":
            self.links.append(dict(attrs)["href"] or "")


@pytest.mark.django_db
@pytest.mark.parametrize(("way", "status"), FAILURES.items())
def test_each_failure_has_a_page_with_a_link_to_the_home_page(failing: Client, way: str, status: int) -> None:
    response = failing.get(f"/fail/{way}/")
    assert response.status_code == status
    assert response["Content-Type"].startswith("text/html")
    assert_security_headers(response.headers)
    page = Tags(response.content.decode())
    assert page.tags.count("h1") == 1
    assert "/" in page.links


@pytest.mark.django_db
@pytest.mark.parametrize(("way", "status"), [("request", 400), ("method", 405), ("size", 413), ("fault", 500)])
def test_a_client_that_accepts_only_json_gets_json(failing: Client, way: str, status: int) -> None:
    response = failing.get(f"/fail/{way}/", headers={"Accept": "application/json"})
    assert response.status_code == status
    assert set(response.json()["error"]) == {"code", "message"}


@pytest.mark.parametrize("name", ["400", "403_csrf", "405", "413", "429", "500"])
def test_an_error_page_needs_neither_request_nor_database(name: str, settings: Settings) -> None:
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": "voiceclone.static.StaticFilesStorage"}}
    assert "<h1>" in render_to_string(f"{name}.html")


class TestTooLarge:
    @pytest.mark.parametrize("is_announced", [True, False], ids=["announced", "not announced"])
    def test_a_browser_gets_a_page_with_the_limit(self, server: Server, is_announced: bool) -> None:
        body = bytes(TOO_MUCH) if is_announced else chunks(TOO_MUCH)
        response = requests.post(f"{server.url}/voices/", data=body, headers=BROWSER, timeout=30)
        assert response.status_code == 413
        assert response.headers["Content-Type"].startswith("text/html")
        assert "50 MB" in response.text
        assert_security_headers(response.headers)

    def test_a_program_on_another_origin_may_read_it(self, server: Server) -> None:
        headers = {"Origin": django_settings.CORS_ALLOWED_ORIGINS[0]}
        response = requests.post(f"{server.url}/clone-voice", data=chunks(TOO_MUCH), headers=headers, timeout=30)
        assert response.status_code == 413
        assert response.json()["error"]["code"] == "request_too_large"
        assert response.headers["Access-Control-Allow-Origin"] == headers["Origin"]
        assert_security_headers(response.headers)

    def test_a_client_that_does_not_stop_is_cut_off(self, server: Server) -> None:
        sent = 0

        def endless() -> Iterator[bytes]:
            nonlocal sent
            for chunk in chunks(4 * DISCARD_FACTOR * TOO_MUCH):
                sent += len(chunk)
                yield chunk

        response = requests.post(f"{server.url}/voices/", data=endless(), headers=BROWSER, timeout=30)
        assert response.status_code == 413
        assert sent < 2 * DISCARD_FACTOR * TOO_MUCH


def test_a_get_request_for_a_form_is_told_to_go_back(client: Client, alice: User) -> None:
    client.force_login(alice)
    response = client.get(reverse("privacy:start-export"), headers=BROWSER)
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert "go back to the form" in response.content.decode()
    assert_security_headers(response.headers)


def test_too_many_wrong_passwords_are_refused_for_a_while(client: Client, alice: User, settings: Settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = {"login": "2/m/ip"}

    def sign_in() -> Page:
        return client.post(reverse("account_login"), {"login": "alice", "password": f"not {PASSWORD}"}, headers=BROWSER)

    statuses = [sign_in().status_code for _attempt in range(3)]
    assert statuses == [200, 200, 429]
    response = sign_in()
    assert int(response["Retry-After"]) > 0
    assert "5 minutes" in response.content.decode()
