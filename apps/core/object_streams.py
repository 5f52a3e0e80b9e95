"""Objects of a store as files: read from any place, and written as a stream. A part at most is held in memory."""

from __future__ import annotations

import io
from typing import Any

from apps.core.object_errors import as_disk_errors

# The least part that services accept is 5 MiB, and 10,000 parts the most.
PART_BYTES = 8 << 20


class ObjectReader(io.RawIOBase):
    """Reads an object. Only what is read is fetched. `size` is in bytes; `place` names the bucket and the key.

    Raises FileNotFoundError and StorageDownError, from the start.
    """

    def __init__(self, client: Any, place: dict[str, str]) -> None:
        super().__init__()
        self._client = client
        self._place = place
        self._position = 0
        answer = self._fetch()
        self._body: Any = answer["Body"]
        self.name = place["Key"]
        self.size = int(answer["ContentLength"])

    def _fetch(self) -> Any:
        part = {"Range": f"bytes={self._position}-"} if self._position else {}
        with as_disk_errors(self._place["Key"]):
            return self._client.get_object(**self._place, **part)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        position = max(start + offset, 0)
        if position != self._position:
            self._leave()
            self._position = position
        return position

    def read(self, size: int | None = -1) -> bytes:
        left = max(self.size - self._position, 0)
        wanted = left if size is None or size < 0 else min(size, left)
        if not wanted:
            return b""
        if self._body is None:
            self._body = self._fetch()["Body"]
        with as_disk_errors(self._place["Key"]):
            data: bytes = self._body.read(wanted)
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _leave(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def close(self) -> None:
        if not self.closed:
            self._leave()
        super().close()


class ObjectWriter(io.RawIOBase):
    """Writes an object as a stream: nothing is stored before `finish`. `options` are those of the object.

    Raises OSError (ENOSPC) and StorageDownError.
    """

    def __init__(self, client: Any, place: dict[str, str], options: dict[str, Any]) -> None:
        super().__init__()
        self._client = client
        self._place = place
        self._options = options
        self._buffer = bytearray()
        self._upload: dict[str, str] = {}
        self._parts: list[dict[str, Any]] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._buffer += data
        while len(self._buffer) >= PART_BYTES:
            self._send(bytes(self._buffer[:PART_BYTES]))
            del self._buffer[:PART_BYTES]
        return len(data)

    def _send(self, part: bytes) -> None:
        with as_disk_errors():
            if not self._upload:
                begun = self._client.create_multipart_upload(**self._place, **self._options)
                self._upload = {"UploadId": begun["UploadId"]}
            number = len(self._parts) + 1
            sent = self._client.upload_part(**self._place, **self._upload, PartNumber=number, Body=part)
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})

    def finish(self) -> None:
        """Store the object."""
        if self._upload and self._buffer:
            self._send(bytes(self._buffer))
        with as_disk_errors():
            if self._upload:
                parts = {"Parts": self._parts}
                self._client.complete_multipart_upload(**self._place, **self._upload, MultipartUpload=parts)
            else:
                self._client.put_object(**self._place, **self._options, Body=bytes(self._buffer))
        self._buffer.clear()

    def give_up(self) -> None:
        """Delete the parts that were sent. Raises StorageDownError: they then stay until strays are deleted."""
        if self._upload:
            with as_disk_errors():
                self._client.abort_multipart_upload(**self._place, **self._upload)
