from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.urls import reverse

from tests.accounts.steps import confirm_address, confirm_identity, link_in_mail, sign_in

if TYPE_CHECKING:
    from django.test import Client

    from apps.accounts.models import User
    from tests.client import Page

NEW = "alice@new.example.org"


def change(client: Client, email: str = NEW) -> Page:
    return client.post(reverse("account_email"), {"email": email, "action_add": ""})


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    """A browser in which Alice, whose address is confirmed, has just entered her password."""
    confirm_address(alice)
    client.force_login(alice)
    confirm_identity(client)
    return client


def test_it_changes_when_the_new_address_is_confirmed(signed_in: Client, alice: User) -> None:
    assert change(signed_in)["Location"] == reverse("account_email")
    alice.refresh_from_db()
    assert alice.email == "alice@example.org"
    assert mail.outbox[-1].to == [NEW]
    signed_in.post(link_in_mail("/confirm-email/"))
    alice.refresh_from_db()
    assert alice.email == NEW
    assert list(EmailAddress.objects.values_list("email", flat=True)) == [NEW]
    assert sign_in(signed_in, NEW).status_code == 302


def test_the_old_address_is_notified(signed_in: Client) -> None:
    change(signed_in)
    signed_in.post(link_in_mail("/confirm-email/"))
    assert mail.outbox[-1].to == ["alice@example.org"]
    assert NEW in str(mail.outbox[-1].body)


def test_it_can_be_cancelled(signed_in: Client, alice: User) -> None:
    change(signed_in)
    path = link_in_mail("/confirm-email/")
    signed_in.post(reverse("account_email"), {"email": NEW, "action_remove": ""})
    signed_in.post(path)
    alice.refresh_from_db()
    assert alice.email == "alice@example.org"


def test_it_asks_for_the_password_again(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert change(client)["Location"].startswith(reverse("account_reauthenticate"))
    assert not mail.outbox
    page = client.get(reverse("account_reauthenticate"), {"next": reverse("account_email")})
    assert page.status_code == 200
    form = {"password": "a long password for tests", "next": reverse("account_email")}
    client.post(reverse("account_reauthenticate"), form)
    assert mail.outbox[-1].to == [NEW]  # The requested change continues.


@pytest.mark.parametrize("email", ["", "nothing", "alice@example.org"])
def test_it_refuses_an_invalid_or_unchanged_address(signed_in: Client, email: str) -> None:
    page = change(signed_in, email)
    assert page.context["form"].errors.keys() == {"email"}
    assert not mail.outbox


def test_the_address_of_another_account_cannot_be_taken(signed_in: Client, alice: User, bob: User) -> None:
    confirm_address(bob)
    change(signed_in, bob.email)
    signed_in.post(link_in_mail("/confirm-email/"))
    alice.refresh_from_db()
    assert alice.email == "alice@example.org"
