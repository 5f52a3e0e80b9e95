"""`manage.py repeat_deletions`: what was deleted after a backup is deleted again after its restore."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest
from django.core.management import call_command
from django.db import connection
from pythonjsonlogger.json import JsonFormatter

from apps.accounts.models import User
from apps.conversations.models import Conversation, Share
from apps.conversations.services import delete_conversation
from apps.conversations.shares import create_share, revoke_share
from apps.privacy.erasures import cancel_erasure, request_erasure
from apps.privacy.models import Erasure
from apps.voices.consent import withdraw_consent
from apps.voices.deletion import delete_voice
from apps.voices.models import VoiceProfile
from apps.voices.suspension import end_suspension, suspend_voice
from tests.factories import make_consent, make_turn, make_voice
from tests.privacy.erasing import run_due
from voiceclone.logging_config import logging_config

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.fakes.provider import FakeProvider

pytestmark = [
    pytest.mark.usefixtures("real_transactions"),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="restores, and needs no other database for it"),
]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """The log as a server writes it."""
    options = logging_config(audit_log="", release="")["formatters"]["json"]
    handler = logging.FileHandler(tmp_path / "site.log")
    handler.setFormatter(JsonFormatter(options["format"], style="{", rename_fields=options["rename_fields"]))
    logging.getLogger().addHandler(handler)
    yield tmp_path / "site.log"
    logging.getLogger().removeHandler(handler)
    handler.close()


def person(name: str) -> User:
    return User.objects.create_user(name, f"{name}@example.org")


def repeat(*arguments: object) -> list[str]:
    output = StringIO()
    call_command("repeat_deletions", *map(str, arguments), stdout=output)
    return output.getvalue().splitlines()


def test_all_that_was_deleted_is_deleted_again_and_nothing_else(
    alice: User, remote_engines: FakeProvider, log: Path, tmp_path: Path, settings: Settings
) -> None:
    kept, deleted, suspended, freed = (make_voice(alice, remote_engines.add_voice("Jane")) for _number in range(4))
    conversations = [Conversation.objects.create(owner=alice, voice=kept) for _number in range(2)]
    turns = [make_turn(conversation) for conversation in conversations]
    still_shared, revoked = (create_share(turn=turns[0])[0] for _number in range(2))
    bob, carol, dave, erin = map(person, ("bob", "carol", "dave", "erin"))
    consent = make_consent(bob)
    call_command("backup", str(tmp_path / "backup.zip"), stdout=StringIO())

    delete_voice(voice=deleted)
    suspend_voice(voice=suspended)
    suspend_voice(voice=freed)
    end_suspension(voice=freed)
    delete_conversation(conversation=conversations[1])
    revoke_share(share=revoked)
    withdraw_consent(consent=consent)
    cancel_erasure(erasure=request_erasure(user=dave))
    request_erasure(user=erin)
    settings.ERASURE_COOLING_OFF_DAYS = 0
    request_erasure(user=carol)
    run_due()
    settings.ERASURE_COOLING_OFF_DAYS = 7
    assert not User.objects.filter(username="carol").exists()

    call_command("restore", str(tmp_path / "backup.zip"), "--force", stdout=StringIO())
    assert User.objects.filter(username="carol").exists()
    with ZipFile(tmp_path / "backup.zip") as archive:
        since = next(line for line in archive.read("manifest.json").decode().splitlines() if "made_at" in line)
    arguments = (log, "--since", since.split('"')[3])
    planned = repeat(*arguments, "--dry-run")
    assert [line.split(" ", 2)[2].split(":")[0] for line in planned[:-1]] == [
        "Voice deleted",
        "Voice suspended",
        "Conversation deleted",
        "A shared link was revoked",
        "A consent was withdrawn",
        "Erasure requested",
        "Erasure requested",
    ]
    assert planned[-1] == "7 to do."
    assert repeat(*arguments) == [*planned[:-1], "7 repeated."]
    run_due()
    states = dict(VoiceProfile.objects.filter(owner=alice).values_list("pk", "suspended_by"))
    assert states == {kept.pk: "", suspended.pk: "operator", freed.pk: ""}
    assert [*Conversation.objects.all()] == conversations[:1]
    assert [*Share.objects.all()] == [still_shared]
    consent.refresh_from_db()
    assert not consent.is_valid
    assert set(User.objects.values_list("username", "is_active")) == {
        ("alice", True),
        ("bob", True),
        ("dave", True),
        ("erin", False),
    }
    assert Erasure.objects.get(user=erin).state == Erasure.State.WAITING
    assert repeat(*arguments) == ["0 repeated."]


def test_lines_of_other_programs_and_of_earlier_times_are_passed_over(alice: User, log: Path) -> None:
    request_erasure(user=alice)
    Erasure.objects.all().delete()
    log.write_text("Started.\n{half\n[]\n" + "Nov 29 host voiceclone: " + log.read_text())
    assert repeat(log, "--since", "2999-01-01T00:00:00+00:00") == ["0 repeated."]
    assert repeat(log, "--since", "2020-01-01T00:00:00+00:00", "--dry-run")[-1] == "1 to do."
