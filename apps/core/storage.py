"""The storage of recordings."""

from __future__ import annotations

from pathlib import Path

from django.core.files import File
from django.core.files.storage import FileSystemStorage

from apps.speech import durable_files


class WholeFileStorage(FileSystemStorage):
    """Stores a file whole or not at all: half a file would take room on a full disk.

    A stored file survives a power cut, since its row, which is stored afterwards, does.
    """

    def _save(self, name: str, content: File[bytes]) -> str:
        try:
            durable_files.make_folder(Path(self.path(name)).parent)
            saved: str = super()._save(name, content)  # type: ignore[misc] # missing in the stubs
            durable_files.flush(Path(self.path(saved)))
            return saved
        except OSError:
            self.delete(name)
            raise
