"""An object store on loopback: moto's S3 server as a process of its own, which can be stopped and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import requests

from tests.client import wait_until
from tests.ports import free_port

if TYPE_CHECKING:
    from apps.core.object_storage import ObjectStorage

KEYS = {"AWS_ACCESS_KEY_ID": "made-up", "AWS_SECRET_ACCESS_KEY": "made-up"}
PREFIX = "media"


@dataclass
class ObjectStore:
    """The running server; `bucket` is the one of the current test."""

    url: str
    process: subprocess.Popen[bytes]
    bucket: str = field(default_factory=lambda: f"recordings-{uuid4().hex[:8]}")

    @property
    def address(self) -> str:
        """The value of MEDIA_STORAGE."""
        return f"s3://{self.bucket}/{PREFIX}?endpoint={self.url}&region=eu-central-1&encryption=AES256"

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Let the server accept connections and answer nothing."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def running_object_store() -> Iterator[ObjectStore]:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | KEYS
    ) as process:
        store = ObjectStore(f"http://127.0.0.1:{port}", process)
        try:
            wait_until(lambda: _answers(store.url))
            yield store
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/moto-api/", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def client_of(storage: ObjectStorage) -> Any:
    return storage.connection.meta.client


def keys_in(storage: ObjectStorage) -> list[str]:
    """Return the keys of everything in the bucket, whatever its prefix."""
    found = client_of(storage).list_objects_v2(Bucket=storage.bucket_name)
    return [each["Key"] for each in found.get("Contents", ())]
