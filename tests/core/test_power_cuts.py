"""What a row names is on the disk before the row is committed, so that a power cut loses neither."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.db import connection

from apps.background.stray_files import named_files
from apps.conversations.marking import open_answer_mp3
from apps.conversations.reports import report_abuse
from apps.core.commits import FULL, without_waiting_for_the_disk
from apps.privacy.exports import build_export, start_export
from apps.privacy.models import Export
from apps.speech.local.voice_files import file_name, write_fields
from apps.speech.provenance.certificates import OWN_FILE, own_identity
from apps.speech.voice_folder import VoiceFolder
from tests.factories import make_turn

if TYPE_CHECKING:
    from apps.accounts.models import User

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs the names of open files")


class Journal:
    """What happened, in this order: paths that were written to the disk, and statements with their values."""

    def __init__(self) -> None:
        self.events: list[Path | str] = []

    def note_statement(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        self.events.append(f"{sql} {params}")
        return result

    def before(self, words: str) -> list[Path | str]:
        """Return what happened before the first statement with these words."""
        number = next(number for number, event in enumerate(self.events) if isinstance(event, str) and words in event)
        return self.events[:number]


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Journal:
    journal, fsync = Journal(), os.fsync

    def note(descriptor: int) -> None:
        fsync(descriptor)
        journal.events.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", note)
    return journal


def is_on_disk(path: Path, events: list[Path | str], *, up_to: Path) -> bool:
    """Whether a file was written to the disk, and after it its entry, and those of the folders that were new."""
    entries = [folder for folder in path.parents if folder.is_relative_to(up_to)]
    return path in events and path.parent in events[events.index(path) :] and set(entries) <= set(events)


@pytest.mark.django_db
def test_a_file_is_on_the_disk_before_its_row(journal: Journal, request: pytest.FixtureRequest) -> None:
    with connection.execute_wrapper(journal.note_statement):
        open_answer_mp3(turn=make_turn(request.getfixturevalue("conversation"))).close()
        report_abuse(address="192.0.2.1", text="It is my voice.", file=ContentFile(b"sound", name="sound.mp3"))
    names = set(named_files())
    assert {name.split("/")[0] for name in names} == {"answers", "consents", "questions", "reports", "samples"}
    media = Path(django_settings.MEDIA_ROOT)
    for name in names:
        assert is_on_disk(media / name, journal.before(name), up_to=media), name


@pytest.mark.django_db
def test_an_export_is_on_the_disk_before_it_is_ready(journal: Journal, alice: User) -> None:
    start_export(owner=alice)
    export = Export.objects.get()
    with connection.execute_wrapper(journal.note_statement):
        build_export.func(str(export.pk))
    export.refresh_from_db()
    media = Path(django_settings.MEDIA_ROOT)
    assert is_on_disk(Path(export.file.path), journal.before('"expires_at" ='), up_to=media / "exports")


def test_a_voice_cloned_here_is_on_the_disk(journal: Journal, tmp_path: Path) -> None:
    write_fields(VoiceFolder(tmp_path / "voices"), "local-1", "Jane", {"voice": np.zeros(3)})
    path = tmp_path / "voices" / file_name("local-1")
    assert path.with_suffix(".part") in journal.events
    assert journal.events[-1] == path.parent
    assert tmp_path in journal.events
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_key_that_signs_is_on_the_disk(journal: Journal, tmp_path: Path) -> None:
    own_identity(tmp_path / "marks")
    assert is_on_disk(tmp_path / "marks" / OWN_FILE, journal.events, up_to=tmp_path)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL syncs by itself")
def test_sqlite_syncs_at_every_commit() -> None:
    """The tests themselves switch it off, in a statement that they append."""
    statements = django_settings.DATABASES["default"]["OPTIONS"]["init_command"]
    modes = [word for word in statements.replace(" ", "").split(";") if "synchronous" in word]
    assert modes == ["PRAGMAsynchronous=FULL", "PRAGMAsynchronous=OFF"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL syncs by itself")
def test_a_commit_that_a_listener_waits_for_does_not_wait_for_the_disk() -> None:
    with connection.cursor() as cursor:

        def mode() -> int:
            (number,) = cursor.execute("PRAGMA synchronous").fetchone()
            return int(number)

        before = mode()
        cursor.execute("PRAGMA synchronous=FULL")
        with without_waiting_for_the_disk():
            assert mode() == FULL - 1
        assert mode() == FULL
        with suppress(ZeroDivisionError), without_waiting_for_the_disk():
            raise ZeroDivisionError
        assert mode() == FULL
        cursor.execute(f"PRAGMA synchronous={before}")
