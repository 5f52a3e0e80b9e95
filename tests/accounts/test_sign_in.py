from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.test import Client
from django.urls import reverse

from tests.accounts.steps import is_signed_in, sign_in
from tests.conftest import PASSWORD

if TYPE_CHECKING:
    from apps.accounts.models import User


@pytest.mark.parametrize("login", ["alice", "alice@example.org", "Alice@Example.org"])
def test_it_takes_the_name_or_the_address(client: Client, alice: User, login: str) -> None:
    assert sign_in(client, login).status_code == 302
    assert is_signed_in(client)


@pytest.mark.parametrize(("login", "password"), [("alice", "a wrong password"), ("nobody", PASSWORD)])
def test_it_refuses_wrong_credentials_without_saying_which(
    client: Client, alice: User, login: str, password: str
) -> None:
    page = sign_in(client, login, password)
    assert page.status_code == 200
    assert page.context["form"].errors.keys() == {"__all__"}
    assert not is_signed_in(client)


def test_it_refuses_a_deactivated_account(client: Client, alice: User) -> None:
    alice.is_active = False
    alice.save()
    sign_in(client, "alice")
    assert not is_signed_in(client)


def test_a_session_ends_when_the_account_is_deactivated(client: Client, alice: User) -> None:
    sign_in(client, "alice")
    alice.is_active = False
    alice.save()
    assert not is_signed_in(client)


def test_it_continues_to_the_requested_page(client: Client, alice: User) -> None:
    wanted = reverse("conversations:history")
    asked = client.get(wanted)
    assert asked["Location"] == f"{reverse('account_login')}?next={wanted}"
    assert sign_in(client, "alice", next=wanted)["Location"] == wanted


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_it_does_not_redirect_to_another_site(client: Client, alice: User, target: str) -> None:
    assert sign_in(client, "alice", next=target)["Location"] == reverse("conversations:talk")


def test_a_form_without_the_csrf_token_is_refused(alice: User) -> None:
    assert sign_in(Client(enforce_csrf_checks=True), "alice").status_code == 403


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/admin/accounts/user/"])
def test_the_admin_has_no_sign_in_of_its_own(client: Client, alice: User, path: str) -> None:
    page = client.get(path, follow=True)
    assert page.redirect_chain[-1][0].startswith(reverse("account_login"))
    client.post("/admin/login/", {"username": "alice", "password": PASSWORD})
    assert not is_signed_in(client)
