"""Reads stored recordings. Their files can be missing, for example after a restored backup."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.files.base import File
from django.db.models.fields.files import FieldFile

from apps.core.errors import RecordingMissingError
from apps.speech.audio.decoding import decode
from apps.speech.base import AudioError, Recording

logger = logging.getLogger(__name__)


def open_stored(stored: FieldFile) -> File[bytes]:
    """Open a stored file, to be closed. Raises RecordingMissingError, and StorageDownError: nobody knows then."""
    if not stored:
        raise RecordingMissingError
    try:
        # Through the storage: a FieldFile that was read before does not notice that its file is gone.
        return stored.storage.open(str(stored.name), "rb")
    except FileNotFoundError:
        logger.error("A stored file is missing", extra={"file": stored.name})
        raise RecordingMissingError from None


@contextmanager
def opened(stored: FieldFile) -> Iterator[File[bytes]]:
    """Open a stored file. Raises what `open_stored` raises."""
    with open_stored(stored) as file:
        yield file


def read(stored: FieldFile) -> bytes:
    """Return the content of a stored file. Raises RecordingMissingError."""
    with opened(stored) as file:
        return bytes(file.read())


def decode_stored(stored: FieldFile, *, sample_rate: int, max_seconds: float) -> Recording:
    """Decode a stored recording. Raises RecordingMissingError, also if the file is damaged."""
    try:
        return decode(read(stored), sample_rate=sample_rate, max_seconds=max_seconds)
    except AudioError as error:
        logger.error("A stored file is damaged", extra={"file": stored.name, "code": error.code})
        raise RecordingMissingError from None
