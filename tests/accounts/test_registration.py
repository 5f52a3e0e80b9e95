"""Signing up when registration is closed or by invitation."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Invitation, User
from apps.accounts.services import invite, mail_invitation
from tests.accounts.steps import is_signed_in, sign_up
from tests.factories import make_administrator

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


def come_with(secret: str) -> Client:
    """Return a browser that has followed the link of an invitation."""
    client = Client()
    assert client.get(reverse("accounts:invitation", args=[secret]))["Location"] == reverse("account_signup")
    return client


class TestClosed:
    @pytest.fixture(autouse=True)
    def closed(self, settings: Settings) -> None:
        settings.REGISTRATION = "closed"

    def test_nobody_can_sign_up(self, client: Client) -> None:
        page = client.get(reverse("account_signup"))
        assert page.status_code == 403
        assert "closed" in page.content.decode()
        assert sign_up(client).status_code == 403
        assert not User.objects.exists()

    def test_an_invitation_does_not_help(self) -> None:
        assert sign_up(come_with(invite(email="carol@example.org"))).status_code == 403

    def test_the_sign_in_page_does_not_offer_to_sign_up(self, client: Client, alice: User) -> None:
        page = client.get(reverse("account_login"))
        assert reverse("account_signup") not in page.content.decode().partition("<main")[2]


class TestInvitation:
    @pytest.fixture(autouse=True)
    def by_invitation(self, settings: Settings) -> None:
        settings.REGISTRATION = "invite"

    def test_nobody_can_sign_up_without_one(self, client: Client) -> None:
        page = client.get(reverse("account_signup"))
        assert page.status_code == 403
        assert "invitation" in page.content.decode()
        assert sign_up(client).status_code == 403
        assert sign_up(come_with("made-up")).status_code == 403
        assert not User.objects.exists()

    def test_its_link_leads_to_a_form_with_the_address_that_was_invited(self) -> None:
        client = come_with(invite(email="carol@example.org"))
        page = client.get(reverse("account_signup"))
        assert page.status_code == 200
        assert 'value="carol@example.org"' in page.content.decode()
        assert sign_up(client, email="somebody@else.example.org").status_code == 302
        assert is_signed_in(client)
        assert User.objects.get().email == "carol@example.org"

    def test_it_works_once(self) -> None:
        secret = invite(email="carol@example.org")
        first, second = come_with(secret), come_with(secret)
        sign_up(first)
        invitation = Invitation.objects.get()
        assert invitation.accepted_by == User.objects.get()
        assert invitation.accepted_at
        assert sign_up(second, username="dave").status_code == 403
        assert sign_up(come_with(secret), username="dave").status_code == 403
        assert User.objects.count() == 1

    def test_a_mistake_in_the_form_does_not_use_it_up(self) -> None:
        client = come_with(invite(email="carol@example.org"))
        assert sign_up(client, password="too short").status_code == 200
        assert sign_up(client).status_code == 302

    def test_it_ends_after_a_week(self) -> None:
        secret = invite(email="carol@example.org")
        client = come_with(secret)
        assert Invitation.objects.get().expires_at - timezone.now() > timedelta(days=6)
        Invitation.objects.update(expires_at=timezone.now())
        assert sign_up(client).status_code == 403
        assert sign_up(come_with(secret)).status_code == 403

    def test_it_can_be_withdrawn(self) -> None:
        client = come_with(invite(email="carol@example.org"))
        Invitation.objects.get().delete()
        assert sign_up(client).status_code == 403

    def test_only_its_hash_is_stored(self) -> None:
        secret = invite(email="carol@example.org")
        come_with(secret)
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names():
                cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - the names are our own
                assert secret not in str(cursor.fetchall()), table


class TestInviteCommand:
    def run(self, *arguments: str) -> str:
        output = StringIO()
        call_command("invite", *arguments, stdout=output)
        return output.getvalue()

    def test_it_prints_a_link_that_works(self, settings: Settings) -> None:
        settings.REGISTRATION = "invite"
        link = urlsplit(self.run("carol@example.org", "--site", "https://voice.example.org/").strip())
        assert (link.scheme, link.netloc) == ("https", "voice.example.org")
        client = Client()
        client.get(link.path)
        assert sign_up(client).status_code == 302

    def test_the_site_defaults_to_a_trusted_origin(self, settings: Settings) -> None:
        settings.CSRF_TRUSTED_ORIGINS = ["https://voice.example.org"]
        assert self.run("carol@example.org").startswith("https://voice.example.org/accounts/invitation/")

    def test_the_address_of_the_site_comes_first(self, settings: Settings) -> None:
        settings.CSRF_TRUSTED_ORIGINS = ["https://other.example.org"]
        settings.SITE_URL = "https://voice.example.org"
        assert self.run("carol@example.org").startswith("https://voice.example.org/accounts/invitation/")

    def test_it_refuses_an_invalid_address(self) -> None:
        with pytest.raises(CommandError, match="carol is not an email address"):
            self.run("carol")
        assert not Invitation.objects.exists()


class TestAdmin:
    def test_it_shows_the_link_once(self, client: Client, settings: Settings) -> None:
        settings.REGISTRATION = "invite"
        root = make_administrator()
        client.force_login(root)
        page = client.post(reverse("admin:accounts_invitation_add"), {"email": "carol@example.org"}, follow=True)
        text = page.content.decode()
        secret = text.partition("http://testserver/accounts/invitation/")[2].partition("/")[0]
        assert sign_up(come_with(secret)).status_code == 302
        invitation = Invitation.objects.get()
        assert (invitation.invited_by, invitation.email) == (root, "carol@example.org")
        detail = client.get(reverse("admin:accounts_invitation_change", args=[invitation.pk]))
        assert detail.status_code == 200
        assert secret not in detail.content.decode()

    def test_invitations_can_be_found_and_deleted(self, client: Client) -> None:
        client.force_login(make_administrator())
        invite(email="carol@example.org")
        listed = client.get(reverse("admin:accounts_invitation_changelist"), {"q": "carol"})
        assert list(listed.context["cl"].result_list) == [Invitation.objects.get()]
        client.post(reverse("admin:accounts_invitation_delete", args=[Invitation.objects.get().pk]), {"post": "yes"})
        assert not Invitation.objects.exists()


class TestMail:
    def test_it_is_sent_with_a_mail_server(self, settings: Settings) -> None:
        settings.MAIL_IS_DELIVERED = True
        assert mail_invitation(email="carol@example.org", link="https://x.example/?a=1&b=2")
        assert mail.outbox[-1].to == ["carol@example.org"]
        assert "https://x.example/?a=1&b=2" in str(mail.outbox[-1].body)

    def test_it_is_not_sent_without_a_mail_server(self) -> None:
        assert not mail_invitation(email="carol@example.org", link="https://x.example/")
        assert not mail.outbox

    def test_a_failing_mail_server_is_reported(self, settings: Settings) -> None:
        settings.MAIL_IS_DELIVERED = True
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9  # the discard port, where nobody listens
        assert not mail_invitation(email="carol@example.org", link="https://x.example/")
