"""The files that the application has stored."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from apps.core.identity import STORAGE_FILE


def stored_files(folder: str = "") -> list[Path]:
    """Return all files in the media folder, or in a folder inside it, but the one by which the storage is known."""
    files = Path(settings.MEDIA_ROOT, folder).rglob("*")
    return [path for path in files if path.is_file() and path.name != STORAGE_FILE]
