from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

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


def test_every_call_makes_another_one(alice: User) -> None:
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
