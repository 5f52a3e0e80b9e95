"""Errors with a message for the person. Services raise them; pages and API show the message."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext_lazy as _

from apps.speech.base import PROVIDER_MESSAGES, RECORDINGS_UNAVAILABLE, AudioError, ProviderError

STORAGE_UNAVAILABLE = "storage_unavailable"
STORAGE_MESSAGE = _(
    "This site cannot store anything at the moment: its disk is full, or its database does not answer. "
    "Keep what you have and try again in a few minutes."
)
STORAGE_RETRY_SECONDS = 60
RECORDINGS_RETRY_SECONDS = 30
RECORDING_MISSING = "recording_missing"
RECORDING_MISSING_MESSAGE = _(
    "This recording is missing on the server. Ask the operator of this site whether a backup contains it."
)
# Not 404, which is the answer for what never existed or belongs to somebody else.
RECORDING_MISSING_STATUS = 410
CACHE_UNAVAILABLE = "cache_unavailable"
CACHE_MESSAGE = _(
    "This site cannot count attempts at the moment, and therefore accepts none here. Try again in a few minutes."
)
CACHE_RETRY_SECONDS = 60
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


class UserError(Exception):
    """A request that is refused. `code` is stable; `message` says what happened and what to do.

    `status` and `headers` are those of the HTTP answer. `field` is the field of the request that is wrong, if any.
    `details` is JSON about this one error, for the person who sent the request.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
        field: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.field = field
        self.status = status
        self.headers = dict(headers or {})
        self.details = dict(details or {})


class StorageDownError(OSError):
    """The storage of recordings does not answer, or refuses this site. It never means that a file is missing."""


class RecordingMissingError(UserError):
    """The file of a stored recording does not exist, or cannot be decoded any more (410)."""

    def __init__(self) -> None:
        super().__init__(RECORDING_MISSING, str(RECORDING_MISSING_MESSAGE), status=RECORDING_MISSING_STATUS)


def storage_unavailable() -> UserError:
    """Return the error for a full disk or a database that does not answer (503)."""
    headers = {"Retry-After": str(STORAGE_RETRY_SECONDS)}
    return UserError(STORAGE_UNAVAILABLE, str(STORAGE_MESSAGE), status=503, headers=headers)


def recordings_unavailable() -> UserError:
    """Return the error for a storage of recordings that does not answer (503)."""
    headers = {"Retry-After": str(RECORDINGS_RETRY_SECONDS)}
    message = str(PROVIDER_MESSAGES[RECORDINGS_UNAVAILABLE])
    return UserError(RECORDINGS_UNAVAILABLE, message, status=503, headers=headers)


def storage_failure(error: BaseException | None) -> UserError | None:
    """Return the answer (503) to a storage, a disk or a database that fails, or None for any other error."""
    if isinstance(error, StorageDownError):
        return recordings_unavailable()
    return storage_unavailable() if _is_storage_failure(error) else None


def cache_unavailable() -> UserError:
    """Return the error for a cache that does not answer, so that the limits of a request are not known (503)."""
    headers = {"Retry-After": str(CACHE_RETRY_SECONDS)}
    return UserError(CACHE_UNAVAILABLE, str(CACHE_MESSAGE), status=503, headers=headers)


def _is_storage_failure(error: BaseException | None) -> bool:
    """Whether `error` comes from a locked or missing database, or from a full or read-only disk."""
    if isinstance(error, OSError):
        return error.errno in _FULL_DISK
    return isinstance(error, OperationalError | InterfaceError)


REFUSALS = (UserError, AudioError, ProviderError)
"""The errors that have a message for the person."""
