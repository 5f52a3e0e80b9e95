from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import ApiToken
from apps.accounts.services import create_api_token
from tests.client import bearer, error_of

if TYPE_CHECKING:
    from apps.accounts.models import User
    from tests.client import Page

FIELDS = {"id", "name", "scopes", "created_at", "expires_at", "last_used_at"}


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def create(client: Client, **body: object) -> Page:
    return client.post(reverse("api:tokens"), body, content_type="application/json")


def test_a_session_creates_one_and_sees_its_secret_once(signed_in: Client) -> None:
    created = create(signed_in, name="Kitchen speaker", scopes=["talk", "read"])
    assert created.status_code == 201
    assert created["Cache-Control"] == "no-store"
    body = created.json()
    assert body.keys() == FIELDS | {"token"}
    assert (body["name"], body["scopes"], body["expires_at"]) == ("Kitchen speaker", ["read", "talk"], None)
    assert Client().get(reverse("api:voices"), headers=bearer(body["token"])).status_code == 200
    listed = signed_in.get(reverse("api:tokens"))
    assert [row.keys() for row in listed.json()["results"]] == [FIELDS]
    assert body["token"] not in listed.content.decode()


def test_it_has_all_scopes_by_default_and_the_given_expiry(signed_in: Client) -> None:
    end = timezone.now() + timedelta(days=3)
    created = create(signed_in, name="x", expires_at=end.isoformat()).json()
    assert created["scopes"] == ["read", "talk", "voices", "webhooks"]
    assert ApiToken.objects.get().expires_at == end


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("scopes", []), ("scopes", ["all"]), ("expires_at", "2020-01-01T00:00:00Z"), ("expires_at", "soon")],
)
def test_it_refuses_invalid_values(signed_in: Client, field: str, value: object) -> None:
    refused = create(signed_in, **{"name": "x", field: value})
    assert refused.status_code == 400
    assert error_of(refused)["fields"].keys() == {field}
    assert not ApiToken.objects.exists()


def test_it_needs_the_csrf_token(alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert create(strict, name="x").status_code == 403


def test_a_session_revokes_any_token_of_its_user(signed_in: Client, alice_token: str) -> None:
    path = reverse("api:token", args=[ApiToken.objects.get().pk])
    assert signed_in.get(path).json()["name"] == "tests"
    assert signed_in.delete(path).status_code == 204
    assert signed_in.delete(path).status_code == 404
    assert Client().get(reverse("api:voices"), headers=bearer(alice_token)).status_code == 401


def test_a_token_revokes_itself_and_no_other(alice: User) -> None:
    mine, other = [create_api_token(owner=alice, name=name, scopes=["read"]) for name in ("mine", "other")]
    paths = {
        secret: reverse("api:token", args=[ApiToken.objects.with_secret(secret).get().pk]) for secret in (mine, other)
    }
    assert Client().delete(paths[other], headers=bearer(mine)).status_code == 404
    assert Client().delete(paths[mine], headers=bearer(mine)).status_code == 204
    assert Client().get(reverse("api:voices"), headers=bearer(mine)).status_code == 401
    assert Client().get(reverse("api:voices"), headers=bearer(other)).status_code == 200


def test_lists_are_paged_and_omit_revoked_tokens(signed_in: Client, alice: User, bob_token: str) -> None:
    for number in range(3):
        create_api_token(owner=alice, name=str(number))
    ApiToken.objects.filter(name="1").update(revoked_at=timezone.now())
    page = signed_in.get(reverse("api:tokens"), {"limit": 1}).json()
    assert [row["name"] for row in page["results"]] == ["2"]
    assert [row["name"] for row in signed_in.get(page["next"]).json()["results"]] == ["0"]
