"""How much room the recordings and the database take."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from django.db import connection

# A million recordings take longer to look at than a page may take.
LOOK_SECONDS = 0.3
CACHE_SECONDS = 3600
CACHE_KEY = "storage-use:1"


@dataclass(frozen=True, slots=True)
class StorageUse:
    """Bytes: of the recordings by folder, of the database, and of the recordings' disk.

    If `is_complete` is false, there are more recordings than were looked at.
    """

    folders: dict[str, int] = field(default_factory=dict)
    is_complete: bool = True
    database: int = 0
    disk_free: int = 0
    disk_total: int = 0

    @property
    def recordings(self) -> int:
        return sum(self.folders.values())


def storage_use() -> StorageUse:
    """Return the use of an hour ago at most, looking at files for LOOK_SECONDS at most."""
    use: StorageUse | None = cache.get(CACHE_KEY)
    if use is None:
        use = measure(seconds=LOOK_SECONDS)
        cache.set(CACHE_KEY, use, CACHE_SECONDS)
    return use


def measure(*, seconds: float | None = None) -> StorageUse:
    """Look at all files, or as many as there is time for in `seconds`."""
    media = Path(settings.MEDIA_ROOT)
    if not media.is_dir():
        return StorageUse(database=_database_bytes())
    end = time.monotonic() + seconds if seconds is not None else None
    folders: Counter[str] = Counter()
    is_complete = True
    for path, size in _files(media):
        folders[Path(path).relative_to(media).parts[0]] += size
        if end is not None and time.monotonic() > end:
            is_complete = False
            break
    disk = shutil.disk_usage(media)
    return StorageUse(dict(folders.most_common()), is_complete, _database_bytes(), disk.free, disk.total)


def _files(folder: str | Path) -> Iterator[tuple[str, int]]:
    """Yield each file with its size. Files that are deleted meanwhile are left out."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        else:
            try:
                yield entry.path, entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue


def _database_bytes() -> int:
    pages = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    with connection.cursor() as cursor:
        cursor.execute(pages if connection.vendor == "sqlite" else "SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])
