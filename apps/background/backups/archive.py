"""A backup is a ZIP file: members, and a manifest with the size and the SHA-256 of each. Nothing is held in memory."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from apps.core.errors import StorageDownError
from apps.speech import durable_files

MANIFEST = "manifest.json"
FORMAT = 1
CHUNK_BYTES = 1 << 20
Progress = Callable[[int], None]
"""Is told the bytes that have been copied so far."""


class BackupError(Exception):
    """A backup that cannot be made or restored. The message tells the operator why."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in the archive: its size in bytes, and the SHA-256 of its content."""

    size: int
    sha256: str


class ArchiveWriter:
    """Adds members to an archive. `details` becomes part of the manifest."""

    def __init__(self, file: ZipFile, progress: Progress) -> None:
        self._file = file
        self._progress = progress
        self._done = 0
        self.members: dict[str, Member] = {}
        self.details: dict[str, Any] = {}

    def add(self, name: str, source: IO[bytes], *, compress: bool = False) -> None:
        """Copy `source` to its end."""
        digest, size = hashlib.sha256(), 0
        with self._file.open(_info(name, compress=compress), "w", force_zip64=True) as member:
            while chunk := source.read(CHUNK_BYTES):
                member.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                self._done += len(chunk)
                self._progress(self._done)
        self.members[name] = Member(size, digest.hexdigest())

    def write_manifest(self) -> None:
        members = {name: asdict(member) for name, member in self.members.items()}
        manifest = {"format": FORMAT, **self.details, "members": members}
        self._file.writestr(_info(MANIFEST, compress=True), json.dumps(manifest, indent=1))


@contextmanager
def new_archive(path: Path, progress: Progress) -> Iterator[ArchiveWriter]:
    """Create an archive that only its owner can read. It gets its name when it is complete. Raises BackupError."""
    if path.exists():
        message = f"{path} exists already."
        raise BackupError(message)
    with _disk_errors():
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")  # Mode 0600.
        try:
            with os.fdopen(descriptor, "wb") as stream, ZipFile(stream, "w") as file:
                writer = ArchiveWriter(file, progress)
                yield writer
                writer.write_manifest()
            durable_files.flush(Path(partial))
            Path(partial).rename(path)
            durable_files.flush(path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise


class ArchiveReader:
    """An archive whose members are checked while they are copied."""

    def __init__(self, path: Path, file: ZipFile, progress: Progress) -> None:
        self._path = path
        self._file = file
        self._progress = progress
        self._done = 0
        self.manifest: dict[str, Any] = json.loads(file.read(MANIFEST))
        self.members = {name: Member(**member) for name, member in self.manifest["members"].items()}
        if self.manifest["format"] != FORMAT:
            raise ValueError(self.manifest["format"])

    @property
    def size(self) -> int:
        """The bytes of all members."""
        return sum(member.size for member in self.members.values())

    def copy(self, name: str, target: IO[bytes]) -> None:
        """Copy a member. Raises BackupError if it differs from the manifest."""
        expected, digest, left = self.members[name], hashlib.sha256(), self.members[name].size
        try:
            with self._file.open(name) as source:
                while chunk := source.read(min(CHUNK_BYTES, left + 1)):
                    left -= len(chunk)
                    if left < 0:
                        break
                    target.write(chunk)
                    digest.update(chunk)
                    self._done += len(chunk)
                    self._progress(self._done)
        except (BadZipFile, EOFError, KeyError):
            left = -1
        if left or digest.hexdigest() != expected.sha256:
            message = f"{self._path} is damaged: {name} is not what was stored."
            raise BackupError(message)


@contextmanager
def open_archive(path: Path, progress: Progress) -> Iterator[ArchiveReader]:
    """Open an archive. Raises BackupError if it is not one, and if the disk is full while its members are copied."""
    with _disk_errors():
        try:
            file = ZipFile(path)
        except BadZipFile:
            raise _no_backup(path) from None
        with file:
            try:
                reader = ArchiveReader(path, file, progress)
            except (BadZipFile, KeyError, TypeError, ValueError, AttributeError):
                raise _no_backup(path) from None
            yield reader


def _no_backup(path: Path) -> BackupError:
    return BackupError(f"{path} is not a backup that this version can read, or it is incomplete.")


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except StorageDownError as error:
        message = f"The storage of recordings does not answer ({error}). Nothing was stored."
        raise BackupError(message) from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise BackupError("The disk is full. Nothing was stored.") from error
        message = f"{error.filename}: {error.strerror}"
        raise BackupError(message) from error


def _info(name: str, *, compress: bool) -> ZipInfo:
    info = ZipInfo(name)
    info.compress_type = ZIP_DEFLATED if compress else ZIP_STORED
    info.external_attr = 0o600 << 16
    return info
