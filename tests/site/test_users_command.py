"""`manage.py users`: limits of people, and the groups of staff."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command

from apps.accounts.models import User
from apps.core.content_access import may_read_content
from apps.privacy.staff_groups import REVIEWERS, SUPPORT
from apps.usage.limits import limits_of
from apps.usage.models import PersonLimits

if TYPE_CHECKING:
    from pytest_django import Settings


def run(*words: str) -> str:
    output = StringIO()
    call_command("users", *words, stdout=output)
    return output.getvalue()


def as_json(*words: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(run(*words, "--json"))
    return rows


class TestLimits:
    def test_they_are_set_and_shown(self, alice: User, settings: Settings) -> None:
        settings.LIMIT_HEARD_SECONDS_PER_DAY = 600
        (row,) = as_json("limits", "alice", "--requests", "50", "--characters=0")
        assert row == {
            "user": "alice",
            "requests_per_day": 50,
            "heard_seconds_per_day": 600,
            "spoken_characters_per_day": 0,
            "concurrent_requests": settings.LIMIT_CONCURRENT_REQUESTS,
            "own": "requests_per_day spoken_characters_per_day",
        }
        assert limits_of(alice.pk).requests_per_day == 50

    def test_one_option_leaves_the_others(self, alice: User) -> None:
        run("limits", "alice", "--requests", "50", "--concurrent", "2")
        run("limits", "ALICE@example.org", "--requests", "site")
        (row,) = as_json("limits", "alice")
        assert row["own"] == "concurrent_requests"
        run("limits", "alice", "--concurrent", "site")
        assert not PersonLimits.objects.exists()

    def test_the_list_has_the_site_and_those_who_have_their_own(self, alice: User, bob: User) -> None:
        run("limits", "bob", "--heard-seconds", "5")
        assert [row["user"] for row in as_json("limits")] == ["(site)", "bob"]
        assert "bob" in run("limits")
        assert "alice" not in run("limits")

    def test_mistakes_are_errors(self, alice: User) -> None:
        for words, message in [
            (["limits", "nobody"], "no user 'nobody'"),
            (["limits", "--requests", "5"], "Name the user"),
            (["limits", "alice", "--requests", "-1"], "--requests"),
            (["limits", "alice", "--requests", "many"], "--requests"),
            ([], "command"),
        ]:
            with pytest.raises(CommandError, match=message):
                run(*words)
        assert not PersonLimits.objects.exists()


class TestGroups:
    @pytest.fixture(autouse=True)
    def permissions(self, db: None) -> None:
        """Make the permissions, which a flush of the test database removes."""
        for config in apps.get_app_configs():
            create_permissions(config, verbosity=0)

    @pytest.mark.parametrize(("name", "reads"), [(SUPPORT, False), (REVIEWERS, True)])
    def test_one_reads_content_and_the_other_does_not(self, alice: User, name: str, *, reads: bool) -> None:
        run("groups")
        run("groups")
        alice.is_staff = True
        alice.save()
        alice.groups.add(Group.objects.get(name=name))
        staff = User.objects.get(pk=alice.pk)
        assert staff.has_perm("conversations.view_turn")
        assert may_read_content(staff) == staff.has_perm("voices.change_voiceprofile") == reads
        assert not staff.has_perm("mfa.view_authenticator")

    def test_it_prints_what_they_may(self) -> None:
        rows = as_json("groups")
        assert {"group": REVIEWERS, "permission": "privacy.read_content"} in rows
        assert {"group": SUPPORT, "permission": "privacy.read_content"} not in rows
