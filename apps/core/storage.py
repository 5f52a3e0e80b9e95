"""The storage of recordings: what each kind can do beside Django's own methods, and the kind on a disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage, default_storage

from apps.speech import durable_files


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the storage: its name there, its size in bytes, and when it was stored."""

    name: str
    size: int
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Parts of a file that was not written to its end; `delete` deletes them."""

    name: str
    begun_at: datetime
    delete: Callable[[], None] = field(repr=False)


class MediaStorage(Storage):
    """What the application needs of a storage beside Django's methods.

    All methods raise FileNotFoundError for a missing file, OSError (ENOSPC) where there is no room, and
    StorageDownError where the storage does not answer. `folder` is where it is on this machine's disk, if it is.
    """

    folder: Path | None = None

    def files(self, path: str = "") -> Iterator[StoredFile]:
        """Yield the files in the folder `path` and the folders in it, but no half-written ones, in order."""
        raise NotImplementedError

    def writing(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open a new file to write a stream to. It is stored whole at the end of the block, or not at all."""
        raise NotImplementedError

    def delete_folder(self, path: str) -> None:
        """Delete the files in a folder, and the folder."""
        raise NotImplementedError

    def unfinished(self, path: str = "") -> Iterator[Unfinished]:
        """Yield what no row and no name shows: parts of files whose process writes them, or was killed."""
        yield from ()

    def is_available(self) -> bool:
        """Whether the storage answers. Asks it."""
        raise NotImplementedError

    def is_known_to_be_down(self) -> bool:
        """Whether the storage did not answer a moment ago. Does not ask it."""
        return False


def media() -> MediaStorage:
    """Return the storage of recordings."""
    return cast(MediaStorage, default_storage)


class WholeFileStorage(FileSystemStorage, MediaStorage):
    """Stores a file on a disk, whole or not at all: half a file would take room on a full disk.

    A stored file survives a power cut, since its row, which is stored afterwards, does.
    """

    @property
    def folder(self) -> Path:  # type: ignore[override] # not to be set
        return Path(self.location)

    def _save(self, name: str, content: File[bytes]) -> str:
        try:
            durable_files.make_folder(Path(self.path(name)).parent)
            saved: str = super()._save(name, content)  # type: ignore[misc] # missing in the stubs
            durable_files.flush(Path(self.path(saved)))
            return saved
        except OSError:
            self.delete(name)
            raise

    def files(self, path: str = "") -> Iterator[StoredFile]:
        yield from self._files_in(self.folder / path)

    def _files_in(self, folder: Path) -> Iterator[StoredFile]:
        """Yield the files below `folder`. What is deleted meanwhile is left out."""
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from self._files_in(Path(entry.path))
            elif entry.is_file(follow_symlinks=False) and not entry.name.endswith(".part"):
                with suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    name = Path(entry.path).relative_to(self.folder).as_posix()
                    yield StoredFile(name, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        path = Path(self.path(name))
        durable_files.make_folder(path.parent)
        try:
            with open(path, "wb", opener=lambda place, flags: os.open(place, flags, 0o600)) as stream:
                yield stream
            durable_files.flush(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def delete_folder(self, path: str) -> None:
        if not self.exists(path):
            return
        _folders, files = self.listdir(path)
        for name in files:
            self.delete(f"{path}/{name}")
        self.delete(path)

    def is_available(self) -> bool:
        """Whether the folder exists or, before the first recording, can be made."""
        folder = nearest_existing(self.folder)
        return folder is not None and folder.is_dir() and os.access(folder, os.W_OK)


def nearest_existing(folder: Path) -> Path | None:
    """Return the folder or, before the first recording creates it, its nearest parent that exists."""
    return next((each for each in (folder, *folder.parents) if each.exists()), None)
