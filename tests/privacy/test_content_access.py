"""The records of who of the staff read or listened to what a person said: for the person, and never for longer."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest
import time_machine
from django.core.files.storage import default_storage
from django.urls import reverse
from django.utils import timezone

from apps.core.content_access import Kind, may_read_content, record_access
from apps.privacy import accesses, erasures, exports
from apps.privacy.models import ContentAccess, Export
from tests.worker import work

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User


def read(reader: User, owner: User | int | None, object_id: object = 7, kind: str = Kind.ANSWER) -> None:
    record_access(reader=reader, owner=owner, kind=kind, object_id=object_id)


def test_the_parts_of_a_sound_are_one_listening(admin_user: User, alice: User) -> None:
    for minutes in (0, 2, 9, 12):
        with time_machine.travel(timezone.now() + timedelta(minutes=minutes), tick=False):
            read(admin_user, alice)
    assert ContentAccess.objects.count() == 2


def test_another_item_kind_or_reader_is_another_access(admin_user: User, alice: User, bob: User) -> None:
    read(admin_user, alice)
    read(admin_user, alice.pk, 8)
    read(admin_user, alice, kind="question")
    read(bob, alice)
    assert ContentAccess.objects.for_user(alice).count() == 4


def test_what_has_no_owner_or_is_ones_own_is_not_recorded(admin_user: User) -> None:
    read(admin_user, None)
    read(admin_user, admin_user)
    assert not ContentAccess.objects.exists()


def test_an_unknown_kind_is_an_error(admin_user: User, alice: User) -> None:
    with pytest.raises(ValueError, match="diary"):
        read(admin_user, alice, kind="diary")


def test_only_staff_with_the_permission_may_read(admin_user: User, alice: User) -> None:
    assert may_read_content(admin_user)
    assert not may_read_content(alice)
    admin_user.is_staff = False
    assert not may_read_content(admin_user)


def test_records_are_deleted_after_a_year(admin_user: User, alice: User, client: Client) -> None:
    read(admin_user, alice)
    for after, left in [(accesses.ACCESS_RETENTION, 1), (accesses.ACCESS_RETENTION + timedelta(seconds=1), 0)]:
        with time_machine.travel(ContentAccess.objects.get().created_at + after, tick=False):
            accesses.delete_old()
        assert ContentAccess.objects.count() == left
    assert f"{accesses.ACCESS_RETENTION.days} days" in client.get(reverse("privacy")).content.decode()


@pytest.mark.usefixtures("real_transactions")
class TestOwner:
    def test_the_export_names_the_reader(self, admin_user: User, alice: User, bob: User) -> None:
        read(admin_user, alice)
        read(admin_user, bob)
        (row,) = self.exported(alice)
        assert (row["reader_name"], row["kind"], row["object_id"]) == ("root", "answer", "7")
        assert row["created_at"]
        assert "reader" not in row

    def test_after_the_erasure_of_the_reader_the_record_stays_without_a_name(
        self, admin_user: User, alice: User, settings: Settings
    ) -> None:
        read(admin_user, alice)
        self.erase(admin_user, settings)
        (row,) = self.exported(alice)
        assert (row["reader_name"], row["object_id"]) == ("", "7")

    def test_it_is_erased_with_the_owner(self, admin_user: User, alice: User, settings: Settings) -> None:
        read(admin_user, alice)
        self.erase(alice, settings)
        assert not ContentAccess.objects.exists()

    @staticmethod
    def exported(owner: User) -> list[dict[str, Any]]:
        exports.start_export(owner=owner)
        work()
        content = Path(default_storage.path(str(Export.objects.get(owner=owner).file.name))).read_bytes()
        with ZipFile(io.BytesIO(content)) as archive:
            rows: list[dict[str, Any]] = json.loads(archive.read("content-accesses.json"))
        return rows

    @staticmethod
    def erase(user: User, settings: Settings) -> None:
        settings.ERASURE_COOLING_OFF_DAYS = 0
        erasures.request_erasure(user=user)
        work()
        assert not type(user).objects.filter(pk=user.pk).exists()
