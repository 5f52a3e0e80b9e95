"""Recordings and other files that no row points to: their process was killed between storing the file and the row."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import PurePath

from django.apps import apps
from django.db.models import FileField, Model
from django.utils import timezone

from apps.core.repairs import Repair
from apps.core.storage import Unfinished, media

logger = logging.getLogger(__name__)

# A row is stored within a minute after its file, even if the database is locked repeatedly.
SAFE_AGE = timedelta(days=1)
# The form of the file names that this application chooses. Other files in the storage are not touched.
OWN_NAME = re.compile(r"[0-9a-f]{32}(-[0-9a-f]{8})?\.[a-z0-9]{1,5}")


def repairs() -> Iterator[Repair]:
    """Yield the deletion of each stray file.

    If more files are stray than belong to rows, this is probably the wrong database, and all files stay.
    """
    yield from _unfinished()
    old = list(_old_files())
    kept = _kept_names()  # Read after the folder, because a row is stored after its file.
    stray = [name for name in old if PurePath(name).name not in kept]
    if len(stray) > len(kept):
        logger.error("Nothing is deleted: most files have no row here", extra={"stray": len(stray), "kept": len(kept)})
        return
    for name in stray:
        yield Repair(f"File {name}", "delete it, since no row points to it", partial(_delete, name))


def _unfinished() -> Iterator[Repair]:
    """Yield the deletion of files whose process was killed while it sent them to an object store."""
    newest_allowed = timezone.now() - SAFE_AGE
    for file in media().unfinished():
        if file.begun_at < newest_allowed:
            yield Repair(f"File {file.name}", "delete its parts, since it was never finished", partial(_give_up, file))


def _give_up(file: Unfinished) -> bool:
    file.delete()
    return True


def _old_files() -> Iterator[str]:
    newest_allowed = timezone.now() - SAFE_AGE
    for file in media().files():
        if OWN_NAME.fullmatch(PurePath(file.name).name) and file.stored_at < newest_allowed:
            yield file.name


def _kept_names() -> set[str]:
    """Return the names of all files that rows point to, without folders. They are random and therefore unique."""
    return {PurePath(name).name for name in named_files()}


def named_files() -> Iterator[str]:
    """Yield the name of each file that a row points to, relative to the storage."""
    columns = [(model, field) for model in apps.get_models() for field in _file_fields(model)]
    for model, field in columns:
        yield from model._base_manager.exclude(**{field: ""}).values_list(field, flat=True).iterator()


def _file_fields(model: type[Model]) -> list[str]:
    return [field.name for field in model._meta.concrete_fields if isinstance(field, FileField)]


def _delete(name: str) -> bool:
    if not media().exists(name):  # Another run was faster.
        return False
    media().delete(name)
    return True
