from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.templatetags.accounts import browser_name
from tests.accounts.steps import is_signed_in, sign_in

if TYPE_CHECKING:
    from apps.accounts.models import User

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/19.0 Mobile/15E148 Safari/604.1"
)
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 "
    "Safari/537.36 Edg/142.0.0.0"
)


@pytest.fixture
def here(alice: User) -> Client:
    client = Client(headers={"User-Agent": FIREFOX})
    sign_in(client, "alice")
    return client


@pytest.fixture
def elsewhere(alice: User) -> Client:
    client = Client(headers={"User-Agent": IPHONE}, REMOTE_ADDR="192.0.2.7")
    sign_in(client, "alice")
    return client


def test_all_sessions_of_the_user_are_listed(here: Client, elsewhere: Client, bob: User) -> None:
    sign_in(Client(REMOTE_ADDR="192.0.2.99"), "bob")
    page = here.get(reverse("usersessions_list"))
    text = page.content.decode()
    assert len(page.context["sessions"]) == 2
    assert "Firefox on Linux" in text
    assert "Safari on iPhone" in text
    assert "192.0.2.7" in text
    assert text.count(">This browser<") == 1


def test_signing_out_everywhere_else_keeps_this_session(here: Client, elsewhere: Client, bob: User) -> None:
    bobs = Client()
    sign_in(bobs, "bob")
    here.post(reverse("usersessions_list"))
    assert is_signed_in(here)
    assert not is_signed_in(elsewhere)
    assert is_signed_in(bobs)
    assert len(here.get(reverse("usersessions_list")).context["sessions"]) == 1


def test_a_session_that_has_ended_is_not_listed(here: Client, elsewhere: Client) -> None:
    elsewhere.post(reverse("account_logout"))
    assert len(here.get(reverse("usersessions_list")).context["sessions"]) == 1


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (IPHONE, "Safari on iPhone"),
        (EDGE, "Edge on Windows"),
        ("curl/8.17 (Linux)", "Linux"),
        ("", "Unknown browser"),
    ],
)
def test_browsers_have_names_for_people(user_agent: str, name: str) -> None:
    assert browser_name(user_agent) == name
