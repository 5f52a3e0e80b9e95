"""Restores a backup into a site that is not running: recordings first, so that no row names a missing file."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.core.management import call_command

from apps.background.backups import databases
from apps.background.backups.archive import ArchiveReader, BackupError, Progress, open_archive
from apps.background.backups.saving import MARKS, MEDIA
from apps.background.stray_files import named_files
from apps.core.identity import STORAGE_FILE
from apps.core.storage import media, nearest_existing
from apps.speech import durable_files


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored; `missing` is the number of files that a row names and the backup does not contain."""

    made_at: str
    rows: int
    files: int
    missing: int


def restore(path: Path, marks: Path | None, progress: Progress, *, replace: bool) -> Restored:
    """Restore the database, all recordings and, if given, the marks, or nothing of them. Raises BackupError.

    With `replace`, the database may contain data, which is lost. Files stay, unless the backup contains them; later,
    `reconcile` deletes recordings without a row.
    """
    if not replace:
        _require_empty(with_marks=marks is not None)
    with ExitStack() as stack:
        if marks is not None:
            keys = stack.enter_context(open_archive(marks, progress))
            stack.enter_context(_folder_restored(keys, Path(settings.MARKS_DIR), MARKS))
        archive = stack.enter_context(open_archive(path, progress))
        files = _restore_site(archive)
    call_command("migrate", verbosity=0, interactive=False)
    rows = sum(archive.manifest["database"]["rows"].values())
    missing = sum(not media().exists(name) for name in named_files())
    return Restored(archive.manifest["made_at"], rows, files, missing)


def _restore_site(archive: ArchiveReader) -> int:
    databases.check_fits(archive)
    folder = media().folder
    # A store has no room for the copy of the database.
    copies = Path(tempfile.gettempdir()) if folder is None else folder
    _require_room(archive, copies, with_recordings=folder is not None)
    recordings = _objects_restored(archive) if folder is None else _folder_restored(archive, folder, MEDIA)
    with recordings as files:
        databases.load(archive, copies)
    return files


def _require_empty(*, with_marks: bool) -> None:
    if not databases.is_empty():
        raise BackupError("The database is not empty. With --force, all that it contains is replaced.")
    own = media().folder
    # The first start has written it.
    names = (file.name for file in media().files() if file.name != STORAGE_FILE)
    full = [str(own or settings.MEDIA_STORAGE)] if any(names) else []
    if with_marks and _has_files(Path(settings.MARKS_DIR)):
        full.append(str(settings.MARKS_DIR))
    if full:
        message = f"{full[0]} is not empty. With --force, the files of the backup are added, and replace others."
        raise BackupError(message)


def _has_files(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))


def _require_room(archive: ArchiveReader, folder: Path, *, with_recordings: bool) -> None:
    """Raise BackupError unless there is room for all files, and for the database twice: it is checked in a copy."""
    existing = nearest_existing(folder) or folder
    free = shutil.disk_usage(existing).free
    database = sum(member.size for name, member in archive.members.items() if not name.startswith(MEDIA))
    needed = 2 * database + (archive.size - database if with_recordings else 0)
    if free < needed:
        message = f"{needed // 1_000_000 + 1} MB are needed, and {free // 1_000_000} MB are free in {existing}."
        raise BackupError(message)


@contextmanager
def _folder_restored(archive: ArchiveReader, folder: Path, prefix: str) -> Iterator[int]:
    """Restore a folder, and yield the number of its files. Remove the new ones again if the block fails."""
    created: list[Path] = []
    names = [name for name in archive.members if name.startswith(prefix)]
    places = {name: _place_of(name.removeprefix(prefix), folder) for name in names}
    durable_files.make_folder(folder, mode=0o700)
    try:
        for name, place in places.items():
            _restore_file(archive, name, place, created)
        os.sync()  # Once: it takes much longer for each of many files.
        yield len(places)
    except BaseException:
        for place in created:
            place.unlink(missing_ok=True)
        raise


@contextmanager
def _objects_restored(archive: ArchiveReader) -> Iterator[int]:
    """Restore the recordings into a store, as `_folder_restored` does."""
    names = [name.removeprefix(MEDIA) for name in archive.members if name.startswith(MEDIA)]
    created = []
    try:
        for name in names:
            is_new = not media().exists(_safe(name))
            with media().writing(name) as target:
                archive.copy(MEDIA + name, target)
            if is_new:
                created.append(name)
        yield len(names)
    except BaseException:
        for name in created:
            media().delete(name)
        raise


def _safe(name: str) -> str:
    """Return the name of a member. Raises BackupError if it leads out of the storage."""
    _place_of(name, Path("/media"))
    return name


def _place_of(name: str, folder: Path) -> Path:
    """Return the path of a member in `folder`. Raises BackupError if the name leads out of it."""
    parts = PurePosixPath(name).parts
    place = folder.joinpath(*parts)
    is_safe = parts and ".." not in parts and not set(name) & set("\\:\0")
    if not is_safe or not place.resolve().is_relative_to(folder.resolve()):
        message = f"This backup contains a file outside of its folder: {name!r}. Nothing was restored."
        raise BackupError(message)
    return place


def _restore_file(archive: ArchiveReader, name: str, place: Path, created: list[Path]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f"{place.name}.part")
    try:
        with open(partial, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as target:
            archive.copy(name, target)
        if not place.exists():
            created.append(place)
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)
