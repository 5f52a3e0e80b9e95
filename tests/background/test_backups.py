"""`manage.py backup` and `manage.py restore`."""

from __future__ import annotations

import json
import resource
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zipfile import ZipFile

import pytest
from django.core.management import CommandError, call_command
from django.core.serializers import serialize
from django.db import connection

from apps.accounts.models import User
from apps.conversations.models import Conversation, Turn
from apps.core.storage import media
from apps.speech.provenance.certificates import OWN_FILE, own_identity
from apps.voices.models import Consent, VoiceProfile, VoiceSample
from tests.client import Api, wait_until
from tests.factories import make_turn, make_voice
from tests.fakes.object_store import ObjectStore
from tests.fakes.provider import FakeProvider
from tests.processes import manage, remote, running_site, site_environment
from tests.storage import stored_files

if TYPE_CHECKING:
    from pytest_django import Settings

OWN_MODELS = (User, Conversation, Turn, Consent, VoiceProfile, VoiceSample)
TURNS = "SELECT id, status, transcript, reply, question, answer FROM conversations_turn WHERE status = 'spoken'"
needs_dump = pytest.mark.skipif(
    connection.vendor == "postgresql" and shutil.which("pg_dump") is None, reason="pg_dump is not installed"
)


def run(*arguments: object) -> str:
    output = StringIO()
    call_command(*map(str, arguments), stdout=output)
    return output.getvalue()


def refusal_of(*arguments: object) -> str:
    with pytest.raises(CommandError) as refusal:
        run(*arguments)
    return str(refusal.value)


def rows() -> list[Any]:
    return [json.loads(serialize("json", model._base_manager.order_by("pk"))) for model in OWN_MODELS]


def files() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in stored_files()}


@pytest.fixture
def site(transactional_db: None, alice: User, settings: Settings) -> None:
    """Alice, her voice, a turn with its recordings, and a voice that was cloned here."""
    voice = make_voice(alice, "some-voice")
    make_turn(Conversation.objects.create(owner=alice, voice=voice))
    own = Path(settings.MEDIA_ROOT, "local-voices", "local-1.npz")
    own.parent.mkdir()
    own.write_bytes(b"voice")
    own.with_suffix(".part").write_bytes(b"half of a voice")


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes: the system refuses it as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def lose_everything() -> None:
    call_command("flush", interactive=False, verbosity=0)
    for path in stored_files():
        path.unlink()


@pytest.fixture
def backup(site: None, tmp_path: Path) -> Path:
    """A backup of the site, which has lost everything since."""
    path = tmp_path / "backup.zip"
    run("backup", path)
    lose_everything()
    return path


@pytest.fixture
def change(backup: Path) -> Callable[[Callable[[dict[str, bytes]], None]], None]:
    """A function that changes the members of the backup."""

    def change(work: Callable[[dict[str, bytes]], None]) -> None:
        with ZipFile(backup) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        work(members)
        with ZipFile(backup, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)

    return change


def change_manifest(members: dict[str, bytes], work: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads(members["manifest.json"])
    work(manifest)
    members["manifest.json"] = json.dumps(manifest).encode()


def nothing_is_restored() -> bool:
    return not stored_files() and not User.objects.exists()


@needs_dump
def test_what_is_restored_is_what_was_stored(site: None, settings: Settings, tmp_path: Path) -> None:
    path, before, recordings = tmp_path / "backup.zip", rows(), files()
    printed = run("backup", path)
    assert f"{len(recordings) - 1} files" in printed
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    lose_everything()
    printed = run("restore", path)
    assert "docs/privacy.md" in printed
    assert "not in the backup" not in printed
    assert rows() == before
    del recordings[Path(settings.MEDIA_ROOT, "local-voices", "local-1.part")]
    assert files() == recordings
    assert {path.stat().st_mode & 0o777 for path in recordings} == {0o600}


@needs_dump
def test_a_backup_of_an_object_store_is_restored_into_one(
    bucket: ObjectStore, transactional_db: None, alice: User, tmp_path: Path
) -> None:
    make_turn(Conversation.objects.create(owner=alice, voice=make_voice(alice, "some-voice")))
    before, recordings = rows(), [file.name for file in media().files()]
    path = tmp_path / "backup.zip"
    assert f"{len(recordings)} files" in run("backup", path)
    assert "--force" in refusal_of("restore", path)
    call_command("flush", interactive=False, verbosity=0)
    assert "--force" in refusal_of("restore", path)
    for name in recordings:
        media().delete(name)
    with ZipFile(path) as archive:
        damaged = {name: archive.read(name) for name in archive.namelist()}
    damaged[f"media/{recordings[-1]}"] = b"damaged"
    with ZipFile(tmp_path / "damaged.zip", "w") as archive:
        for name, data in damaged.items():
            archive.writestr(name, data)
    assert "damaged" in refusal_of("restore", tmp_path / "damaged.zip")
    assert not list(media().files())
    assert "not in the backup" not in run("restore", path)
    assert rows() == before
    assert [file.name for file in media().files()] == recordings
    assert not stored_files()


@needs_dump
def test_a_recording_that_vanished_is_counted(site: None, tmp_path: Path) -> None:
    Path(Turn.objects.get().answer.path).unlink()
    run("backup", tmp_path / "backup.zip")
    lose_everything()
    assert "1 files that rows name were not in the backup." in run("restore", tmp_path / "backup.zip")


@needs_dump
class TestRefusals:
    def test_a_backup_overwrites_nothing(self, backup: Path) -> None:
        assert "exists already" in refusal_of("backup", backup)

    def test_a_backup_is_not_part_of_itself(self, site: None, settings: Settings) -> None:
        assert "outside" in refusal_of("backup", Path(settings.MEDIA_ROOT, "backup.zip"))

    @pytest.mark.parametrize("most_bytes", [100_000, 3_000_000])
    def test_a_full_disk_leaves_no_half_of_a_backup(
        self, site: None, tmp_path: Path, settings: Settings, most_bytes: int
    ) -> None:
        """The smaller size is too little for the database, the larger one for the recordings."""
        Path(settings.MEDIA_ROOT, "long.flac").write_bytes(bytes(4_000_000))
        with files_of_at_most(most_bytes):
            refusal_of("backup", tmp_path / "backup.zip")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("most_bytes", [100_000, *([600_000] if connection.vendor == "sqlite" else [])])
    def test_a_full_disk_leaves_no_half_of_a_site(self, backup: Path, most_bytes: int) -> None:
        """The smaller size is too little for the recordings, the larger one for SQLite's database."""
        with files_of_at_most(most_bytes):
            refusal_of("restore", backup)
        assert nothing_is_restored()

    def test_data_is_replaced_only_on_request(self, backup: Path) -> None:
        bob = User.objects.create_user("bob", "bob@example.org")
        assert "--force" in refusal_of("restore", backup)
        assert not stored_files()
        run("restore", backup, "--force")
        assert not User.objects.filter(username=bob.username).exists()
        assert stored_files()

    def test_recordings_are_added_to_others_only_on_request(self, backup: Path, settings: Settings) -> None:
        other = Path(settings.MEDIA_ROOT, "other.flac")
        other.write_bytes(b"sound")
        assert "--force" in refusal_of("restore", backup)
        assert stored_files() == [other]
        run("restore", backup, "--force")
        assert len(stored_files()) > 1

    @pytest.mark.parametrize("kind", ["media/", "database."])
    def test_a_damaged_backup_restores_nothing(self, backup: Path, change: Callable[..., None], kind: str) -> None:
        def damage(members: dict[str, bytes]) -> None:
            name = max(name for name in members if name.startswith(kind))
            members[name] = members[name][:-1] + bytes([members[name][-1] ^ 1])

        change(damage)
        assert "damaged" in refusal_of("restore", backup)
        assert nothing_is_restored()

    def test_a_backup_without_a_file_restores_nothing(self, backup: Path, change: Callable[..., None]) -> None:
        change(lambda members: members.pop(max(name for name in members if name.startswith("media/"))))
        assert "damaged" in refusal_of("restore", backup)
        assert nothing_is_restored()

    def test_half_a_backup_restores_nothing(self, backup: Path) -> None:
        backup.write_bytes(backup.read_bytes()[:-100])
        assert "incomplete" in refusal_of("restore", backup)
        assert nothing_is_restored()

    @pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside", "a\\..\\outside", "link/outside"])
    def test_nothing_is_written_outside_of_the_folder(
        self, backup: Path, change: Callable[..., None], name: str, settings: Settings, tmp_path: Path
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        Path(settings.MEDIA_ROOT, "link").symlink_to(elsewhere)

        def lead_out(members: dict[str, bytes]) -> None:
            sample = max(member for member in members if member.startswith("media/"))
            members[f"media/{name}"] = members[sample]
            change_manifest(
                members, lambda manifest: manifest["members"].update({f"media/{name}": manifest["members"][sample]})
            )

        change(lead_out)
        assert "outside" in refusal_of("restore", backup)
        assert nothing_is_restored()
        assert not list(elsewhere.iterdir())

    def test_another_database_is_named(self, backup: Path, change: Callable[..., None]) -> None:
        change(lambda members: change_manifest(members, lambda manifest: manifest["database"].update(vendor="oracle")))
        assert "oracle" in refusal_of("restore", backup)
        assert nothing_is_restored()

    def test_a_newer_version_is_named(self, backup: Path, change: Callable[..., None]) -> None:
        def from_the_future(manifest: dict[str, Any]) -> None:
            manifest["version"] = "9.0"
            manifest["database"]["migrations"].append("voices.0009_future")

        change(lambda members: change_manifest(members, from_the_future))
        message = refusal_of("restore", backup)
        assert "9.0" in message
        assert "voices.0009_future" in message
        assert nothing_is_restored()

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="with SQLite, the whole file is replaced")
    def test_tables_of_a_newer_version_are_named(self, backup: Path) -> None:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE future ()")
        try:
            assert "future" in refusal_of("restore", backup)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("DROP TABLE future")
        assert nothing_is_restored()

    def test_a_restore_needs_room(self, backup: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        room = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: room._replace(free=1000))
        assert "MB are needed" in refusal_of("restore", backup)
        assert nothing_is_restored()


@needs_dump
def test_the_marks_are_a_file_of_their_own(site: None, settings: Settings, tmp_path: Path) -> None:
    settings.MARKS_DIR = tmp_path / "marks"
    identity = own_identity(settings.MARKS_DIR)
    backup, marks = tmp_path / "backup.zip", tmp_path / "marks.zip"
    run("backup", backup, "--marks", marks)
    assert identity.key not in b"".join(map(ZipFile(backup).read, ZipFile(backup).namelist()))
    assert marks.stat().st_mode & 0o777 == 0o600
    lose_everything()
    shutil.rmtree(settings.MARKS_DIR)
    run("restore", backup, "--marks", marks)
    assert own_identity(settings.MARKS_DIR) == identity
    assert (settings.MARKS_DIR / OWN_FILE).stat().st_mode & 0o777 == 0o600
    lose_everything()
    assert str(settings.MARKS_DIR) in refusal_of("restore", backup, "--marks", marks)
    assert nothing_is_restored()


def test_a_busy_site_is_restored_into_an_empty_folder_and_talks(tmp_path: Path, provider: FakeProvider) -> None:
    busy, empty = tmp_path / "busy", tmp_path / "empty"
    backup, marks = str(tmp_path / "backup.zip"), str(tmp_path / "marks.zip")
    busy.mkdir()
    empty.mkdir()
    server = ["uvicorn", "voiceclone.asgi:application"]
    with running_site(server, busy, **remote(provider)) as site:
        conversation, token = site.add_conversation(provider.add_voice("Jane"))
        done = threading.Event()
        people = [threading.Thread(target=_talk, args=[site.url, token, conversation, done]) for _number in range(3)]
        for person in people:
            person.start()
        wait_until(lambda: len(site.rows(TURNS)) > 5)
        before = site.rows(TURNS)
        site.manage("backup", backup, "--marks", marks)
        done.set()
        for person in people:
            person.join()
        assert len(site.rows(TURNS)) > len(before)
    manage(site_environment(empty), "restore", backup, "--marks", marks)
    with running_site(server, empty, **remote(provider)) as site, Api(site.url, token) as api:
        assert set(before) <= set(site.rows(TURNS))
        for turn, *_fields in site.rows(TURNS):
            for recording in ("audio", "question"):
                assert api.get(f"/api/v1/turns/{UUID(turn)}/{recording}").status_code == 200
        turn = api.ask(conversation).json()
        assert (turn["status"], turn["has_answer"]) == ("spoken", True)


def _talk(url: str, token: str, conversation: str, done: threading.Event) -> None:
    with Api(url, token) as api:
        while not done.is_set():
            api.ask(conversation)
