"""The errors of an object store, as those that a disk has: missing, full, or not there at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from apps.core.errors import StorageDownError

MISSING = {"404", "NoSuchKey", "NoSuchUpload"}
# Of Amazon, MinIO, Ceph and others. Their status is 403, 409, 413 or 507.
FULL = {
    "InsufficientCapacity",
    "QuotaExceeded",
    "StorageQuotaExceeded",
    "XMinioAdminBucketQuotaExceeded",
    "XMinioStorageFull",
}
FULL_STATUS = 507


@contextmanager
def as_disk_errors(name: str = "") -> Iterator[None]:
    """Raise FileNotFoundError, OSError (ENOSPC) or StorageDownError for what the store answers in the block."""
    try:
        yield
    except ClientError as error:
        raise _from_answer(error, name) from error
    except (BotoCoreError, HTTPClientError, Boto3Error) as error:
        raise StorageDownError(type(error).__name__) from error


def _from_answer(error: ClientError, name: str) -> OSError:
    """Everything that is not understood counts as down: a wrong key or bucket must never look like missing files."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in MISSING:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    if code in FULL or status == FULL_STATUS:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
    return StorageDownError(f"{code or 'no code'}, status {status}")
