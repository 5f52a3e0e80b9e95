"""How much room the recordings and the database take."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePath

from django.core.cache import cache
from django.db import connection

from apps.core.errors import StorageDownError
from apps.core.storage import media

# A million recordings take longer to look at than a page may take.
LOOK_SECONDS = 0.1
CACHE_SECONDS = 3600
CACHE_KEY = "storage-use:1"


@dataclass(frozen=True, slots=True)
class StorageUse:
    """Bytes: of the recordings by folder, of the database, and of the recordings' disk.

    If `is_complete` is false, there are more recordings than were looked at. An object store has no `disk_total`.
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
    end = time.monotonic() + seconds if seconds is not None else None
    folders: Counter[str] = Counter()
    is_complete = True
    try:
        for file in media().files():
            folders[PurePath(file.name).parts[0]] += file.size
            if end is not None and time.monotonic() > end:
                is_complete = False
                break
    except StorageDownError:
        is_complete = False
    free, total = _disk()
    return StorageUse(dict(folders.most_common()), is_complete, _database_bytes(), free, total)


def _disk() -> tuple[int, int]:
    folder = media().folder
    if folder is None or not folder.is_dir():
        return 0, 0
    disk = shutil.disk_usage(folder)
    return disk.free, disk.total


def _database_bytes() -> int:
    pages = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    with connection.cursor() as cursor:
        cursor.execute(pages if connection.vendor == "sqlite" else "SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])
