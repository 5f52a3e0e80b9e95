from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.urls import reverse

from tests.accounts.steps import sign_in

if TYPE_CHECKING:
    from django.test import Client

    from apps.accounts.models import User
    from tests.client import Page

PAGES = [
    "accounts:profile",
    "account_email",
    "account_change_password",
    "mfa_index",
    "usersessions_list",
    "accounts:tokens",
]


def rename(client: Client, username: str) -> Page:
    return client.post(reverse("accounts:profile"), {"username": username})


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.mark.parametrize("name", ["carol", "Alice", "alice"])
def test_the_user_name_can_be_changed(signed_in: Client, alice: User, name: str) -> None:
    assert rename(signed_in, name).status_code == 302
    alice.refresh_from_db()
    assert alice.username == name
    signed_in.post(reverse("account_logout"))
    assert sign_in(signed_in, name).status_code == 302


@pytest.mark.parametrize("name", ["", "bob", "BOB", "a b", "<script>", "x" * 151])
def test_a_taken_or_invalid_name_is_refused(signed_in: Client, alice: User, bob: User, name: str) -> None:
    page = rename(signed_in, name)
    assert page.status_code == 422
    assert page.context["form"].errors.keys() == {"username"}
    assert page.context["user"].username == "alice"
    alice.refresh_from_db()
    assert alice.username == "alice"


@pytest.mark.parametrize("name", PAGES)
def test_every_page_of_the_account_leads_to_the_others(signed_in: Client, name: str) -> None:
    text = signed_in.get(reverse(name)).content.decode()
    for other in PAGES:
        assert f'href="{reverse(other)}"' in text
    assert text.count('aria-current="page"') == 1
