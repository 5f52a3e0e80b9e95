"""The application in separate processes, which tests can kill. It uses the database of the test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.conversations.models import Turn
from apps.voices.models import VoiceProfile
from tests.client import PATIENCE_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def kill(pid: int) -> None:
    """Kill a process and wait until it has ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid))


@dataclass
class Site:
    """A web server and a worker. `web` and `worker` are their process ids, or 0 before their first start."""

    forks: subprocess.Popen[str]
    port: int
    web: int = 0
    worker: int = 0
    killed: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_web(self) -> None:
        """Start the web server unless it runs already, and wait until it responds."""
        if not (self.web and is_alive(self.web)):
            self.web = self._start(f"web {self.port}")
            wait_until(self._serves)

    def start_worker(self) -> None:
        """Start the worker, which first repairs interrupted work."""
        self.worker = self._start("worker")

    def kill_web(self) -> None:
        self._kill(self.web)

    def kill_worker(self) -> None:
        self._kill(self.worker)

    def _kill(self, pid: int) -> None:
        kill(pid)
        self.killed.append(pid)  # Last: whoever waits for it starts the next process.

    def _start(self, line: str) -> int:
        assert self.forks.stdin
        assert self.forks.stdout
        self.forks.stdin.write(f"{line}\n")
        self.forks.stdin.flush()
        return int(self.forks.stdout.readline())

    def _serves(self) -> bool:
        with suppress(requests.ConnectionError):
            return requests.get(f"{self.url}/healthz", timeout=PATIENCE_SECONDS).ok
        return False


@contextmanager
def running_site(provider_url: str, log: IO[str], **variables: str) -> Iterator[Site]:
    """Yield a site whose engines are at `provider_url`. All its processes are killed at the end."""
    command = [sys.executable, "-m", "tests.faults.forks"]
    with (
        socket.create_server(("127.0.0.1", 0)) as free,
        subprocess.Popen(  # noqa: S603
            command,
            cwd=settings.BASE_DIR,
            env=_environment(provider_url) | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as forks,
    ):
        port: int = free.getsockname()[1]
        free.close()
        site = Site(forks, port)
        try:
            yield site
        finally:
            for pid in (site.web, site.worker):
                if pid:
                    kill(pid)
            assert forks.stdin
            forks.stdin.close()


def _environment(provider_url: str) -> dict[str, str]:
    """Return the environment of the site. `tests.settings` hides all variables that are not set here."""
    own = {
        "DJANGO_SETTINGS_MODULE": "voiceclone.settings",
        "SECRET_KEY": settings.SECRET_KEY,
        "DATABASE_URL": _database_url(),
        "MEDIA_ROOT": str(settings.MEDIA_ROOT),
        "LIMITS": "on",
        "CONSENT": "attested",
        "OPENAI_API_KEY": "test-key",
        "OPENAI_BASE_URL": f"{provider_url}/v1",
        "ELEVENLABS_API_KEY": "test-key",
        "ELEVENLABS_BASE_URL": provider_url,
    }
    return os.environ | own


def _database_url() -> str:
    name = connection.settings_dict["NAME"]
    url = os.environ["DATABASE_URL"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def expire_leases() -> None:
    """Let all leases expire, so that running work counts as interrupted."""
    past = timezone.now() - timedelta(seconds=1)
    Turn.objects.update(lease_until=past)
    VoiceProfile.objects.update(lease_until=past)
