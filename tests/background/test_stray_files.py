"""Files of recordings that no row points to."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import time_machine
from django.core.files.base import ContentFile
from django.utils import timezone

from apps.background.reconciling import planned, reconcile
from apps.background.stray_files import SAFE_AGE
from apps.conversations.marking import open_answer_mp3
from apps.conversations.reports import report_abuse
from apps.core.storage import media
from apps.privacy.exports import build_export, start_export
from apps.privacy.models import Export
from tests.factories import make_consent, make_turn
from tests.fakes.object_store import ObjectStore, client_of
from tests.storage import stored_files

if TYPE_CHECKING:
    from pytest_django import Settings

    from apps.accounts.models import User
    from apps.conversations.models import Conversation

OLD = SAFE_AGE + timedelta(minutes=1)


def make_old(*paths: Path) -> None:
    for path in paths:
        os.utime(path, (time.time() - OLD.total_seconds(),) * 2)


def stray_file(settings: Settings, name: str) -> Path:
    path = Path(settings.MEDIA_ROOT, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"sound")
    make_old(path)
    return path


@pytest.fixture
def kept(settings: Settings, alice: User, conversation: Conversation) -> set[Path]:
    """Old files of every kind, each with its row: sample, consent, question, answers, report, export."""
    make_consent(alice)
    open_answer_mp3(turn=make_turn(conversation)).close()
    report_abuse(address="192.0.2.1", text="It is my voice.", file=ContentFile(b"sound", name="sound.mp3"))
    start_export(owner=alice)
    build_export.func(str(Export.objects.get().pk))
    files = set(stored_files())
    assert {path.relative_to(settings.MEDIA_ROOT).parts[0] for path in files} == {
        "answers",
        "consents",
        "exports",
        "questions",
        "reports",
        "samples",
    }
    make_old(*files)
    return files


def test_files_without_rows_are_listed_and_deleted_and_all_others_stay(settings: Settings, kept: set[Path]) -> None:
    names = [f"{folder}/1/{uuid4().hex}.flac" for folder in ("samples", "consents", "questions", "answers")]
    stray = {stray_file(settings, name) for name in names}
    lines = [f"File {name}: delete it, since no row points to it" for name in sorted(names)]
    assert sorted(map(str, planned())) == lines
    assert set(stored_files()) == kept | stray
    assert [outcome for _repair, outcome in reconcile()] == ["done"] * len(stray)
    assert set(stored_files()) == kept
    assert not list(planned())


def test_a_new_file_stays_because_its_row_may_follow(settings: Settings, kept: set[Path]) -> None:
    path = stray_file(settings, f"questions/1/{uuid4().hex}.flac")
    path.touch()
    assert not list(planned())


def test_files_with_other_names_stay(settings: Settings, kept: set[Path]) -> None:
    for name in ("README.txt", "local-voices/local-0123456789abcdef0123456789abcdef.npz", f"questions/{uuid4()}.flac"):
        stray_file(settings, name)
    assert not list(planned())


def test_with_the_wrong_database_nothing_is_deleted(settings: Settings, conversation: Conversation) -> None:
    stray = {stray_file(settings, f"questions/1/{uuid4().hex}.flac") for _number in range(3)}
    assert not list(reconcile())
    assert stray <= set(stored_files())


def test_the_files_are_searched_only_on_request(settings: Settings, kept: set[Path]) -> None:
    stray_file(settings, f"questions/1/{uuid4().hex}.flac")
    assert not list(reconcile(with_files=False))
    assert list(planned())


def test_in_an_object_store(bucket: ObjectStore, conversation: Conversation) -> None:
    turn = make_turn(conversation)
    names = {str(turn.question.name), str(turn.answer.name)}
    stray = f"questions/1/{uuid4().hex}.flac"
    media().save(stray, ContentFile(b"sound"))
    assert not list(planned())
    begun = {"Bucket": bucket.bucket, "Key": "media/exports/1/begun.zip"}
    client_of(media()).create_multipart_upload(**begun)  # type: ignore[arg-type]
    with time_machine.travel(timezone.now() + OLD, tick=False):
        found = {str(repair) for repair in planned()}
        outcomes = [outcome for _repair, outcome in reconcile()]
    assert found == {
        f"File {stray}: delete it, since no row points to it",
        "File exports/1/begun.zip: delete its parts, since it was never finished",
    }
    assert outcomes == ["done", "done"]
    assert names <= {file.name for file in media().files()}
    assert stray not in {file.name for file in media().files()}
    assert not list(media().unfinished())
