"""Links in mails lead to this site, whatever the Host header of the request says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from django.core import mail
from django.urls import reverse

from tests.accounts.steps import confirm_identity, sign_in, sign_up
from tests.factories import make_administrator

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User

FORGED = "testserver:8443"


def reset_a_password(client: Client) -> None:
    client.post(reverse("account_reset_password"), {"email": "alice@example.org"})


def reset_an_unknown_password(client: Client) -> None:
    client.post(reverse("account_reset_password"), {"email": "nobody@example.org"})


def sign_up_again(client: Client) -> None:
    sign_up(client, username="alice2", email="alice@example.org")


def delete_the_account(client: Client) -> None:
    sign_in(client, "alice")
    confirm_identity(client)
    client.post(reverse("privacy:delete-account"))


@pytest.mark.parametrize("act", [reset_a_password, reset_an_unknown_password, sign_up, sign_up_again])
@pytest.mark.parametrize("site", ["", "https://voice.example.org:8080"])
@pytest.mark.django_db(transaction=True)  # Some mails are sent on commit.
def test_a_forged_port_is_in_no_mail(client: Client, alice: User, settings: Settings, act: Any, site: str) -> None:
    settings.SITE_URL = site
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"  # Else a sign-up with a known address sends no mail.
    client.defaults["HTTP_HOST"] = FORGED
    act(client)
    text = str(mail.outbox[-1].body)
    assert "8443" not in text
    assert re.search(rf"^{site or 'http://testserver'}/accounts/\S+$", text, re.MULTILINE), text


@pytest.mark.django_db(transaction=True)
def test_a_forged_port_is_not_in_the_mail_about_an_erasure(client: Client, alice: User) -> None:
    client.defaults["HTTP_HOST"] = FORGED
    delete_the_account(client)
    assert "8443" not in str(mail.outbox[-1].body)
    assert "http://testserver/" in str(mail.outbox[-1].body)


def test_a_forged_port_is_not_in_an_invitation(client: Client, alice: User) -> None:
    client.force_login(make_administrator(alice))
    client.defaults["HTTP_HOST"] = FORGED
    page = client.post(reverse("admin:accounts_invitation_add"), {"email": "carol@example.org"}, follow=True)
    assert "http://testserver/accounts/invitation/" in page.content.decode()


def test_the_port_to_which_the_server_listens_stays(client: Client, alice: User) -> None:
    client.defaults |= {"HTTP_HOST": "testserver:8000", "SERVER_PORT": "8000"}
    client.post(reverse("account_reset_password"), {"email": "alice@example.org"}, SERVER_PORT="8000")
    assert "http://testserver:8000/accounts/" in str(mail.outbox[-1].body)
