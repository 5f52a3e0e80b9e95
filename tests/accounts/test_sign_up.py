from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.urls import reverse

from apps.accounts.models import User
from tests.accounts.steps import sign_up
from tests.conftest import PASSWORD

if TYPE_CHECKING:
    from django.test import Client


pytestmark = pytest.mark.django_db


def test_it_shows_a_form(client: Client) -> None:
    page = client.get(reverse("account_signup"))
    assert page.status_code == 200
    assert {"username", "email", "password1", "password2"} <= page.context["form"].fields.keys()


def test_it_makes_an_account_and_signs_in(client: Client) -> None:
    assert sign_up(client).status_code == 302
    user = User.objects.get()
    assert (user.username, user.email, user.is_staff) == ("carol", "carol@example.org", False)
    assert user.check_password(PASSWORD)
    assert client.get(reverse("conversations:talk")).status_code == 200


@pytest.mark.parametrize(
    "password",
    ["fourteen chars", "123456789123456789", "manchesterunited", "carol@example.org"],
    ids=["too short", "common digits", "common words", "like the address"],
)
def test_it_refuses_a_weak_password(client: Client, password: str) -> None:
    page = sign_up(client, password=password)
    assert page.status_code == 200
    assert page.context["form"].errors.keys() == {"password1"}
    assert not User.objects.exists()


def test_it_accepts_fifteen_small_letters(client: Client) -> None:
    assert sign_up(client, password="mossgreenmitten").status_code == 302


@pytest.mark.parametrize("changes", [{"username": "alice"}, {"username": "ALICE"}, {"email": "Alice@Example.org"}])
def test_it_makes_no_second_account(client: Client, alice: User, changes: dict[str, str]) -> None:
    page = sign_up(client, **changes)
    assert page.status_code == 200
    assert page.context["form"].errors.keys() == changes.keys()
    assert list(User.objects.all()) == [alice]


def test_it_refuses_two_different_passwords(client: Client) -> None:
    assert sign_up(client, password2="another long password").status_code == 200
    assert not User.objects.exists()


def test_it_cannot_make_a_superuser(client: Client) -> None:
    sign_up(client, is_superuser="on", is_staff="on")
    user = User.objects.get()
    assert not user.is_superuser
    assert not user.is_staff
