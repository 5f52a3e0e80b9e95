from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import ApiToken
from apps.accounts.services import MAX_TOKENS, create_api_token
from tests.client import bearer, messages_of

if TYPE_CHECKING:
    from apps.accounts.models import User
    from tests.client import Page


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def create(client: Client, **changes: object) -> Page:
    form = {"name": "Kitchen speaker", "scopes": ["read", "talk"], "days": "90"} | changes
    return client.post(reverse("accounts:tokens"), form)


def secret_on(page: Page) -> str:
    found = re.findall(r"vc_[\w-]{43}", page.content.decode())
    assert len(found) == 1
    return str(found[0])


def test_the_secret_is_shown_once_and_works(signed_in: Client) -> None:
    page = create(signed_in)
    secret = secret_on(page)
    assert "no-store" in page["Cache-Control"]
    assert Client().get(reverse("api:voices"), headers=bearer(secret)).status_code == 200
    again = signed_in.get(reverse("accounts:tokens")).content.decode()
    assert "Kitchen speaker" in again
    assert secret not in again


def test_the_token_is_as_the_form_says(signed_in: Client, alice: User) -> None:
    create(signed_in, scopes=["voices"], days="30")
    token = ApiToken.objects.get()
    assert (token.owner, token.name, token.scopes) == (alice, "Kitchen speaker", ["voices"])
    assert token.expires_at
    assert timedelta(days=29) < token.expires_at - timezone.now() < timedelta(days=31)


def test_it_may_never_expire(signed_in: Client) -> None:
    create(signed_in, days="0")
    assert ApiToken.objects.get().expires_at is None


@pytest.mark.parametrize(
    "changes",
    [{"name": ""}, {"name": "x" * 61}, {"scopes": []}, {"scopes": ["everything"]}, {"days": "1000"}, {"days": ""}],
)
def test_an_invalid_form_creates_nothing(signed_in: Client, changes: dict[str, object]) -> None:
    page = create(signed_in, **changes)
    assert page.status_code == 422
    assert page.context["form"].errors.keys() == changes.keys()
    assert not ApiToken.objects.exists()


def test_a_copy_of_the_database_holds_no_usable_token(signed_in: Client) -> None:
    secret = secret_on(create(signed_in))
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - the names are our own
            assert secret not in str(cursor.fetchall()), table
    assert Client().get(reverse("api:voices"), headers=bearer(ApiToken.objects.get().digest)).status_code == 401


def test_revoking_asks_first_and_then_the_token_is_refused(signed_in: Client, alice: User) -> None:
    secret = create_api_token(owner=alice, name="old")
    path = reverse("accounts:revoke-token", args=[ApiToken.objects.get().pk])
    assert "old" in signed_in.get(path).content.decode()
    assert Client().get(reverse("api:voices"), headers=bearer(secret)).status_code == 200
    revoked = signed_in.post(path)
    assert revoked["Location"] == reverse("accounts:tokens")
    assert messages_of(revoked) == ["success"]
    assert Client().get(reverse("api:voices"), headers=bearer(secret)).status_code == 401
    assert list(signed_in.get(reverse("accounts:tokens")).context["tokens"]) == []
    assert signed_in.post(path).status_code == 404


def test_a_token_of_somebody_else_does_not_exist(signed_in: Client, bob: User, bob_token: str) -> None:
    path = reverse("accounts:revoke-token", args=[ApiToken.objects.get().pk])
    assert signed_in.get(path).status_code == signed_in.post(path).status_code == 404
    assert list(signed_in.get(reverse("accounts:tokens")).context["tokens"]) == []
    assert ApiToken.objects.get().revoked_at is None


@pytest.mark.parametrize("name", ["accounts:tokens", "accounts:profile"])
def test_the_pages_need_a_session(client: Client, db: None, name: str) -> None:
    for answer in (client.get(reverse(name)), client.post(reverse(name))):
        assert answer["Location"] == f"{reverse('account_login')}?next={reverse(name)}"


def test_there_is_a_maximum_number_of_tokens(signed_in: Client, alice: User) -> None:
    for number in range(MAX_TOKENS):
        create_api_token(owner=alice, name=str(number))
    page = create(signed_in)
    assert page.status_code == 422
    assert page.context["form"].non_field_errors()
    assert ApiToken.objects.count() == MAX_TOKENS


def test_an_expired_one_is_marked(signed_in: Client, alice: User) -> None:
    create_api_token(owner=alice, name="old", expires_at=timezone.now())
    assert "Expired" in signed_in.get(reverse("accounts:tokens")).content.decode()


def test_names_are_escaped(signed_in: Client) -> None:
    assert "<b>bold" not in create(signed_in, name="<b>bold</b>").content.decode()


def test_creating_revoking_and_failed_use_are_logged_without_the_secret(
    signed_in: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    secret = secret_on(create(signed_in))
    token = ApiToken.objects.get()
    signed_in.post(reverse("accounts:revoke-token", args=[token.pk]))
    Client().get(reverse("api:voices"), headers=bearer(secret))
    Client().get(reverse("api:voices"), headers=bearer("vc_made-up"))
    said = [(record.message, getattr(record, "token", None)) for record in caplog.records if "token" in record.message]
    assert said == [
        ("token_created", token.pk),
        ("token_revoked", token.pk),
        ("token_refused", token.pk),
        ("token_refused", None),
    ]
    assert "vc_" not in caplog.text + "".join(str(vars(record)) for record in caplog.records)
