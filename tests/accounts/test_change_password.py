from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.test import Client
from django.urls import reverse

from tests.accounts.steps import NEW_PASSWORD
from tests.conftest import PASSWORD

if TYPE_CHECKING:
    from apps.accounts.models import User
    from tests.client import Page


def change(client: Client, old: str, new: str) -> Page:
    form = {"oldpassword": old, "password1": new, "password2": new}
    return client.post(reverse("account_change_password"), form)


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def test_it_changes_the_password_and_ends_other_sessions(signed_in: Client, alice: User) -> None:
    elsewhere = Client()
    elsewhere.force_login(alice)
    assert signed_in.get(reverse("account_change_password")).status_code == 200
    assert change(signed_in, PASSWORD, NEW_PASSWORD).status_code == 302
    alice.refresh_from_db()
    assert alice.check_password(NEW_PASSWORD)
    assert elsewhere.get(reverse("conversations:talk")).status_code == 302


@pytest.mark.parametrize(("old", "new"), [("a wrong password", NEW_PASSWORD), (PASSWORD, "too short")])
def test_it_refuses_a_wrong_old_and_a_weak_new_password(signed_in: Client, alice: User, old: str, new: str) -> None:
    assert change(signed_in, old, new).context["form"].errors
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_it_needs_a_session(client: Client, alice: User) -> None:
    assert change(client, PASSWORD, NEW_PASSWORD).status_code == 302
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)
