"""People in the admin: what their pages show, and the actions on their accounts."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import ApiToken, User
from apps.conversations.models import Conversation
from apps.core.errors import UserError
from apps.privacy.models import ContentAccess, Erasure, Export
from apps.usage import limits, metering
from apps.usage.models import PersonLimits, UsageDay, UsageRecord
from tests.client import bearer
from tests.conftest import PASSWORD
from tests.factories import make_administrator, make_turn
from tests.voices.test_admin_voices import helper_without_content
from tests.worker import work

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.client import Page

__all__ = ["helper_without_content"]  # A fixture.

LIST = reverse("admin:accounts_user_changelist")


def page_of(user: User) -> str:
    return reverse("admin:accounts_user_change", args=[user.pk])


def act(client: Client, action: str, *users: User, **form: object) -> Page:
    selected = {"action": action, "_selected_action": [str(user.pk) for user in users]}
    return client.post(LIST, {**selected, **form}, follow=True)


class TestPage:
    def test_it_shows_voices_conversations_usage_tokens_and_sign_in(
        self, admin_client: Client, alice: User, conversation: Conversation, alice_token: str, settings: Settings
    ) -> None:
        settings.LIMITS, settings.LIMIT_REQUESTS_PER_DAY = True, 40
        UsageDay.objects.create(owner=alice, day=limits.day_of(timezone.now()), requests=7, cost_micros=2_500_000)
        browser = Client()
        browser.post(reverse("account_login"), {"login": "alice", "password": PASSWORD})
        browser.get(reverse("accounts:profile"), headers={"User-Agent": "Netscape 4"})
        make_turn(conversation)
        ApiToken.objects.update(expires_at=timezone.now() + timedelta(days=3))
        text = admin_client.get(page_of(alice)).content.decode()
        token = ApiToken.objects.get()
        for shown in ("7 of 40", "$2.50", "Jane", "tests", f"{token.pk}/change/", "Second factor", "active"):
            assert shown in text, shown
        assert UserSession.objects.get().ip in text
        assert alice_token not in text
        assert token.digest not in text
        assert reverse("admin:conversations_conversation_change", args=[conversation.pk]) in text

    def test_staff_see_only_what_they_may(self, alice: User, conversation: Conversation, alice_token: str) -> None:
        from django.contrib.auth.models import Permission

        staff = make_administrator(User.objects.create_user("desk", "desk@example.org"))
        staff.is_superuser = False
        staff.save()
        staff.user_permissions.set(Permission.objects.filter(codename="view_user"))
        client = Client()
        client.force_login(staff)
        text = client.get(page_of(alice)).content.decode()
        assert "Sign-in" in text
        for hidden in ("panel-voices", "panel-conversations", "panel-usage", "panel-tokens", "row-action"):
            assert hidden not in text, hidden

    def test_the_list_takes_as_many_queries_with_many_people(
        self, admin_client: Client, alice: User, conversation: Conversation, django_assert_num_queries: Any
    ) -> None:
        with CaptureQueriesContext(connection) as few:
            page = admin_client.get(LIST)
        (row,) = [each for each in page.context["cl"].result_list if each == alice]
        assert (row.voices_counted, row.conversations_counted) == (1, 1)
        for number in range(20):
            User.objects.create_user(f"person-{number}")
        with django_assert_num_queries(len(few)):
            admin_client.get(LIST)


class TestDeactivation:
    def test_it_asks_first_and_refuses_the_next_request(
        self, admin_client: Client, alice: User, alice_token: str, client: Client
    ) -> None:
        client.force_login(alice)
        assert "Nothing is deleted" in act(admin_client, "deactivate", alice).content.decode()
        assert client.get(reverse("accounts:profile")).status_code == 200
        act(admin_client, "deactivate", alice, confirmed="yes")
        assert client.get(reverse("accounts:profile")).status_code == 302
        assert client.get("/api/v1/voices", headers=bearer(alice_token)).status_code == 401
        act(admin_client, "activate", alice)
        assert client.get("/api/v1/voices", headers=bearer(alice_token)).status_code == 200
        entries = LogEntry.objects.order_by("pk").values_list("object_id", "object_repr", "change_message")
        pk = str(alice.pk)
        assert list(entries) == [(pk, pk, "Deactivated."), (pk, pk, "Activated.")]

    def test_nobody_blocks_themselves(self, admin_client: Client, admin_user: User, alice: User) -> None:
        text = act(admin_client, "deactivate", admin_user, alice, confirmed="yes").content.decode()
        assert "your own account" in text
        assert User.objects.filter(is_active=True).count() == 2
        assert not LogEntry.objects.exists()

    def test_an_account_that_is_being_erased_stays_blocked(self, admin_client: Client, alice: User) -> None:
        Erasure.objects.create(user=alice, due_at=timezone.now())
        User.objects.filter(pk=alice.pk).update(is_active=False)
        act(admin_client, "activate", alice)
        assert not User.objects.get(pk=alice.pk).is_active


class TestStaff:
    @pytest.fixture
    def desk(self, alice: User) -> Client:
        """Staff who may change accounts, but are no superusers."""
        from django.contrib.auth.models import Permission

        staff = make_administrator(User.objects.create_user("desk", "desk@example.org"))
        staff.is_superuser = False
        staff.save()
        codes = ["view_user", "change_user", "delete_user", "change_personlimits"]
        staff.user_permissions.set(Permission.objects.filter(codename__in=codes))
        client = Client()
        client.force_login(staff)
        return client

    def test_they_cannot_take_over_other_staff(self, desk: Client, admin_user: User) -> None:
        act(desk, "deactivate", admin_user, confirmed="yes")
        desk.post(page_of(admin_user), {"username": "taken"})
        password = reverse("admin:auth_user_password_change", args=[admin_user.pk])
        assert desk.get(password).status_code == 403
        assert (
            desk.post(reverse("admin:accounts_user_delete", args=[admin_user.pk]), {"post": "yes"}).status_code == 403
        )
        admin_user.refresh_from_db()
        assert (admin_user.username, admin_user.is_active) == ("root", True)

    def test_they_cannot_make_anybody_staff(self, desk: Client, alice: User) -> None:
        form = {"username": "alice", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
        joined = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
        assert desk.post(page_of(alice), {**form, **joined}).status_code == 302
        alice.refresh_from_db()
        assert (alice.is_staff, alice.is_superuser) == (False, False)

    def test_the_export_needs_the_permission_to_read_content(self, desk: Client, alice: User) -> None:
        act(desk, "export_data", alice, confirmed="yes")
        assert not Export.objects.exists()


class TestLimits:
    @pytest.fixture(autouse=True)
    def site_limits(self, settings: Settings) -> None:
        settings.LIMITS, settings.LIMIT_REQUESTS_PER_DAY = True, 1

    def requests_until_refused(self, user: User) -> int:
        for number in range(5):
            try:
                metering.settle(metering.reserve(owner_id=user.pk), kind=UsageRecord.Kind.TURN, used=metering.Used())
            except UserError:
                return number
        return 5

    @pytest.mark.parametrize(("own", "expected"), [("", 1), ("3", 3), ("0", 5)])
    def test_a_persons_own_limit_holds_instead_of_the_sites(
        self, admin_client: Client, alice: User, own: str, expected: int
    ) -> None:
        shown = act(admin_client, "change_limits", alice).content.decode()
        assert "that of the site (1)" in shown
        act(admin_client, "change_limits", alice, confirmed="yes", requests_per_day=own)
        assert self.requests_until_refused(alice) == expected
        assert PersonLimits.objects.exists() == bool(own)
        assert "Limits changed" in LogEntry.objects.get().change_message

    def test_the_form_begins_with_the_limits_of_the_person(self, admin_client: Client, alice: User) -> None:
        limits.set_limits(owner_id=alice.pk, heard_seconds_per_day=77)
        assert 'value="77"' in act(admin_client, "change_limits", alice).content.decode()

    def test_a_wrong_number_is_told_and_changes_nothing(self, admin_client: Client, alice: User) -> None:
        shown = act(admin_client, "change_limits", alice, confirmed="yes", concurrent_requests="-1").content.decode()
        assert "errorlist" in shown
        assert not PersonLimits.objects.exists()

    def test_the_other_limits_hold_too(self, alice: User, settings: Settings) -> None:
        settings.LIMIT_REQUESTS_PER_DAY = 0
        metering.reserve(owner_id=alice.pk, heard_seconds=5, characters=5)
        for name in ("heard_seconds_per_day", "spoken_characters_per_day", "concurrent_requests"):
            limits.set_limits(owner_id=alice.pk, **{**dict.fromkeys(limits.LIMIT_NAMES), name: 1})
            with pytest.raises(UserError):
                metering.reserve(owner_id=alice.pk)
        limits.set_limits(owner_id=alice.pk, **dict.fromkeys(limits.LIMIT_NAMES))
        assert not PersonLimits.objects.exists()
        metering.reserve(owner_id=alice.pk)


@pytest.mark.usefixtures("real_transactions")
def test_an_export_is_started_fetched_and_told_to_its_owner(
    admin_client: Client, admin_user: User, alice: User, mailoutbox: list[Any]
) -> None:
    assert "told by mail" in act(admin_client, "export_data", alice).content.decode()
    act(admin_client, "export_data", alice, confirmed="yes")
    work()
    export = Export.objects.get(owner=alice)
    assert mailoutbox[0].to == [alice.email]
    assert "Download" in admin_client.get(reverse("admin:privacy_export_change", args=[export.pk])).content.decode()
    answer: Any = admin_client.get(reverse("admin:privacy_export_download", args=[export.pk]))
    assert asyncio.run(anext_of(answer.streaming_content)).startswith(b"PK")
    access = ContentAccess.objects.get()
    assert (access.kind, access.owner, access.reader) == ("export", alice, admin_user)
    assert list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True)) == [
        "Export of all data started.",
        "Downloaded.",
    ]


async def anext_of(content: Any) -> bytes:
    return b"".join([part async for part in content])


def test_nobody_fetches_an_export_without_the_permission(helper_without_content: Client, alice: User) -> None:
    export = Export.objects.create(owner=alice, state="ready")
    assert helper_without_content.get(reverse("admin:privacy_export_download", args=[export.pk])).status_code == 403
    assert not ContentAccess.objects.exists()
