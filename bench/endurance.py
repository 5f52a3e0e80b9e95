"""Let many people talk for minutes while a share of all calls to the services fails, and see that nothing is lost.

What is promised (docs/reliability.md) and turns out otherwise makes it fail: an error that is not documented, a turn
without a row, a row without an end or without its sound, a database that is locked, memory that grows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from bench import client, load, processes
from bench.people import Person, sign_up

LISTENING_SECONDS = len(load.REPLY) / 15  # As long as the fake takes to speak it.
PAUSE_SECONDS = 2
RETRIES = 2
# Of a person's questions, each so-maniest is typed, or its answer not listened to.
TYPED_EVERY, LEFT_EVERY = 4, 7
MOST_GROWTH = 1.1
SETTLING_SECONDS = 30


@dataclass
class Sitting:
    """What people met with. `minutes` are the megabytes of the web server, minute by minute."""

    asked: int = 0
    retried: int = 0
    turns: set[str] = field(default_factory=set)
    endings: Counter[str] = field(default_factory=Counter)
    strange: list[str] = field(default_factory=list)
    minutes: list[float] = field(default_factory=list)

    def note(self, ending: client.Ending) -> None:
        self.endings[ending.code or "spoken"] += 1
        if ending.turn:
            self.turns.add(ending.turn)


def main() -> int:
    options = _options()
    with (
        TemporaryDirectory(prefix="voiceclone-endurance-") as folder,
        processes.fake_providers(failing_share=options.failing / 100) as providers,
    ):
        processes.set_environment(Path(folder), providers)
        os.environ["LIMITS"] = "on"
        people = sign_up(options.people, providers)
        logs = [Path(folder, name) for name in ("application.log", "worker.log")]
        with processes.application(logs[0]) as application, processes.worker(logs[1]):
            sitting = uvloop.run(_sit(people, application, options.minutes))
            problems = [*_of_answers(sitting), *_of_rows(sitting), *_of_memory(sitting), *_of_logs(logs)]
    _say(sitting, problems)
    return 1 if problems else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.endurance", description=__doc__)
    parser.add_argument("--people", type=int, default=50, help="how many talk at once (50)")
    parser.add_argument("--minutes", type=float, default=5, help="for how long (5)")
    parser.add_argument("--failing", type=float, default=5, help="percent of the calls to the services that fail (5)")
    return parser.parse_args()


async def _sit(people: list[Person], application: processes.Server, minutes: float) -> Sitting:
    sitting = Sitting()
    end = time.monotonic() + 60 * minutes
    watch = asyncio.create_task(_watch(sitting, application))
    talks = []
    for number, person in enumerate(people):
        talks.append(asyncio.create_task(_talk(sitting, application.url, person, number, end)))
        await asyncio.sleep(LISTENING_SECONDS / len(people))  # Nobody begins at the same moment as all others.
    await asyncio.gather(*talks)
    watch.cancel()
    sitting.minutes.append(application.memory_megabytes())
    return sitting


async def _watch(sitting: Sitting, application: processes.Server) -> None:
    while True:
        await asyncio.sleep(60)
        sitting.minutes.append(application.memory_megabytes())


async def _talk(sitting: Sitting, url: str, person: Person, number: int, end: float) -> None:
    """Ask, listen, and ask again; what fails is tried again."""
    turns = await asyncio.to_thread(client.start_conversation, url, person.token, person.voice)
    asked = number
    while time.monotonic() < end:
        asked += 1
        sitting.asked += 1
        started = time.monotonic()
        question = {"json": {"text": "And then?"}} if asked % TYPED_EVERY == 0 else {"files": {"audio": load.QUESTION}}
        ending = await _turn(sitting, turns, person, leave=asked % LEFT_EVERY == 0, **question)
        for _ in range(RETRIES):
            if ending.retryable:
                await asyncio.sleep(PAUSE_SECONDS)
                sitting.retried += 1
                ending = await _turn(sitting, f"{url}/api/v1/turns/{ending.turn}/retry", person, json={})
        is_heard = not ending.code
        await asyncio.sleep(max(PAUSE_SECONDS, started + LISTENING_SECONDS - time.monotonic() if is_heard else 0))


async def _turn(sitting: Sitting, url: str, person: Person, **question: Any) -> client.Ending:
    try:
        ending = await client.hold_turn(url, person.token, **question)
    except (client.AnswerError, OSError, EOFError, TimeoutError, ValueError, KeyError) as error:
        sitting.strange.append(f"{type(error).__name__}: {error}")
        return client.Ending("", "strange")
    sitting.note(ending)
    return ending


def _of_answers(sitting: Sitting) -> Iterator[str]:
    yield from sitting.strange
    documented = set(re.findall(r"`(\w+)`", (processes.PROJECT_DIR / "docs/api.md").read_text()))
    for code in sitting.endings.keys() - documented - {"spoken", "left"}:
        yield f"{code} is not documented"


def _of_rows(sitting: Sitting) -> Iterator[str]:
    """Compare what people were told with what is stored, when the last turn is over."""
    from apps.conversations.models import RUNNING, Turn
    from apps.usage.models import UsageDay

    deadline = time.monotonic() + SETTLING_SECONDS
    while Turn.objects.filter(status__in=RUNNING).exists() and time.monotonic() < deadline:
        time.sleep(0.5)
    rows = {str(turn.pk): turn for turn in Turn.objects.all()}
    sys.stdout.write(f"rows: {dict(Counter(turn.status for turn in rows.values()))}\n")
    for pk in sitting.turns - rows.keys():
        yield f"turn {pk} has no row"
    for pk in rows.keys() - sitting.turns:
        yield f"nobody was told of turn {pk}: {rows[pk].status} {rows[pk].error_code}"
    for pk, turn in rows.items():
        if turn.status in RUNNING:
            yield f"turn {pk} does not end"
        if turn.status == Turn.Status.SPOKEN and not (turn.answer and Path(turn.answer.path).stat().st_size):
            yield f"turn {pk} has lost its sound"
    for day in UsageDay.objects.exclude(running=0, reserved_heard_ms=0, reserved_characters=0):
        yield (
            f"person {day.owner_id} has reserved: {day.running} running, {day.reserved_heard_ms} ms, "
            f"{day.reserved_characters} characters"
        )


def _of_memory(sitting: Sitting) -> Iterator[str]:
    """At the end, no more is in use than as many people needed in the first half: not all are there from the start."""
    half = max(sitting.minutes[: math.ceil(len(sitting.minutes) / 2)])
    last = sitting.minutes[-1]
    if last > half * MOST_GROWTH:
        yield f"memory has grown from {half:.0f} to {last:.0f} MB in the second half"


def _of_logs(logs: list[Path]) -> Iterator[str]:
    for line in "".join(log.read_text() for log in logs).splitlines():
        if "database is locked" in line or "Traceback" in line or _level(line) in {"ERROR", "CRITICAL"}:
            yield f"log: {line[:500]}"


def _level(line: str) -> str:
    try:
        return str(json.loads(line)["level"])
    except (ValueError, KeyError, TypeError):
        return ""


def _say(sitting: Sitting, problems: list[str]) -> None:
    memory = " ".join(f"{megabytes:.0f}" for megabytes in sitting.minutes)
    lines = [
        f"{sitting.asked} questions, {sitting.retried} retries, {len(sitting.turns)} turns",
        *(f"  {count:5} {code}" for code, count in sitting.endings.most_common()),
        f"memory, minute by minute: {memory} MB",
        *(problems[:20] or ["nothing lost, nothing undocumented"]),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
