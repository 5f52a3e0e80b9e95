"""The way into the admin: with a second factor, and for the first time without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import call_command
from django.urls import reverse

from apps.accounts.models import User
from tests.accounts.steps import (
    code_of,
    confirm_address,
    confirm_identity,
    link_in_mail,
    sign_in,
    switch_second_factor_on,
)
from tests.conftest import PASSWORD

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

ADMIN, SET_UP = reverse("admin:index"), reverse("mfa_activate_totp")
NEEDED = "The admin needs two-factor sign-in"


@pytest.fixture
def root(db: None, monkeypatch: pytest.MonkeyPatch) -> User:
    """The first administrator, as the documents make it."""
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", username="root", email="root@example.org", interactive=False, verbosity=0)
    return User.objects.get()


@pytest.mark.parametrize("verification", ["mandatory", "optional", "none"])
def test_a_new_superuser_is_led_to_the_second_factor_and_then_to_the_admin(
    client: Client, root: User, settings: Settings, verification: str
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = verification
    sign_in(client, "root", next=ADMIN)
    if verification == "mandatory":
        client.post(link_in_mail("confirm-email"))
    page = client.get(ADMIN, follow=True)
    if "Confirm your email address first" in page.content.decode():
        client.post(link_in_mail("confirm-email"))
        page = client.get(ADMIN, follow=True)
    assert page.redirect_chain[-2][0] == SET_UP  # It asks for the password once more.
    assert NEEDED in page.content.decode()
    confirm_identity(client)
    codes = client.post(SET_UP, {"code": code_of(client.get(SET_UP).context["form"].secret)}, follow=True)
    assert f'href="{ADMIN}"' in codes.content.decode()
    assert client.get(ADMIN).status_code == 200


def test_without_a_second_factor_no_page_of_the_admin_opens(client: Client, root: User, alice: User) -> None:
    confirm_address(root)
    client.force_login(root)
    for name in ("admin:accounts_user_changelist", "admin:conversations_turn_changelist", "admin:password_change"):
        assert client.get(reverse(name), follow=True).redirect_chain[-2][0] == SET_UP
    client.post(reverse("admin:accounts_user_delete", args=[alice.pk]), {"post": "yes"})
    client.post(reverse("admin:login"), {"username": "root", "password": PASSWORD})
    assert User.objects.filter(pk=alice.pk).exists()


def test_the_admin_closes_when_the_second_factor_is_switched_off(admin_client: Client) -> None:
    assert admin_client.get(ADMIN).status_code == 200
    Authenticator.objects.all().delete()
    assert admin_client.get(ADMIN).status_code == 302


def test_a_setting_opens_it_without_one(client: Client, root: User, settings: Settings) -> None:
    settings.ADMIN_SECOND_FACTOR = False
    client.force_login(root)
    assert client.get(ADMIN).status_code == 200


def test_other_people_are_refused_whatever_they_have(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.get(ADMIN, follow=True).status_code == 403


def test_people_who_are_not_staff_see_no_link_to_it(client: Client, alice: User) -> None:
    sign_in(client, "alice")
    switch_second_factor_on(client, alice)
    codes = client.get(reverse("mfa_view_recovery_codes"))
    assert f'href="{ADMIN}"' not in codes.content.decode()
