"""Bring a site up to date while people talk: its processes are replaced one after the other, behind nginx.

Two web servers and a worker of REVISION (a tag or a commit) run on PostgreSQL, with the tables of the code here. One
after the other is told to stop, and the code here takes its place. Fails if a request fails, a live connection cannot
be made again at once, or a promise of docs/reliability.md is broken. Needs nginx and PostgreSQL's server.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.frames import CloseCode

from bench import endurance, processes
from bench.people import Person, sign_up
from tests.nginx import running_nginx
from tests.ports import free_port
from tests.postgresql import running_postgresql
from tests.rolling.revisions import checked_out

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

SOCKETS = 4


@dataclass
class Sockets:
    """Live connections on which nothing is said: how many were opened, and why others were not."""

    opened: int = 0
    failures: list[str] = field(default_factory=list)


class Replaceable:
    """A process that is stopped as a supervisor stops it, and followed by another."""

    def __init__(self, start: Callable[[Path], AbstractContextManager[processes.Server]], code: Path) -> None:
        self._start = start
        self._stack = ExitStack()
        self.server = self._stack.enter_context(start(code))

    def replace(self, code: Path) -> None:
        self.stop()
        self.server = self._stack.enter_context(self._start(code))

    def stop(self) -> None:
        """Send SIGTERM, and wait until the process has ended."""
        self._stack.close()


def main() -> int:
    options = _options()
    with TemporaryDirectory(prefix="voiceclone-rolling-") as name, processes.fake_providers() as providers:
        folder = Path(name)
        processes.set_environment(folder, providers)
        with running_postgresql() as database, ExitStack() as stack:
            os.environ |= {"DATABASE_URL": database, "LIMITS": "on", "SHUTDOWN_GRACE_SECONDS": "60"}
            people = sign_up(options.people, providers)
            old = checked_out(options.revision, folder / "old")
            web = [Replaceable(partial(_web, folder / f"web-{number}.log", free_port()), old) for number in range(2)]
            site = [*web, Replaceable(partial(_worker, folder / "worker.log"), old)]
            for each in site:
                stack.callback(each.stop)
            ports = [urlsplit(each.server.url).port or 0 for each in web]
            url = stack.enter_context(running_nginx(folder, (ports[0], ports[1])))
            session, sockets = uvloop.run(_run(url, people, site, 60 * options.minutes))
            failed = {code: count for code, count in session.endings.items() if code not in {"spoken", "left"}}
            problems = [
                *(f"{count} turns ended with {code}" for code, count in failed.items()),
                *endurance.answer_problems(session),
                *sockets.failures,
                *endurance.row_problems(session),
                *endurance.log_problems(list(folder.glob("*.log"))),
            ]
    sys.stdout.write(f"{len(site)} processes replaced, {sockets.opened} live connections opened by {SOCKETS} people\n")
    endurance.print_report(session, problems)
    return 1 if problems else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.rolling", description=__doc__)
    parser.add_argument("revision", nargs="?", default="HEAD", help="what runs at first (HEAD)")
    parser.add_argument("--people", type=int, default=20, help="number of people that talk at once (20)")
    parser.add_argument("--minutes", type=float, default=1, help="duration of the run (1)")
    return parser.parse_args()


def _web(log: Path, port: int, code: Path) -> AbstractContextManager[processes.Server]:
    return processes.application(log, port=port, code=code)


def _worker(log: Path, code: Path) -> AbstractContextManager[processes.Server]:
    return processes.worker(log, code=code)


async def _run(
    url: str, people: list[Person], site: list[Replaceable], seconds: float
) -> tuple[endurance.Session, Sockets]:
    """Let the people talk for so long. In the meantime, replace each process, at regular times."""
    session, sockets = endurance.Session(), Sockets()
    end = time.monotonic() + seconds
    held = [asyncio.create_task(_hold(url, person, sockets)) for person in people[:SOCKETS]]
    talks = [
        asyncio.create_task(endurance.talk(session, url, person, number, end)) for number, person in enumerate(people)
    ]
    for process in site:
        await asyncio.sleep(seconds / (len(site) + 1))
        await asyncio.to_thread(process.replace, processes.PROJECT_DIR)
    await asyncio.gather(*talks)
    for socket in held:
        socket.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    session.memory_megabytes.append(sum(process.server.memory_megabytes() for process in site[:2]))
    return session, sockets


async def _hold(url: str, person: Person, sockets: Sockets) -> None:
    """Keep a live connection open, and open another whenever the server ends it."""
    address = f"{url.replace('http', 'ws', 1)}/v1/realtime?voice={person.voice}"
    headers = {"Authorization": f"Bearer {person.token}"}
    while True:
        try:
            async with connect(address, additional_headers=headers, compression=None) as socket:
                sockets.opened += 1
                async for _message in socket:
                    pass
        except (OSError, WebSocketException) as error:
            if isinstance(error, ConnectionClosed) and error.rcvd and error.rcvd.code == CloseCode.SERVICE_RESTART:
                continue
            sockets.failures.append(f"live connection: {type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main())
