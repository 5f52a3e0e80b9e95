"""Measure how fast the application answers. Fails only if turns fail, not if they are slow."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench import client, load, processes, report
from bench.people import Person, sign_up

SPREAD_SECONDS = 8
SETTLING_SECONDS = 0.5
SERIAL_CONVERSATIONS = 3
OVERLAPPED_TURNS = 20
WORKERS, SHARED_CONVERSATIONS = 2, 50  # As docs/deployment.md recommends for this many conversations.
MEMORY_CONVERSATIONS = 10
MEMORY_WARM_UP_TURNS = 100


def main() -> int:
    options = _options()
    environment = dict(os.environ)
    _say(report.heading())
    with TemporaryDirectory(prefix="voiceclone-bench-") as folder, processes.fake_providers() as providers:
        processes.set_environment(Path(folder), providers)
        os.environ["MEDIA_STORAGE"] = options.media_storage
        people = sign_up(max([*options.conversations, MEMORY_CONVERSATIONS if options.memory_turns else 0]), providers)
        log = Path(folder, "application.log")
        with processes.application(log) as application:
            run = _measure(options, people, providers, application)
        if SHARED_CONVERSATIONS in options.conversations:
            with processes.application(log, workers=WORKERS) as application:
                run = replace(run, shared_level=_measure_shared(options, people, application))
        if run.failures:
            sys.stderr.write("\n".join([log.read_text()[-5000:], *run.failures[:3], ""]))
    _say(f"\n{report.comparison(run)}\n\n{report.verdicts(run)}")
    if options.json:
        options.json.write_text(json.dumps(asdict(run), indent=2) + "\n")
    has_failed = bool(run.failures) or (options.live and _measure_live(options, environment))
    return 1 if has_failed else 0


def _measure_live(options: argparse.Namespace, environment: dict[str, str]) -> bool:
    """Measure live conversations, with an application and a database of their own. Return whether turns have failed."""
    _say("")
    words = [sys.executable, "-m", "bench.live", f"--turns={options.turns}"]
    return subprocess.run(words, env=environment, check=False).returncode != 0  # noqa: S603 - all arguments are our own


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--turns", type=int, default=20, help="minimum number of turns at each level (20)")
    parser.add_argument(
        "--conversations", default="1,10,25,50", help="numbers of concurrent conversations (1,10,25,50)"
    )
    parser.add_argument(
        "--memory-turns",
        type=int,
        default=0,
        help="turns of the memory test, such as 1000 (0: no test)",
    )
    parser.add_argument("--media-storage", default="", help="an object store, as in MEDIA_STORAGE (a folder)")
    parser.add_argument("--json", type=Path, help="file for all individual figures, in seconds and megabytes")
    parser.add_argument("--no-live", dest="live", action="store_false", help="leave out live conversations")
    options = parser.parse_args()
    options.conversations = [int(count) for count in options.conversations.split(",")]
    return options


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _measure(
    options: argparse.Namespace, people: list[Person], providers: processes.Server, application: processes.Server
) -> report.Run:
    def level(count: int, turns: int) -> report.Level:
        measured = _hold_conversations(application, people[:count], turns)
        _say(report.line(measured))
        return measured

    async def serial_seconds() -> list[float]:
        ask = partial(client.ask_serially, providers.url, people[0].voice_id, load.QUESTION, load.REPLY)
        return await asyncio.gather(*(ask() for _ in range(SERIAL_CONVERSATIONS)))

    async def overlapped_seconds() -> list[float]:
        ask = partial(client.ask_overlapped, providers.url, people[0].voice_id, load.QUESTION, *load.first_segment())
        return [await ask() for _ in range(OVERLAPPED_TURNS)]

    memory_turns = [MEMORY_WARM_UP_TURNS, options.memory_turns - MEMORY_WARM_UP_TURNS] if options.memory_turns else []
    return report.Run(
        serial_seconds=uvloop.run(serial_seconds()),
        overlapped_seconds=uvloop.run(overlapped_seconds()),
        first_turn=_hold_conversations(application, people[:1], turns=1),
        levels=[level(count, options.turns) for count in options.conversations],
        memory_levels=[level(MEMORY_CONVERSATIONS, turns) for turns in memory_turns],
    )


def _measure_shared(options: argparse.Namespace, people: list[Person], application: processes.Server) -> report.Level:
    """Measure several processes together, after a warm-up of each process."""
    _say(f"with {WORKERS} processes:")
    _hold_conversations(application, people[: 4 * WORKERS], turns=4 * WORKERS)
    measured = _hold_conversations(application, people[:SHARED_CONVERSATIONS], options.turns)
    _say(report.line(measured))
    return measured


def _hold_conversations(application: processes.Server, people: list[Person], turns: int) -> report.Level:
    """Hold one conversation per person, with staggered starts and at least `turns` turns in total."""
    conversations = [client.start_conversation(application.url, person.token, person.voice) for person in people]
    times: list[client.TurnTimes] = []
    failures: list[str] = []

    async def talk(number: int) -> None:
        await asyncio.sleep(SPREAD_SECONDS * number / len(people))
        for _ in range(math.ceil(turns / len(people))):
            try:
                times.append(await client.ask(conversations[number], people[number].token, load.QUESTION))
            except client.AnswerError as error:
                failures.append(str(error))
            # The application still finishes the turn after its last byte, and a person would not ask again at once.
            await asyncio.sleep(SETTLING_SECONDS)

    async def talk_all_at_once() -> None:
        await asyncio.gather(*map(talk, range(len(people))))

    memory, cpu = application.memory_megabytes(), application.cpu_seconds()
    uvloop.run(talk_all_at_once())
    cpu = application.cpu_seconds() - cpu
    return report.Level(len(people), times, failures, cpu, memory, application.memory_megabytes())


if __name__ == "__main__":
    sys.exit(main())
