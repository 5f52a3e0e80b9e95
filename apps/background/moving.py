"""Copies recordings between a folder and an object store, while the site works.

Recordings never change: a file of the same name and size in the target was copied before. Nothing is deleted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, cast

from django.core.files.storage import InvalidStorageError, StorageHandler

from apps.core.errors import StorageDownError
from apps.core.object_address import WANTED, storage_setting
from apps.core.storage import MediaStorage

CHUNK_BYTES = 1 << 20


class MoveError(Exception):
    """Recordings that cannot be copied. The message tells the operator why."""


@dataclass(slots=True)
class Moved:
    """How many files were copied, with how many bytes, and how many were in the target already."""

    copied: int = 0
    bytes: int = 0
    there: int = 0


def storage_at(address: str) -> MediaStorage:
    """Return the storage in a folder or at an address. Raises MoveError."""
    try:
        setting = storage_setting(address)
    except ValueError:
        message = f"Name {WANTED}."
        raise MoveError(message) from None
    if "OPTIONS" not in setting:
        setting["OPTIONS"] = {"location": address}
    try:
        return cast(MediaStorage, StorageHandler({"media": setting})["media"])  # type: ignore[dict-item] # the stub is wrong
    except InvalidStorageError as error:
        raise MoveError(str(error)) from error


def move(source: MediaStorage, target: MediaStorage, moved: Moved, *, check: bool) -> Iterator[str]:
    """Copy the files that the target lacks; yield the name of each and count in `moved`. Raises MoveError.

    With `check`, the content of those that it has is compared as well.
    """
    if source.folder is not None and not source.folder.is_dir():
        message = f"{source.folder} is not a folder."
        raise MoveError(message)
    try:
        sizes = {file.name: file.size for file in target.files()}
        for file in source.files():
            if sizes.get(file.name) == file.size and (not check or _is_same(source, target, file.name)):
                moved.there += 1
            elif _copy(source, target, file.name):
                moved.copied += 1
                moved.bytes += file.size
                yield file.name
    except StorageDownError as error:
        message = f"The storage does not answer ({error})."
        raise MoveError(message) from error
    except OSError as error:
        message = f"{error.filename}: {error.strerror}."
        raise MoveError(message) from error


def _copy(source: MediaStorage, target: MediaStorage, name: str) -> bool:
    """Copy a file and compare the copy; return False if it was deleted meanwhile. Raises MoveError."""
    try:
        file = source.open(name)
    except FileNotFoundError:
        return False
    digest = hashlib.sha256()
    with file, target.writing(name) as copy:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            copy.write(chunk)
    with target.open(name) as copied:
        if _digest(copied) != digest.hexdigest():
            target.delete(name)
            message = f"The copy of {name} differs from it."
            raise MoveError(message)
    return True


def _is_same(source: MediaStorage, target: MediaStorage, name: str) -> bool:
    """Whether the contents are equal, or the file was deleted from the source meanwhile."""
    try:
        with source.open(name) as file, target.open(name) as copied:
            return _digest(file) == _digest(copied)
    except FileNotFoundError:
        return True


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
