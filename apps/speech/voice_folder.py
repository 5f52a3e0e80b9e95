"""The files of voices that are made or kept here: in a folder, or in a store that all machines of the site share.

With a store, the folder is a cache: a voice that speaks again is read from the disk, and not from the network.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from django.core.files.base import ContentFile

from apps.speech import durable_files
from apps.speech.base import RECORDINGS_UNAVAILABLE, ProviderError

if TYPE_CHECKING:
    from django.core.files.storage import Storage

logger = logging.getLogger(__name__)

# So long may a voice that another machine deleted stay in the cache of this one, while voices here speak.
SWEEP_SECONDS = 3600.0
_swept_at: dict[Path, float] = {}


@dataclass(frozen=True, slots=True)
class VoiceFolder:
    """The folder `path` and, if the site has one, the `store`, where the files are in a folder of the same name."""

    path: Path
    store: Storage | None = field(default=None, compare=False, repr=False)

    def write(self, name: str, data: bytes) -> None:
        """Store a file, all of it or nothing. Raises OSError."""
        if self.store is not None:
            self.store.save(self._name_in_store(name), ContentFile(data))
        durable_files.write_whole(self.path / name, data)

    def fetched(self, name: str) -> Path:
        """Return where a file is on the disk. Raises FileNotFoundError, and ProviderError if the store is down."""
        path = self.path / name
        if self.store is None:
            return path
        if not path.exists():
            self._fetch(self.store, name)
        if time.monotonic() - _swept_at.get(self.path, -SWEEP_SECONDS) >= SWEEP_SECONDS:
            _swept_at[self.path] = time.monotonic()
            threading.Thread(target=self.forget_deleted, daemon=True).start()  # No speech waits for it.
        return path

    def delete(self, name: str) -> None:
        """Delete a file, here and in the store. Raises OSError."""
        (self.path / name).unlink(missing_ok=True)
        if self.store is not None:
            self.store.delete(self._name_in_store(name))

    def names(self) -> list[str]:
        """Return the names of all files, in order. Raises OSError."""
        if self.store is None:
            return sorted(path.name for path in self.path.glob("*"))
        return sorted(self.store.listdir(self.path.name)[1])

    def forget_deleted(self) -> None:
        """Delete what is only in the cache: another machine deleted it. What is stored later is not looked at."""
        cached = [path for path in self.path.glob("*") if path.suffix != ".part"]
        try:
            stored = set(self.names())
        except OSError:
            logger.exception("The cache of voices could not be compared with the storage")
            return
        for path in cached:
            if path.name not in stored:
                path.unlink(missing_ok=True)

    def _fetch(self, store: Storage, name: str) -> None:
        try:
            with store.open(self._name_in_store(name)) as file:
                durable_files.write_whole(self.path / name, file.read())
        except FileNotFoundError:
            raise
        except OSError as error:
            logger.exception("A voice cannot be fetched from the storage")
            raise ProviderError(RECORDINGS_UNAVAILABLE, stage="speak", retryable=True) from error

    def _name_in_store(self, name: str) -> str:
        return f"{self.path.name}/{name}"
