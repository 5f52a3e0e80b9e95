"""A PostgreSQL server of its own for a test. It never runs as root, so under root it belongs to another user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

# Nothing of it needs to survive a loss of power.
OPTIONS = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off -c shared_buffers=16MB -c max_connections=100"
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


@contextmanager
def running_postgresql() -> Iterator[str]:
    """Run a server, and yield the DATABASE_URL of an empty database. Skips the test where there is no PostgreSQL."""
    initdb, control = _tool("initdb"), _tool("pg_ctl")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="voiceclone-pg-") as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, pwd.getpwnam(OTHER_USER).pw_uid)
        data = f"{folder}/data"
        _run(initdb, "-D", data, "-U", "tests", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale")
        options = f"{OPTIONS} -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        _run(control, "-D", data, "-w", "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgres://tests@127.0.0.1:{port}/postgres"
        finally:
            _run(control, "-D", data, "-m", "immediate", "stop")
