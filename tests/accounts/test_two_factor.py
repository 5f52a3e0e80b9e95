from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from apps.background.housekeeping import run_steps
from tests.accounts.steps import (
    code_of,
    confirm_address,
    confirm_identity,
    is_signed_in,
    link_in_mail,
    sign_in,
    switch_second_factor_on,
    wrong_code,
)
from tests.conftest import PASSWORD

if TYPE_CHECKING:
    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.client import Page

SHORT_PASSWORD = "moss mitten"


@pytest.fixture(autouse=True)
def fresh_cache() -> None:
    """Forget the used codes: the users of all tests have the same ids."""
    cache.clear()


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    sign_in(client, "alice")
    return client


@pytest.fixture
def secret(signed_in: Client, alice: User) -> str:
    """The secret of Alice's authenticator app."""
    return switch_second_factor_on(signed_in, alice)


def enter(client: Client, code: str) -> Page:
    return client.post(reverse("mfa_authenticate"), {"code": code})


def recovery_codes(client: Client) -> list[str]:
    return re.findall(r"<code>(\d{8})</code>", client.get(reverse("mfa_view_recovery_codes")).content.decode())


def test_signing_in_takes_the_password_and_a_code(secret: str) -> None:
    elsewhere = Client()
    assert sign_in(elsewhere, "alice")["Location"] == reverse("mfa_authenticate")
    assert not is_signed_in(elsewhere)
    assert elsewhere.get(reverse("mfa_authenticate")).status_code == 200
    assert enter(elsewhere, wrong_code(secret)).context["form"].errors
    assert not is_signed_in(elsewhere)
    assert enter(elsewhere, code_of(secret)).status_code == 302
    assert is_signed_in(elsewhere)


def test_a_code_works_once(secret: str) -> None:
    code = code_of(secret)
    first, second = Client(), Client()
    for client in (first, second):
        sign_in(client, "alice")
        enter(client, code)
    assert is_signed_in(first)
    assert not is_signed_in(second)


def test_a_code_without_the_password_does_not_sign_in(secret: str) -> None:
    client = Client()
    enter(client, code_of(secret))
    assert not is_signed_in(client)


def test_a_recovery_code_works_once(signed_in: Client, secret: str) -> None:
    codes = recovery_codes(signed_in)
    assert len(codes) == len(set(codes)) == 10
    first, second = Client(), Client()
    for client in (first, second):
        sign_in(client, "alice")
        enter(client, codes[0])
    assert is_signed_in(first)
    assert not is_signed_in(second)
    assert codes[0] not in recovery_codes(signed_in)


def test_recovery_codes_can_be_downloaded_and_replaced(signed_in: Client, secret: str) -> None:
    old = recovery_codes(signed_in)
    download = signed_in.get(reverse("mfa_download_recovery_codes"))
    assert download["Content-Disposition"].startswith("attachment")
    assert download.content.decode().split() == old
    assert signed_in.get(reverse("mfa_generate_recovery_codes")).status_code == 200
    signed_in.post(reverse("mfa_generate_recovery_codes"))
    assert not set(recovery_codes(signed_in)) & set(old)


def test_it_needs_the_password_again(signed_in: Client, alice: User) -> None:
    confirm_address(alice)
    for name in ("mfa_activate_totp", "mfa_generate_recovery_codes"):
        assert signed_in.get(reverse(name))["Location"].startswith(reverse("account_reauthenticate"))


def test_it_needs_a_confirmed_address(signed_in: Client, alice: User) -> None:
    EmailAddress.objects.update_or_create(user=alice, email=alice.email, defaults={"verified": False})
    page = signed_in.get(reverse("mfa_activate_totp"), follow=True)
    assert page.redirect_chain == [(reverse("mfa_index"), 302)]
    assert "Confirm your email address first" in page.content.decode()


def test_a_wrong_code_does_not_switch_it_on(signed_in: Client, alice: User) -> None:
    confirm_address(alice)
    confirm_identity(signed_in)
    page = signed_in.get(reverse("mfa_activate_totp"))
    assert "data:image/svg+xml;base64," in page.content.decode()
    shown = page.context["form"].secret
    assert signed_in.post(reverse("mfa_activate_totp"), {"code": wrong_code(shown)}).context["form"].errors
    assert not Authenticator.objects.exists()


@pytest.mark.django_db(transaction=True)  # The mail is sent on commit.
def test_the_owner_gets_a_mail(signed_in: Client, alice: User) -> None:
    switch_second_factor_on(signed_in, alice)
    assert mail.outbox[-1].to == ["alice@example.org"]
    assert "on" in mail.outbox[-1].subject


def test_it_can_be_switched_off(signed_in: Client, secret: str) -> None:
    assert signed_in.get(reverse("mfa_deactivate_totp")).status_code == 200
    signed_in.post(reverse("mfa_deactivate_totp"))
    assert not Authenticator.objects.exists()
    elsewhere = Client()
    sign_in(elsewhere, "alice")
    assert is_signed_in(elsewhere)


def test_a_copy_of_the_database_holds_neither_the_key_nor_the_codes(signed_in: Client, secret: str) -> None:
    stored = str(list(Authenticator.objects.values()))
    assert secret not in stored
    assert not any(code in stored for code in recovery_codes(signed_in))


def test_after_a_change_of_the_secret_key_codes_are_refused(secret: str, settings: Settings) -> None:
    settings.SECRET_KEY = "another made-up key for tests, as after a change"
    client = Client()
    sign_in(client, "alice")
    for code in (code_of(secret), "000000", ""):
        enter(client, code)
    assert not is_signed_in(client)


def test_during_a_change_of_the_secret_key_codes_links_and_sessions_stay_valid(
    signed_in: Client, secret: str, alice: User, settings: Settings
) -> None:
    codes = recovery_codes(signed_in)
    signed_in.post(reverse("account_reset_password"), {"email": "alice@example.org"})
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another made-up key for tests, as after a change"
    assert is_signed_in(signed_in)
    assert not Client().get(link_in_mail("/reset/"), follow=True).context.get("token_fail")
    first, second = Client(), Client()
    for client, code in ((first, code_of(secret)), (second, codes[0])):
        sign_in(client, "alice")
        enter(client, code)
        assert is_signed_in(client)


def test_the_worker_encrypts_second_factors_with_the_new_key(
    signed_in: Client, secret: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    codes = recovery_codes(signed_in)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another made-up key for tests, as after a change"
    run_steps()
    after = list(Authenticator.objects.order_by("pk").values())
    run_steps()
    assert list(Authenticator.objects.order_by("pk").values()) == after
    settings.SECRET_KEY_FALLBACKS = []
    first, second = Client(), Client()
    for client, code in ((first, code_of(secret)), (second, codes[0])):
        sign_in(client, "alice")
        enter(client, code)
        assert is_signed_in(client)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def change_password(client: Client, old: str, new: str) -> bool:
    form = {"oldpassword": old, "password1": new, "password2": new}
    return client.post(reverse("account_change_password"), form).status_code == 302


def test_eight_characters_are_enough_with_it_and_not_without(signed_in: Client, alice: User) -> None:
    assert not change_password(signed_in, PASSWORD, SHORT_PASSWORD)
    switch_second_factor_on(signed_in, alice)
    assert not change_password(signed_in, PASSWORD, "7 chars")
    assert change_password(signed_in, PASSWORD, SHORT_PASSWORD)


def test_with_a_short_password_it_stays_on(signed_in: Client, secret: str) -> None:
    change_password(signed_in, PASSWORD, SHORT_PASSWORD)
    page = signed_in.post(reverse("mfa_deactivate_totp"))
    assert page.context["form"].non_field_errors()
    assert Authenticator.objects.filter(type="totp").exists()
    change_password(signed_in, SHORT_PASSWORD, PASSWORD)
    signed_in.post(reverse("mfa_deactivate_totp"))
    assert not Authenticator.objects.exists()


def test_resetting_the_password_does_not_get_around_it(secret: str) -> None:
    client = Client()
    client.post(reverse("account_reset_password"), {"email": "alice@example.org"})
    link = re.search(r"http://testserver(/\S+/reset/\S+)", str(mail.outbox[-1].body))
    assert link
    form = client.get(link[1], follow=True).request["PATH_INFO"]
    answer = client.post(form, {"password1": PASSWORD + "!", "password2": PASSWORD + "!"})
    assert answer["Location"] == reverse("mfa_authenticate")
    assert not is_signed_in(client)


def test_a_token_needs_no_code(secret: str, alice_token: str) -> None:
    headers = {"Authorization": f"Bearer {alice_token}"}
    assert Client().get(reverse("api:voices"), headers=headers).status_code == 200
