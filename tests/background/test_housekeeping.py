"""The housekeeping of the worker: a step that fails does not stop the others."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from allauth.usersessions.models import UserSession
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Session
from apps.background import housekeeping
from apps.privacy.models import Erasure, Export
from tests.accounts.steps import sign_in

if TYPE_CHECKING:
    from apps.accounts.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def undeletable_export(alice: User) -> Export:
    """An expired export whose file cannot be deleted: a folder with something in it stands in its place."""
    name = f"exports/{alice.pk}/0123456789abcdef0123456789abcdef.zip"
    Path(default_storage.path(name), "occupied").mkdir(parents=True)
    long_ago = timezone.now() - timedelta(days=2)
    return Export.objects.create(owner=alice, state=Export.State.READY, file=name, expires_at=long_ago)


def due_erasure(user: User) -> Erasure:
    long_ago = timezone.now() - timedelta(days=1)
    return Erasure.objects.create(user=user, due_at=long_ago, next_try_at=long_ago)


def test_a_failed_step_is_logged_and_does_not_stop_the_others(
    undeletable_export: Export, bob: User, caplog: pytest.LogCaptureFixture
) -> None:
    erasure = due_erasure(bob)
    housekeeping.run_steps()
    erasure.refresh_from_db()
    assert erasure.state == Erasure.State.RUNNING
    assert Export.objects.filter(pk=undeletable_export.pk).exists()
    (failure,) = [record for record in caplog.records if record.message == "A step of the housekeeping failed"]
    assert failure.__dict__["step"] == "apps.privacy.exports.delete_expired"
    assert failure.exc_info is not None
    assert isinstance(failure.exc_info[1], OSError)


def test_a_failed_step_runs_again_the_next_time(undeletable_export: Export) -> None:
    housekeeping.run_steps()
    folder = Path(default_storage.path(undeletable_export.file.name or ""))
    (folder / "occupied").rmdir()
    folder.rmdir()
    housekeeping.run_steps()
    assert not Export.objects.filter(pk=undeletable_export.pk).exists()


def test_expired_sessions_and_their_devices_are_forgotten(alice: User, bob: User) -> None:
    for user in (alice, bob):
        sign_in(Client(), user.username)
    Session.objects.filter(user_id=alice.pk).update(expire_date=timezone.now() - timedelta(seconds=1))
    housekeeping.run_steps()
    assert [session.user_id for session in Session.objects.all()] == [bob.pk]
    assert [device.user for device in UserSession.objects.all()] == [bob]
