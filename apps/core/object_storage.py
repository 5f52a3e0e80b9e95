"""Recordings in an object store (S3): docs/decisions/0037-object-store.md. Imported only where one is configured."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import IO, Any

from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from django.core.files import File
from storages.backends.s3 import S3Storage
from storages.utils import clean_name

from apps.core.errors import StorageDownError
from apps.core.object_errors import as_disk_errors
from apps.core.object_streams import PART_BYTES, ObjectReader, ObjectWriter
from apps.core.storage import MediaStorage, StoredFile, Unfinished

CONNECT_SECONDS = 2
READ_SECONDS = 4
ATTEMPTS = 2
# A turn and its neighbours use a few at once; the rest waits.
CONNECTIONS = 32
# For so long after the store did not answer, it is not asked again, and no work begins that needs it: otherwise, all
# threads of the process would wait for it.
DOWN_SECONDS = 3.0
SIGNED_SECONDS = 300


class ObjectStorage(S3Storage, MediaStorage):
    """Objects in a bucket, below a prefix, that only the owner of the bucket can read.

    No access control list is sent: without one an object is private, and many buckets refuse any.
    """

    def __init__(
        self,
        *,
        bucket: str,
        prefix: str,
        endpoint: str,
        region: str,
        encryption: str,
        key: str,
        has_bucket_in_path: bool,
    ) -> None:
        parameters = {"ServerSideEncryption": encryption, "SSEKMSKeyId": key}
        super().__init__(
            bucket_name=bucket,
            location=prefix,
            endpoint_url=endpoint,
            region_name=region,
            default_acl=None,
            file_overwrite=True,  # The names are random: there is nothing to ask for first.
            object_parameters={name: value for name, value in parameters.items() if value},
            querystring_auth=True,
            querystring_expire=SIGNED_SECONDS,
            transfer_config=TransferConfig(
                multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False
            ),
            client_config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                max_pool_connections=CONNECTIONS,
                signature_version="s3v4",
                s3={"addressing_style": "path" if has_bucket_in_path else "virtual"},
                # Many services know no checksums at the end of a request.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        self._lock = threading.Lock()
        self._shared: Any = None
        self._failed_at = -DOWN_SECONDS

    @property
    def connection(self) -> Any:
        """One connection pool for all threads: clients are thread-safe, and each takes a fifth of a second to make."""
        with self._lock:
            if self._shared is None:
                session = self._create_session()
                self._shared = session.resource(
                    "s3", region_name=self.region_name, endpoint_url=self.endpoint_url, config=self.client_config
                )
            return self._shared

    @property
    def _client(self) -> Any:
        return self.connection.meta.client

    def _place(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket_name, "Key": self._normalize_name(clean_name(name))}

    @contextmanager
    def _asked(self, name: str = "") -> Iterator[None]:
        """Ask the store in this block, and note whether it answers. Not asked while it is known to be down."""
        if self.is_known_to_be_down():
            raise StorageDownError("It did not answer a moment ago")
        with self._noted(name):
            yield

    @contextmanager
    def _noted(self, name: str = "") -> Iterator[None]:
        try:
            with as_disk_errors(name):
                yield
        except StorageDownError:
            self._failed_at = time.monotonic()
            raise
        except OSError:
            self._failed_at = -DOWN_SECONDS
            raise
        self._failed_at = -DOWN_SECONDS

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        if mode != "rb":
            raise ValueError(mode)
        with self._asked(name):
            return File(ObjectReader(self._client, self._place(name)), name)  # type: ignore[arg-type] # a raw stream

    def _save(self, name: str, content: File[bytes]) -> str:
        with self._asked(name):
            return str(super()._save(name, content))

    def delete(self, name: str) -> None:
        with self._asked(name):
            super().delete(name)

    def exists(self, name: str) -> bool:
        """Whether there is such a file. It is looked for in the list, since HEAD does not tell of a missing bucket."""
        place = self._place(name)
        with self._asked(name):
            found = self._client.list_objects_v2(Bucket=place["Bucket"], Prefix=place["Key"], MaxKeys=1)
        return any(each["Key"] == place["Key"] for each in found.get("Contents", ()))

    def size(self, name: str) -> int:
        with self._asked(name):
            return int(self._client.head_object(**self._place(name))["ContentLength"])

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        with self._asked(path):
            folders, files = super().listdir(path)
        return folders, files

    def url(self, name: str | None, parameters: Any = None, expire: int | None = None, http_method: Any = None) -> str:
        with self._asked(name or ""):
            return str(super().url(name, parameters, expire, http_method))  # type: ignore[call-arg] # Django's has one

    def files(self, path: str = "") -> Iterator[StoredFile]:
        with self._asked(path):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.bucket_name, Prefix=self._start(path)):
                for each in page.get("Contents", ()):
                    yield StoredFile(each["Key"].removeprefix(self._start()), each["Size"], each["LastModified"])

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        with self._asked(name):
            writer = ObjectWriter(self._client, self._place(name), self._get_write_parameters(name))
            try:
                yield writer  # type: ignore[misc] # a raw stream
                writer.finish()
            except BaseException:
                with suppress(OSError):
                    writer.give_up()
                raise

    def delete_folder(self, path: str) -> None:
        for file in list(self.files(path)):
            self.delete(file.name)
        for upload in list(self.unfinished(path)):
            upload.delete()

    def unfinished(self, path: str = "") -> Iterator[Unfinished]:
        with self._asked(path):
            pages = self._client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self.bucket_name, Prefix=self._start(path)):
                for each in page.get("Uploads", ()):
                    place = {"Bucket": self.bucket_name, "Key": each["Key"], "UploadId": each["UploadId"]}
                    name = each["Key"].removeprefix(self._start())
                    yield Unfinished(name, each["Initiated"], partial(self._abort, place))

    def _abort(self, place: dict[str, str]) -> None:
        with self._asked(), suppress(FileNotFoundError), as_disk_errors():
            self._client.abort_multipart_upload(**place)

    def _start(self, path: str = "") -> str:
        """Return how the keys in a folder begin."""
        return "".join(f"{folder}/" for folder in (self.location, path) if folder)

    def is_available(self) -> bool:
        try:
            with self._noted():
                self._client.list_objects_v2(Bucket=self.bucket_name, Prefix=self.location, MaxKeys=1)
        except OSError:
            return False
        return True

    def is_known_to_be_down(self) -> bool:
        return time.monotonic() - self._failed_at < DOWN_SECONDS
