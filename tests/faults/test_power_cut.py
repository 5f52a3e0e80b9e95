"""A running site, under the eyes of strace: recordings are on the disk before their row is written to the journal."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.client import Api, wait_until
from tests.processes import remote, running_site

if TYPE_CHECKING:
    from tests.fakes.provider import FakeProvider

FILES = "SELECT question FROM conversations_turn UNION SELECT answer FROM conversations_turn"
SYNC = re.compile(r"\bf(?:data)?sync\(\d+<(.+?)>")
WRITE = re.compile(r"\bpwrite64\(\d+<.+?-wal>, \"(.*)\"")


@contextmanager
def traced(pid: int, log: Path) -> Iterator[None]:
    """Write the calls of a process that sync or write to the database into `log`."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    command = [strace, "-f", "-y", "-s", "5000", "-e", "trace=fsync,fdatasync,pwrite64", "-o", str(log), "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:  # noqa: S603
        assert tracer.stderr
        first = tracer.stderr.readline()
        if "attached" not in first:
            tracer.wait()
            pytest.skip(first)  # Not every machine lets a process look at another one.
        yield
        tracer.terminate()
        tracer.communicate()


def test_a_turn_is_on_the_disk_before_and_when_its_row_is_committed(tmp_path: Path, provider: FakeProvider) -> None:
    log = tmp_path / "trace"
    with running_site(["uvicorn", "voiceclone.asgi:application"], tmp_path, **remote(provider)) as site:
        conversation, token = site.add_conversation(provider.add_voice("Jane"))
        with traced(site.process.pid, log), Api(site.url, token) as api:
            assert api.ask(conversation).json()["has_answer"]
            wait_until(lambda: "spoken" in site.rows("SELECT status FROM conversations_turn")[0])
        names = [name for (name,) in site.rows(FILES)]
    assert sorted(name.split("/")[0] for name in names) == ["answers", "questions"]
    lines = log.read_text().splitlines()
    for name in names:
        path = tmp_path / "media" / name
        (committed, *_later) = [number for number, line in enumerate(lines) if _writes(line, name)]
        before = [_synced(line) for line in lines[:committed]]
        assert str(path) in before
        assert str(path.parent) in before[before.index(str(path)) :]
        assert str(path.parent.parent) in before
        assert f"{tmp_path}/db.sqlite3-wal" in map(_synced, lines[committed:])
    told = next(number for number, line in enumerate(lines) if _writes(line, provider.behaviour.transcript))
    assert f"{tmp_path}/db.sqlite3-wal" in map(_synced, lines[told:])


def _synced(line: str) -> str:
    match = SYNC.search(line)
    return match[1] if match else ""


def _writes(line: str, name: str) -> bool:
    match = WRITE.search(line)
    return match is not None and name in match[1]
