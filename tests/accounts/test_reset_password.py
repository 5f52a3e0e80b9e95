from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.core import mail
from django.urls import reverse

from tests.accounts.steps import NEW_PASSWORD
from tests.conftest import PASSWORD

if TYPE_CHECKING:
    from django.test import Client

    from apps.accounts.models import User


def requested_link(client: Client) -> str:
    """Request a link with the form, and return its path from the mail."""
    asked = client.post(reverse("account_reset_password"), {"email": "alice@example.org"})
    assert asked["Location"] == reverse("account_reset_password_done")
    (message,) = mail.outbox
    assert message.to == ["alice@example.org"]
    link = re.search(r"https?://\S+/reset/\S+", str(message.body))
    assert link, message.body
    assert urlsplit(link[0]).netloc == "testserver"
    return urlsplit(link[0]).path


def test_the_link_in_the_mail_leads_to_a_form_that_changes_the_password(client: Client, alice: User) -> None:
    page = client.get(requested_link(client), follow=True)
    form_path = page.request["PATH_INFO"]
    done = client.post(form_path, {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})
    assert done.status_code == 302
    alice.refresh_from_db()
    assert alice.check_password(NEW_PASSWORD)


def test_the_link_works_once(client: Client, alice: User) -> None:
    link = requested_link(client)
    form_path = client.get(link, follow=True).request["PATH_INFO"]
    client.post(form_path, {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})
    again = client.get(link, follow=True)
    assert again.status_code == 200
    assert again.context["token_fail"]


def test_it_refuses_a_weak_password(client: Client, alice: User) -> None:
    form_path = client.get(requested_link(client), follow=True).request["PATH_INFO"]
    page = client.post(form_path, {"password1": "too short", "password2": "too short"})
    assert page.context["form"].errors
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_a_made_up_link_does_not_work(client: Client, alice: User) -> None:
    page = client.get(reverse("account_reset_password_from_key", args=["1", "abc-def"]), follow=True)
    assert page.context["token_fail"]


def test_it_does_not_reveal_whether_an_address_has_an_account(client: Client, alice: User) -> None:
    asked = client.post(reverse("account_reset_password"), {"email": "nobody@example.org"})
    assert asked["Location"] == reverse("account_reset_password_done")
    assert all("/reset/" not in message.body for message in mail.outbox)
