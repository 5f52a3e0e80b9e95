"""The processes of a run: the fake providers and the real application, with their CPU time and memory (on Linux)."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import load
from tests.ports import free_port, listens

HOST = "127.0.0.1"
PROJECT_DIR = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Server:
    """A server of one process or, if `workers` is more than 1, of that many children of `pid`."""

    url: str
    pid: int
    workers: int = 1

    def cpu_seconds(self) -> float:
        """Return the CPU time used so far, with ended children: utime, stime, cutime and cstime of proc(5)."""
        stats = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._pids())
        return sum(sum(map(int, fields[11:15])) for fields in stats) / os.sysconf("SC_CLK_TCK")

    def memory_megabytes(self) -> float:
        """Return the resident memory. Memory that workers share is counted for each of them."""
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self._pids())
        return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def _pids(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text() if self.workers > 1 else ""
        return [self.pid, *map(int, children.split())]


@contextmanager
def fake_providers(*, reply: str = load.REPLY, log: Path | None = None, **pace: float) -> Iterator[Server]:
    """Run the fake OpenAI and ElevenLabs. `log` gets a line for each request; `pace` are fields of its Behaviour."""
    paces = {
        "hear_seconds": load.HEAR_SECONDS,
        "partial_seconds": load.PARTIAL_SECONDS,
        "final_seconds": load.FINAL_SECONDS,
        "first_token_seconds": load.FIRST_TOKEN_SECONDS,
        "tokens_per_second": load.TOKENS_PER_SECOND,
        "first_audio_seconds": load.FIRST_AUDIO_SECONDS,
        "audio_speed": load.AUDIO_SPEED,
        **pace,
    }
    words = ["--port=0", f"--reply={reply}", *(f"--{name.replace('_', '-')}={value}" for name, value in paces.items())]
    words += [f"--log={log}"] * (log is not None)
    with _running("tests.fakes.provider", *words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        yield Server(process.stdout.readline().decode().split()[-1], process.pid)


def set_environment(folder: Path, providers: Server | None) -> None:
    """Set all settings to their defaults, except the paths, which are in `folder`, and the providers.

    Without `providers`, the embedded engines answer.
    """
    # An empty value counts as not set, and overrides `.env`.
    names = re.findall(r"^(?:# )?([A-Z_]+)=", (PROJECT_DIR / ".env.example").read_text(), re.MULTILINE)
    os.environ.update(
        dict.fromkeys(names, ""),
        DJANGO_SETTINGS_MODULE="voiceclone.settings",
        SECRET_KEY=secrets.token_urlsafe(50),
        DATABASE_URL=f"sqlite:///{folder / 'db.sqlite3'}",
        MEDIA_ROOT=str(folder / "media"),
        MARKS_DIR=str(folder / "marks"),
        LIMITS="off",
        ELEVENLABS_MAX_CONCURRENT="1000",
    )
    if providers is not None:
        os.environ.update(
            OPENAI_API_KEY="any",
            OPENAI_BASE_URL=f"{providers.url}/v1",
            ELEVENLABS_API_KEY="any",
            ELEVENLABS_BASE_URL=providers.url,
        )


@contextmanager
def application(
    log: Path,
    *,
    workers: int = 1,
    port: int = 0,
    code: Path = PROJECT_DIR,
    own: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run the application as `make run` does, with its output in `log`. Yields when it accepts connections.

    `code` is the folder of its code; `own` are variables that other processes have not.

    A new log is begun, or, for a process that takes the `port` of an earlier one, continued.
    """
    mode = "a" if port else "w"
    port = port or free_port()
    words = ["voiceclone.asgi:application", f"--host={HOST}", f"--port={port}", "--log-level=warning"]
    words += [f"--workers={workers}"] * (workers > 1)
    environment = os.environ | (own or {})
    with log.open(mode) as file, _running("uvicorn", *words, cwd=code, stderr=file, env=environment) as process:
        while not listens(port):
            if process.poll() is not None:
                raise SystemExit(f"The application did not start:\n{log.read_text()}")
            time.sleep(0.1)
        yield Server(f"http://{HOST}:{port}", process.pid, workers)


@contextmanager
def worker(log: Path, *, code: Path = PROJECT_DIR, own: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run the application's worker beside it; `own` are variables that other processes have not."""
    words = ["worker", "--no-startup-delay", "--no-reload", "--with-parent"]
    environment = os.environ | (own or {})
    with log.open("a") as file, _running("manage", *words, cwd=code, stderr=file, env=environment) as process:
        yield Server("", process.pid)


@contextmanager
def _running(module: str, *words: str, cwd: Path = PROJECT_DIR, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", module, *words]
    with subprocess.Popen(command, cwd=cwd, **streams) as process:  # noqa: S603 - all arguments are our own
        try:
            yield process
        finally:
            process.terminate()
