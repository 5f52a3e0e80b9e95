"""Steps of account tests: forms, links in mails, and codes of an authenticator app."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core import mail
from django.urls import reverse

from tests.conftest import PASSWORD

if TYPE_CHECKING:
    from django.test import Client

    from apps.accounts.models import User
    from tests.client import Page

NEW_PASSWORD = "another long password for tests"
CODE_SECONDS = 30
MARGIN_SECONDS = 5


def sign_up(client: Client, **changes: str) -> Page:
    """Send the form of the sign-up page."""
    form = {"username": "carol", "email": "carol@example.org", "password": PASSWORD} | changes
    password = form.pop("password")
    return client.post(reverse("account_signup"), {"password1": password, "password2": password} | form)


def sign_in(client: Client, login: str, password: str = PASSWORD, **more: str) -> Page:
    """Send the form of the sign-in page."""
    return client.post(reverse("account_login"), {"login": login, "password": password} | more)


def is_signed_in(client: Client) -> bool:
    return client.get(reverse("conversations:talk")).status_code == 200


def confirm_identity(client: Client, password: str = PASSWORD) -> None:
    """Enter the password once more, as sensitive changes require."""
    assert client.post(reverse("account_reauthenticate"), {"password": password}).status_code == 302


def link_in_mail(path: str, number: int = -1) -> str:
    """Return the path of the link to this site in the last mail, or in mail `number`."""
    link = re.search(rf"http://testserver\S*{path}\S+", str(mail.outbox[number].body))
    assert link, mail.outbox[number].body
    return urlsplit(link[0]).path


def code_of(secret: str) -> str:
    """Return the current code of an authenticator app. Near the end of its period, wait for the next one."""
    left = CODE_SECONDS - time.time() % CODE_SECONDS
    if left < MARGIN_SECONDS:
        time.sleep(left + 0.1)
    code: str = format_hotp_value(hotp_value(secret, int(time.time()) // CODE_SECONDS))
    return code


def wrong_code(secret: str) -> str:
    """Return a code that the authenticator app does not show."""
    return f"{(int(code_of(secret)) + 1) % 10**6:06}"


def confirm_address(user: User) -> None:
    """Confirm the email address of the user."""
    EmailAddress.objects.update_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})


def switch_second_factor_on(client: Client, user: User) -> str:
    """Set up an authenticator app for the signed-in user, and return its secret."""
    confirm_address(user)
    confirm_identity(client)
    secret: str = client.get(reverse("mfa_activate_totp")).context["form"].secret
    done = client.post(reverse("mfa_activate_totp"), {"code": code_of(secret)})
    assert done["Location"] == reverse("mfa_view_recovery_codes")
    return secret
