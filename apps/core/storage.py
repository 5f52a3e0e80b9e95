"""Where recordings are kept."""

from __future__ import annotations

from django.core.files import File
from django.core.files.storage import FileSystemStorage


class WholeFileStorage(FileSystemStorage):
    """Files on disk, which are there whole or not at all: on a full disk, half a file would only take room."""

    def _save(self, name: str, content: File[bytes]) -> str:
        try:
            saved: str = super()._save(name, content)  # type: ignore[misc] # The stubs leave it out.
            return saved
        except OSError:
            self.delete(name)
            raise
