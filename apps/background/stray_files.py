"""Recordings and other files that no row points to: their process was killed between storing the file and the row."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db.models import FileField, Model

from apps.core.repairs import Repair

logger = logging.getLogger(__name__)

# A row is stored within a minute after its file, even if the database is locked repeatedly.
SAFE_AGE = timedelta(days=1)
# The form of the file names that this application chooses. Other files in MEDIA_ROOT are not touched.
OWN_NAME = re.compile(r"[0-9a-f]{32}\.[a-z0-9]{1,5}")


def repairs() -> Iterator[Repair]:
    """Yield the deletion of each stray file.

    If more files are stray than belong to rows, this is probably the wrong database, and all files stay.
    """
    old = list(_old_files(Path(settings.MEDIA_ROOT)))
    kept = _kept_names()  # Read after the folder, because a row is stored after its file.
    stray = [path for path in old if path.name not in kept]
    if len(stray) > len(kept):
        logger.error("Nothing is deleted: most files have no row here", extra={"stray": len(stray), "kept": len(kept)})
        return
    for path in stray:
        name = path.relative_to(settings.MEDIA_ROOT)
        yield Repair(f"File {name}", "delete it, since no row points to it", partial(_delete, path))


def _old_files(folder: Path) -> Iterator[Path]:
    newest_allowed = time.time() - SAFE_AGE.total_seconds()
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # It was deleted just now.
            if OWN_NAME.fullmatch(path.name) and path.is_file() and path.stat().st_mtime < newest_allowed:
                yield path


def _kept_names() -> set[str]:
    """Return the names of all files that rows point to, without folders. They are random and therefore unique."""
    return {Path(name).name for name in named_files()}


def named_files() -> Iterator[str]:
    """Yield the name of each file that a row points to, relative to MEDIA_ROOT."""
    columns = [(model, field) for model in apps.get_models() for field in _file_fields(model)]
    for model, field in columns:
        yield from model._base_manager.exclude(**{field: ""}).values_list(field, flat=True).iterator()


def _file_fields(model: type[Model]) -> list[str]:
    return [field.name for field in model._meta.concrete_fields if isinstance(field, FileField)]


def _delete(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:  # Another run was faster.
        return False
    return True
