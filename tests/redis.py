"""A Redis of its own for a test, which can be killed and started again."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import redis
from redis.exceptions import RedisError

from tests.client import wait_until
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class RedisServer:
    port: int
    folder: str
    program: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = [self.program, *options, "--dir", self.folder]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603
        wait_until(self._answers)

    def kill(self) -> None:
        """Kill it. It forgets everything."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=True)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:
            return False


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """Run a server. Skips the test where there is no Redis."""
    program = shutil.which("redis-server")
    if program is None:
        (pytest.fail if os.environ.get("REQUIRE_REDIS") else pytest.skip)("Redis is not installed")
    with tempfile.TemporaryDirectory(prefix="voiceclone-redis-") as folder:
        server = RedisServer(free_port(), folder, program)
        server.start()
        try:
            yield server
        finally:
            server.kill()
