"""Reads stored recordings. Their files can be missing, for example after a restored backup."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from django.core.files.base import ContentFile, File
from django.db.models.fields.files import FieldFile

from apps.core.errors import RecordingMissingError
from apps.core.storage import media
from apps.speech.audio.decoding import decode
from apps.speech.base import AudioError, Recording

logger = logging.getLogger(__name__)

Params = ParamSpec("Params")
Result = TypeVar("Result")
STORAGE_THREADS = 16
_threads = ThreadPoolExecutor(STORAGE_THREADS, thread_name_prefix="recordings")


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


async def kept(stored: FieldFile, data: bytes) -> ContentFile[bytes] | str:
    """Return what the field of a row is given for `data`.

    For a disk, this is a file that is stored with the row. In an object store it is stored here and now, and this is
    its name: the threads of the database, which all streams share, must not wait for the network. Raises OSError.
    """
    if media().folder is not None:
        return ContentFile(data, name="recording")
    name = stored.field.generate_filename(stored.instance, "recording")
    return await in_thread(stored.storage.save, name, ContentFile(data))


async def in_thread(work: Callable[Params, Result], *args: Params.args, **kwargs: Params.kwargs) -> Result:
    """Run `work`, which waits for the storage, in a thread of its own kind: if that is silent, nothing else waits."""
    call = partial(copy_context().run, work, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_threads, call)


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
