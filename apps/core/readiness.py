"""Whether this process can accept work: it is not shutting down, and the disk has room for recordings."""

from __future__ import annotations

import shutil
import tempfile
from contextvars import ContextVar
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from django.db import Error as DatabaseFailure
from django.db import connection
from django.utils.translation import gettext as _

from apps.core.errors import UserError, recordings_unavailable, storage_unavailable
from apps.core.storage import media, nearest_existing

SHUTTING_DOWN = "shutting_down"
SHUTDOWN_RETRY_SECONDS = 10

_is_ending = False
# Whether the request that the current code runs for began before the process was ending.
_began_in_time: ContextVar[bool] = ContextVar("began_in_time", default=False)


def set_ending(*, ending: bool) -> None:
    """Set whether this process is shutting down. Tests reset it."""
    global _is_ending
    _is_ending = ending


def is_ending() -> bool:
    return _is_ending


def note_request() -> None:
    """Remember whether the request that begins here is in time: its work is accepted even if its body takes longer."""
    _began_in_time.set(not _is_ending)


def require_ready() -> None:
    """Raise UserError (503) if new work would be interrupted or could not be stored, before any of it is paid for."""
    if _is_ending and not _began_in_time.get():
        message = _("This site is being restarted. Try again in a moment.")
        headers = {"Retry-After": str(SHUTDOWN_RETRY_SECONDS)}
        raise UserError(SHUTTING_DOWN, message, status=503, headers=headers)
    if media().is_known_to_be_down():
        raise recordings_unavailable()
    if not has_room():
        raise storage_unavailable()


def has_room() -> bool:
    """Whether the disks of the recordings, of uploads and of SQLite's database have MIN_FREE_BYTES free."""
    folders = [*_media_folders(), *_upload_folders(), *_database_folders()]
    least = max(settings.MIN_FREE_BYTES, 1)
    return all(folder is not None and shutil.disk_usage(folder).free >= least for folder in folders)


def can_keep_recordings() -> bool:
    return media().is_available()


def keeps_recordings_here() -> bool:
    """Whether recordings are on this machine's own disk, and not in a store that all machines of the site share."""
    return media().folder is not None


def _media_folders() -> list[Path | None]:
    """Return the folder of recordings, if it is here. An object store has to report that it is full itself."""
    folder = media().folder
    return [] if folder is None else [nearest_existing(folder)]


def _upload_folders() -> set[Path]:
    """Return the folders of temporary files: of whole bodies, and of the files in them."""
    return {Path(tempfile.gettempdir()), Path(settings.FILE_UPLOAD_TEMP_DIR or tempfile.gettempdir())}


def _database_folders() -> list[Path]:
    """Return the folder of SQLite's file. Another database has to report a full disk itself."""
    if connection.vendor != "sqlite":
        return []
    folder = Path(str(connection.settings_dict["NAME"])).absolute().parent
    return [folder] if folder.is_dir() else []  # A database in memory has none.


def cache_answers() -> bool:
    """Whether attempts can be counted: without that, nobody can sign in."""
    try:
        cache.get("readyz")
    except UserError:
        return False
    return True


def database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseFailure:
        return False
    return True
