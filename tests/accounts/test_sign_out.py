from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse

if TYPE_CHECKING:
    from django.test import Client

    from apps.accounts.models import User


def test_it_asks_first(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.get(reverse("account_logout")).status_code == 200
    assert client.get(reverse("conversations:talk")).status_code == 200


def test_it_ends_the_session(client: Client, alice: User) -> None:
    client.force_login(alice)
    session = client.cookies["sessionid"].value
    assert client.post(reverse("account_logout"))["Location"] == reverse("home")
    client.cookies["sessionid"] = session
    assert client.get(reverse("conversations:talk")).status_code == 302
