"""Whether this process can take on work: it is not about to end, and there is room for what people say."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection
from django.utils.translation import gettext as _

from apps.core.errors import UserError, storage_unavailable

SHUTTING_DOWN = "shutting_down"
SHUTDOWN_RETRY_SECONDS = 10

_is_ending = False


def set_ending(*, ending: bool) -> None:
    """Note that this process has been told to end, or, for tests, that it has not."""
    global _is_ending
    _is_ending = ending


def is_ending() -> bool:
    return _is_ending


def require_ready() -> None:
    """Raise UserError (503) where new work would be broken off or could not be kept, before any of it is paid for."""
    if _is_ending:
        message = _("This site is being restarted. Try again in a moment.")
        headers = {"Retry-After": str(SHUTDOWN_RETRY_SECONDS)}
        raise UserError(SHUTTING_DOWN, message, status=503, headers=headers)
    if not has_room():
        raise storage_unavailable()


def has_room() -> bool:
    """Whether enough of the disk is free where recordings are kept, and where SQLite's database is."""
    folders = [_media_folder(), *_database_folders()]
    least = max(settings.MIN_FREE_BYTES, 1)
    return all(folder is not None and shutil.disk_usage(folder).free >= least for folder in folders)


def can_keep_recordings() -> bool:
    folder = _media_folder()
    return folder is not None and folder.is_dir() and os.access(folder, os.W_OK)


def _media_folder() -> Path | None:
    """Return MEDIA_ROOT or, as it is made with the first recording, what exists of the way to it."""
    folder = Path(settings.MEDIA_ROOT)
    return next((each for each in (folder, *folder.parents) if each.exists()), None)


def _database_folders() -> list[Path]:
    """Return the folder of SQLite's file, where there is one: another database has to tell by itself."""
    if connection.vendor != "sqlite":
        return []
    folder = Path(str(connection.settings_dict["NAME"])).absolute().parent
    return [folder] if folder.is_dir() else []  # In memory there is none.


def database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseFailure:
        return False
    return True
