from __future__ import annotations

import re
from datetime import timedelta
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import ApiToken
from tests.client import bearer

if TYPE_CHECKING:
    from django.test import Client

    from apps.accounts.models import User


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("create_api_token", *arguments, stdout=output, stderr=output)
    return output.getvalue()


def test_it_prints_a_token_that_works_and_nothing_else(client: Client, alice: User) -> None:
    printed = run("alice")
    assert re.fullmatch(r"vc_[\w-]{43}\n", printed)
    assert client.get(reverse("api:voices"), headers=bearer(printed.strip())).status_code == 200


def test_the_token_belongs_to_the_user_under_the_given_name(alice: User, bob: User) -> None:
    run("bob", "--name", "my laptop")
    token = ApiToken.objects.get()
    assert (token.owner, token.name) == (bob, "my laptop")


def test_every_call_creates_another_token(alice: User) -> None:
    assert run("alice") != run("alice")


def test_it_refuses_an_unknown_user(alice: User) -> None:
    with pytest.raises(CommandError, match="nobody"):
        run("nobody")


def test_it_refuses_a_deactivated_user(alice: User) -> None:
    alice.is_active = False
    alice.save()
    with pytest.raises(CommandError, match="alice"):
        run("alice")
    assert not ApiToken.objects.exists()


def test_without_options_it_has_all_scopes_and_never_expires(alice: User) -> None:
    run("alice")
    token = ApiToken.objects.get()
    assert (token.scopes, token.expires_at) == (["read", "talk", "voices", "webhooks"], None)


def test_options_set_scopes_and_expiry(alice: User) -> None:
    run("alice", "--scope", "read", "--scope", "talk", "--expires-days", "2")
    token = ApiToken.objects.get()
    assert token.scopes == ["read", "talk"]
    assert token.expires_at
    assert timedelta(days=1) < token.expires_at - timezone.now() <= timedelta(days=2)


@pytest.mark.parametrize("options", [["--scope", "all"], ["--expires-days", "soon"], ["--expires-days", "0"]])
def test_it_refuses_invalid_options(alice: User, options: list[str]) -> None:
    with pytest.raises(CommandError):
        run("alice", *options)
    assert not ApiToken.objects.exists()
