from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from tests.accounts.steps import NEW_PASSWORD, is_signed_in, link_in_mail, sign_in, sign_up
from tests.client import messages_of

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


def is_confirmed(email: str = "carol@example.org") -> bool:
    return bool(EmailAddress.objects.get(email=email).verified)


class TestOptional:
    """The default without a mail server: signing up does not wait for the confirmation."""

    def test_signing_up_signs_in_at_once_and_the_link_confirms_later(self, client: Client) -> None:
        assert sign_up(client)["Location"] == reverse("conversations:talk")
        assert is_signed_in(client)
        assert not is_confirmed()
        path = link_in_mail("/confirm-email/")
        assert client.get(path).status_code == 200
        assert not is_confirmed()  # Mail scanners open links too.
        assert client.post(path).status_code == 302
        assert is_confirmed()

    def test_the_page_says_where_the_link_is(self, client: Client) -> None:
        sign_up(client)
        for name in ("conversations:talk", "account_email"):
            assert "terminal" in client.get(reverse(name)).content.decode()

    def test_the_link_can_be_sent_again(self, client: Client) -> None:
        sign_up(client)
        client.post(reverse("account_reauthenticate"), {"password": "a long password for tests"})
        client.post(reverse("account_email"), {"email": "carol@example.org", "action_send": ""})
        assert len(mail.outbox) == 2
        client.post(link_in_mail("/confirm-email/"))
        assert is_confirmed()


class TestMandatory:
    @pytest.fixture(autouse=True)
    def mandatory(self, settings: Settings) -> None:
        settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"

    def test_confirming_the_address_signs_in(self, client: Client) -> None:
        assert sign_up(client)["Location"] == reverse("account_email_verification_sent")
        assert client.get(reverse("account_email_verification_sent")).status_code == 200
        assert not is_signed_in(client)
        client.post(link_in_mail("/confirm-email/"))
        assert is_signed_in(client)

    def test_the_link_signs_nobody_in_elsewhere(self, client: Client) -> None:
        sign_up(client)
        elsewhere = Client()
        elsewhere.post(link_in_mail("/confirm-email/"))
        assert is_confirmed()
        assert not is_signed_in(elsewhere)

    def test_signing_in_unconfirmed_sends_the_link_again(self, client: Client) -> None:
        sign_up(client)
        assert sign_in(Client(), "carol")["Location"] == reverse("account_email_verification_sent")
        assert len(mail.outbox) == 2

    def test_signing_up_does_not_reveal_whether_an_address_has_an_account(self, client: Client, alice: User) -> None:
        answer = sign_up(client, email="alice@example.org")
        assert answer["Location"] == reverse("account_email_verification_sent")
        assert not User.objects.filter(username="carol").exists()
        assert reverse("account_reset_password") in str(mail.outbox[-1].body)


def test_without_verification_no_mail_is_sent(client: Client, settings: Settings) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "none"
    sign_up(client)
    assert is_signed_in(client)
    assert not mail.outbox


@pytest.mark.parametrize("key", ["made-up", "Mg:1xVIYD:4cEOkRliQ3e54vNgGD1naQ7wRhwwhf2judtP4zdNCnw"])
def test_a_made_up_link_confirms_nothing(client: Client, key: str) -> None:
    sign_up(client)
    assert client.get(reverse("account_confirm_email", args=[key])).context["confirmation"] is None
    assert not is_confirmed()


def test_signing_up_works_while_the_mail_server_is_down(
    client: Client, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    answer = sign_up(client)
    assert "error" in messages_of(answer)
    assert is_signed_in(client)
    assert "carol" not in caplog.text


def test_mail_is_plain_text_without_escaping(client: Client, alice: User) -> None:
    sign_up(client, username="zoë+x@y")
    body = str(mail.outbox[-1].body)
    assert "“zoë+x@y”" in body
    assert "&" not in body
    client.post(
        reverse("account_change_password"),
        {"oldpassword": "a long password for tests", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD},
        headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"},
    )
    assert "Firefox on Linux" in str(mail.outbox[-1].body)
