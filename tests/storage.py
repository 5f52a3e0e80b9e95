"""The files that the application has stored."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings


def stored_files(folder: str = "") -> list[Path]:
    """Return all files in the media folder, or in a folder inside it."""
    return [path for path in Path(settings.MEDIA_ROOT, folder).rglob("*") if path.is_file()]
