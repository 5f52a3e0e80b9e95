"""A PostgreSQL server of its own for a test. It never runs as root, so under root it belongs to another user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIONS = "-c shared_buffers=16MB -c max_connections=100"
# Nothing of a test needs to survive a loss of power.
FORGETFUL = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off"
OTHER_USER = "nobody"


def _tool(name: str) -> str:
    found = shutil.which(name) or max(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), default="")
    if not found:
        reason = "PostgreSQL is not installed"
        (pytest.fail if os.environ.get("REQUIRE_POSTGRESQL") else pytest.skip)(reason)
    return found


def _run(*command: str) -> None:
    user = OTHER_USER if os.geteuid() == 0 else None
    subprocess.run(command, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL)  # noqa: S603


@dataclass(frozen=True)
class PostgreSQLServer:
    """A running server. `url` is the DATABASE_URL of an empty database."""

    url: str
    data: str
    options: str

    def start(self) -> None:
        _run(_tool("pg_ctl"), "-D", self.data, "-w", "-l", f"{self.data}.log", "-o", self.options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `fast` ends all connections, and keeps what is committed."""
        _run(_tool("pg_ctl"), "-D", self.data, "-w", "-m", mode, "stop")


@contextmanager
def running_postgresql_server(settings: str = FORGETFUL) -> Iterator[PostgreSQLServer]:
    """Run a server, which can be stopped and started again. Skips the test where there is no PostgreSQL."""
    initdb, port = _tool("initdb"), free_port()
    with tempfile.TemporaryDirectory(prefix="voiceclone-pg-") as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, pwd.getpwnam(OTHER_USER).pw_uid)
        data = f"{folder}/data"
        _run(initdb, "-D", data, "-U", "tests", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale")
        options = f"{OPTIONS} {settings} -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        server = PostgreSQLServer(f"postgres://tests@127.0.0.1:{port}/postgres", data, options)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


@contextmanager
def running_postgresql() -> Iterator[str]:
    """Run a server, and yield its DATABASE_URL. Skips the test where there is no PostgreSQL."""
    with running_postgresql_server() as server:
        yield server.url
