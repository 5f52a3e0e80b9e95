"""The storage of recordings."""

from __future__ import annotations

from django.core.files import File
from django.core.files.storage import FileSystemStorage


class WholeFileStorage(FileSystemStorage):
    """Stores a file whole or not at all: half a file would take room on a full disk."""

    def _save(self, name: str, content: File[bytes]) -> str:
        try:
            saved: str = super()._save(name, content)  # type: ignore[misc] # missing in the stubs
            return saved
        except OSError:
            self.delete(name)
            raise
