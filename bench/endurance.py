"""Let many people talk for minutes while a share of all calls to the services fails, and check that nothing is lost.

With `--kills`, a web server and a worker are killed (SIGKILL) that many times, and started again. Fails if a promise of
docs/reliability.md is broken: an undocumented error, a turn without a row, a row that does not end or has no sound, a
locked database, growing memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import uvloop

from bench import client, load, processes
from bench.people import Person, sign_up

LISTENING_SECONDS = len(load.REPLY) / 15  # The duration of the fake's speech.
PAUSE_SECONDS = 2
RETRIES = 2
# Every fourth question of a person is typed, and the client disconnects from every seventh answer.
TYPED_EVERY, LEFT_EVERY = 4, 7
MAX_MEMORY_GROWTH = 1.1
SETTLING_SECONDS = 30
# The turns of a killed process are ended by the next reconciling, once their leases are over.
REPAIR_SECONDS = 300
RESTART_SECONDS = 2


@dataclass
class Session:
    """The results of a run. `memory_megabytes` has the memory of the web server, one value per minute."""

    asked: int = 0
    retried: int = 0
    turns: set[str] = field(default_factory=set)
    endings: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    memory_megabytes: list[float] = field(default_factory=list)
    kills: int = 0

    def note(self, ending: client.Ending) -> None:
        self.endings[ending.code or "spoken"] += 1
        if ending.turn:
            self.turns.add(ending.turn)


class Kept:
    """A process that is started again after it was killed, as an operator's supervisor does."""

    def __init__(self, start: Callable[[int], AbstractContextManager[processes.Server]], stack: ExitStack) -> None:
        self._start, self._stack = start, stack
        self.server = stack.enter_context(start(0))

    async def kill(self) -> None:
        os.kill(self.server.pid, signal.SIGKILL)
        await asyncio.sleep(RESTART_SECONDS)
        again = self._start(urlsplit(self.server.url).port or 0)
        self.server = await asyncio.to_thread(self._stack.enter_context, again)


def main() -> int:
    options = _options()
    with (
        TemporaryDirectory(prefix="voiceclone-endurance-") as folder,
        processes.fake_providers(failing_share=options.failing / 100) as providers,
        ExitStack() as stack,
    ):
        processes.set_environment(Path(folder), providers)
        os.environ["LIMITS"] = "on"
        os.environ["DATABASE_URL"] = options.database or os.environ["DATABASE_URL"]
        people = sign_up(options.people, providers)
        web = [_kept(stack, processes.application, Path(folder, f"web-{n}.log")) for n in range(options.processes)]
        workers = [_kept(stack, _worker, Path(folder, f"worker-{n}.log")) for n in range(options.processes)]
        session = uvloop.run(_run(people, web, workers, options))
        problems = [
            *answer_problems(session),
            *row_problems(session),
            *_memory_problems(session),
            *log_problems(list(Path(folder).glob("*.log"))),
        ]
    print_report(session, problems)
    return 1 if problems else 0


def _kept(stack: ExitStack, run: Callable[..., AbstractContextManager[processes.Server]], log: Path) -> Kept:
    return Kept(lambda port: run(log, port=port), stack)


def _worker(log: Path, *, port: int) -> AbstractContextManager[processes.Server]:
    return processes.worker(log)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.endurance", description=__doc__)
    parser.add_argument("--people", type=int, default=50, help="number of people that talk at once (50)")
    parser.add_argument("--minutes", type=float, default=5, help="duration of the run (5)")
    parser.add_argument("--failing", type=float, default=5, help="percent of the calls to the services that fail (5)")
    parser.add_argument("--database", default="", help="address of an empty database (a new SQLite file)")
    parser.add_argument("--processes", type=int, default=1, help="number of web servers, and of workers (1)")
    parser.add_argument("--kills", type=int, default=0, help="how often a web server and a worker are killed (0)")
    return parser.parse_args()


async def _run(people: list[Person], web: list[Kept], workers: list[Kept], options: argparse.Namespace) -> Session:
    session = Session()
    end = time.monotonic() + 60 * options.minutes
    watch = asyncio.create_task(_record_memory(session, web))
    kills = asyncio.create_task(_kill(session, web, workers, options))
    talks = []
    for number, person in enumerate(people):
        url = web[number % len(web)].server.url
        talks.append(asyncio.create_task(talk(session, url, person, number, end)))
        await asyncio.sleep(LISTENING_SECONDS / len(people))  # Staggered starts.
    await asyncio.gather(*talks)
    await kills
    watch.cancel()
    session.memory_megabytes.append(_memory(web))
    return session


async def _kill(session: Session, web: list[Kept], workers: list[Kept], options: argparse.Namespace) -> None:
    """Kill a web server and a worker at regular times, each time others."""
    for kill in range(options.kills):
        await asyncio.sleep(60 * options.minutes / (options.kills + 1))
        session.kills += 1
        await asyncio.gather(web[kill % len(web)].kill(), workers[kill % len(workers)].kill())


def _memory(web: list[Kept]) -> float:
    return sum(each.server.memory_megabytes() for each in web)


async def _record_memory(session: Session, web: list[Kept]) -> None:
    while True:
        await asyncio.sleep(60)
        session.memory_megabytes.append(_memory(web))


async def talk(session: Session, url: str, person: Person, number: int, end: float) -> None:
    """Ask and listen until `end`. Retries a turn that failed."""
    turns = await asyncio.to_thread(client.start_conversation, url, person.token, person.voice)
    asked = number
    while time.monotonic() < end:
        asked += 1
        session.asked += 1
        started = time.monotonic()
        question = {"json": {"text": "And then?"}} if asked % TYPED_EVERY == 0 else {"files": {"audio": load.QUESTION}}
        ending = await _turn(session, turns, person, leave=asked % LEFT_EVERY == 0, **question)
        for _ in range(RETRIES):
            if ending.retryable:
                await asyncio.sleep(PAUSE_SECONDS)
                session.retried += 1
                ending = await _turn(session, f"{url}/api/v1/turns/{ending.turn}/retry", person, json={})
        is_heard = not ending.code
        await asyncio.sleep(max(PAUSE_SECONDS, started + LISTENING_SECONDS - time.monotonic() if is_heard else 0))


async def _turn(session: Session, url: str, person: Person, **question: Any) -> client.Ending:
    try:
        ending = await client.hold_turn(url, person.token, told=session.turns.add, **question)
    except (client.AnswerError, OSError, EOFError, TimeoutError, ValueError, KeyError) as error:
        if session.kills and isinstance(error, ConnectionError | EOFError):
            session.endings["cut"] += 1
            return client.Ending("", "cut")
        session.unexpected.append(f"{type(error).__name__}: {error}")
        return client.Ending("", "unexpected")
    session.note(ending)
    return ending


def answer_problems(session: Session) -> Iterator[str]:
    yield from session.unexpected
    documented = set(re.findall(r"`(\w+)`", (processes.PROJECT_DIR / "docs/api.md").read_text()))
    for code in session.endings.keys() - documented - {"spoken", "left", "cut"}:
        yield f"{code} is not documented"


def row_problems(session: Session) -> Iterator[str]:
    """Wait for the last turn, then compare the events that people received with the stored rows."""
    from apps.conversations.models import RUNNING, Turn
    from apps.usage.models import UsageDay

    deadline = time.monotonic() + (REPAIR_SECONDS if session.kills else SETTLING_SECONDS)
    while Turn.objects.filter(status__in=RUNNING).exists() and time.monotonic() < deadline:
        time.sleep(0.5)
    rows = {str(turn.pk): turn for turn in Turn.objects.all()}
    sys.stdout.write(f"rows: {dict(Counter(turn.status for turn in rows.values()))}\n")
    for pk in session.turns - rows.keys():
        yield f"turn {pk} has no row"
    for pk in rows.keys() - session.turns if not session.kills else ():
        yield f"no client received turn {pk}: {rows[pk].status} {rows[pk].error_code}"
    for pk, turn in rows.items():
        if turn.status in RUNNING:
            yield f"turn {pk} does not end"
        if turn.status == Turn.Status.SPOKEN and not (turn.answer and turn.answer.size):
            yield f"turn {pk} has lost its sound"
    for day in UsageDay.objects.exclude(running=0, reserved_heard_ms=0, reserved_characters=0):
        yield (
            f"person {day.owner_id} still has reservations: {day.running} running, {day.reserved_heard_ms} ms, "
            f"{day.reserved_characters} characters"
        )


def _memory_problems(session: Session) -> Iterator[str]:
    """Compare the memory at the end with the maximum of the first half. Not the start: people arrive one by one."""
    if session.kills:  # The memory of new processes says nothing.
        return
    half = max(session.memory_megabytes[: math.ceil(len(session.memory_megabytes) / 2)])
    last = session.memory_megabytes[-1]
    if last > half * MAX_MEMORY_GROWTH:
        yield f"memory has grown from {half:.0f} to {last:.0f} MB in the second half"


def log_problems(logs: list[Path]) -> Iterator[str]:
    for line in "".join(log.read_text() for log in logs).splitlines():
        if "database is locked" in line or "Traceback" in line or _level(line) in {"ERROR", "CRITICAL"}:
            yield f"log: {line[:500]}"


def _level(line: str) -> str:
    try:
        return str(json.loads(line)["level"])
    except (ValueError, KeyError, TypeError):
        return ""


def print_report(session: Session, problems: list[str]) -> None:
    memory = " ".join(f"{megabytes:.0f}" for megabytes in session.memory_megabytes)
    lines = [
        f"{session.asked} questions, {session.retried} retries, {len(session.turns)} turns",
        *(f"  {count:5} {code}" for code, count in session.endings.most_common()),
        f"memory per minute: {memory} MB",
        *(problems[:20] or ["nothing lost, nothing undocumented"]),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
