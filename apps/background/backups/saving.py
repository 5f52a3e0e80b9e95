"""Makes a backup while the site works.

The database comes first: each row in it names a file that is already stored. Recordings that are deleted while the
backup runs are missing in it, and recordings that are stored meanwhile are in it without a row.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from apps.background.backups import databases
from apps.background.backups.archive import ArchiveWriter, BackupError, Progress, new_archive
from apps.core.storage import media

MEDIA = "media/"
MARKS = "marks/"


def back_up(path: Path, progress: Progress) -> dict[str, int]:
    """Store the database and all recordings in `path`; return the numbers of rows and files. Raises BackupError."""
    folder = media().folder
    if folder is not None:
        _require_outside(path, folder)
    with new_archive(path, progress) as archive:
        archive.details = _about()
        databases.save(archive, path.parent)
        _add_recordings(archive)
    return {"rows": sum(archive.details["database"]["rows"].values()), "files": len(archive.members) - 1}


def back_up_marks(path: Path, progress: Progress) -> int:
    """Store the key and the certificates that sign answers; return the number of files. Raises BackupError."""
    folder = Path(settings.MARKS_DIR)
    _require_outside(path, folder)
    with new_archive(path, progress) as archive:
        archive.details = _about()
        _add_folder(archive, folder, MARKS)
    return len(archive.members)


def _require_outside(path: Path, folder: Path) -> None:
    if path.resolve().is_relative_to(folder.resolve()):
        message = f"Choose a file outside of {folder}, which is backed up."
        raise BackupError(message)


def _about() -> dict[str, Any]:
    return {"version": settings.VERSION, "made_at": timezone.now().isoformat(timespec="seconds")}


def _add_recordings(archive: ArchiveWriter) -> None:
    for file in media().files():
        with suppress(FileNotFoundError), media().open(file.name) as source:  # It may be deleted at this moment.
            archive.add(MEDIA + file.name, source)


def _add_folder(archive: ArchiveWriter, folder: Path, prefix: str) -> None:
    for path in _files_in(folder):
        with suppress(FileNotFoundError), path.open("rb") as source:  # It may be deleted at this moment.
            archive.add(prefix + path.relative_to(folder).as_posix(), source)


def _files_in(folder: Path) -> Iterator[Path]:
    """Yield all files of the folder but half-written ones, which have a name of their own."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        paths = (Path(place, name) for name in sorted(names) if not name.endswith(".part"))
        yield from (path for path in paths if path.is_file() and not path.is_symlink())
