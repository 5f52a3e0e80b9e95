"""Measure how soon a live conversation answers, from the last spoken sample on."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import uvloop
from django.core.management import call_command

from bench import live_report, load, processes
from bench.client import AnswerError
from bench.live_client import Said, live, spoken
from bench.live_report import Kind, Level, Run
from bench.people import Person, sign_up
from tests.fakes.live import MISSED_SECONDS, voiced_seconds

# Five seconds, with an answer of ten, are for the processor; the last two will do for the times.
SENTENCE, LAST_WORDS = spoken(5.0), spoken(2.0)
# The fake knows all words when nearly all of these seconds were voiced: with the last voiced sound, and not before it.
SPOKEN_SECONDS = voiced_seconds(LAST_WORDS.pcm) + MISSED_SECONDS / 2
SPREAD_SECONDS, ROUNDS = 8, 2
# A socket keeps its connection to speech to text for the first half minute.
SETTLING_SECONDS, IDLE_SECONDS = 33, 15
MEMORY_WARM_UP_TURNS = 100

LATE = Kind("push-to-talk, released 200 ms after the last word", release_after=0.2)
AT_ONCE = Kind("push-to-talk, released on the last word", release_after=0.0)
HANDS_FREE = Kind("hands-free (semantic_vad)")
MANY = Kind(f"hands-free, {live_report.MANY} at once", conversations=live_report.MANY, hears_all=True)
KINDS = {"late": LATE, "at-once": AT_ONCE, "hands-free": HANDS_FREE, "many": MANY}
IDLE = "idle"


class Setting(NamedTuple):
    people: list[Person]
    application: processes.Server
    requests: Path

    def model_calls(self) -> int:
        return self.requests.read_text().count('"/v1/chat/completions"')


def main() -> int:
    run = measure(_options())
    return 1 if run.failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.live", description=__doc__)
    parser.add_argument("--turns", type=int, default=20, help="turns of each kind (20)")
    kinds = [*KINDS, IDLE]
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds, metavar="KIND", help=" ".join(kinds))
    parser.add_argument(
        "--memory-turns", type=int, default=0, help="turns of the memory test, such as 600 (0: no test)"
    )
    parser.add_argument("--json", type=Path, help="file for all individual figures, in seconds and megabytes")
    return parser.parse_args()


def measure(options: argparse.Namespace) -> Run:
    """Measure what the options say, and print it."""
    run = Run()
    _say(live_report.heading(run))
    models_dir = os.environ.get("MODELS_DIR", "")
    with TemporaryDirectory(prefix="voiceclone-bench-") as folder:
        log, requests = Path(folder, "application.log"), Path(folder, "requests.jsonl")
        with processes.fake_providers(reply=load.SHORT_REPLY, log=requests, spoken_seconds=SPOKEN_SECONDS) as providers:
            processes.set_environment(Path(folder), providers)
            os.environ["MODELS_DIR"] = models_dir
            people = sign_up(live_report.MANY, providers)
            with Path(folder, "fetched").open("w") as fetched:
                call_command("fetch_models", if_used=True, stdout=fetched)
            with processes.application(log) as application:
                _measure(options, run, Setting(people, application, requests))
        if run.failures:
            sys.stderr.write("\n".join([log.read_text()[-5000:], *run.failures[:3], ""]))
    _say(f"\n{live_report.verdicts(run)}")
    if options.json:
        options.json.write_text(json.dumps(asdict(run), indent=2) + "\n")
    return run


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _measure(options: argparse.Namespace, run: Run, setting: Setting) -> None:
    def level(kind: Kind, turns: int) -> Level:
        measured = uvloop.run(_hold_conversations(kind, setting, turns))
        _say(live_report.line(measured))
        return measured

    uvloop.run(_hold_conversations(HANDS_FREE, setting, 1))  # A process is slower at first.
    for name in options.only:
        if name == IDLE:
            run.idle_shares = uvloop.run(_keep_sockets_open(setting))
        else:
            kind = KINDS[name]
            run.levels[name] = level(kind, max(options.turns, ROUNDS * kind.conversations * (kind is MANY)))
    if options.memory_turns:
        turns = [MEMORY_WARM_UP_TURNS, options.memory_turns - MEMORY_WARM_UP_TURNS]
        run.memory = [level(MANY, each) for each in turns]


async def _hold_conversations(kind: Kind, setting: Setting, turns: int) -> Level:
    """Hold the conversations of `kind`, with staggered starts and at least `turns` turns in total."""
    level = Level(kind)
    said = SENTENCE if kind.hears_all else LAST_WORDS
    application = setting.application
    cpu, calls = application.cpu_seconds(), setting.model_calls()
    talks = (
        _talk(level, person, application.url, said, math.ceil(turns / kind.conversations), SPREAD_SECONDS * number)
        for number, person in enumerate(setting.people[: kind.conversations])
    )
    await asyncio.gather(*talks)
    await asyncio.sleep(0.5)  # What was interrupted is stored.
    level.cpu_seconds = application.cpu_seconds() - cpu
    level.model_calls = setting.model_calls() - calls
    level.megabytes = application.memory_megabytes()
    return level


async def _talk(level: Level, person: Person, url: str, said: Said, turns: int, delay: float) -> None:
    kind = level.kind
    await asyncio.sleep(delay / kind.conversations)
    async with live(url, person.token, person.voice, is_hands_free=kind.is_hands_free) as client:
        for _ in range(turns):
            try:
                answer = await client.ask(said, release_after=kind.release_after or 0.0, hears_all=kind.hears_all)
                level.times.append(answer)
            except (AnswerError, TimeoutError) as error:
                level.failures.append(f"{type(error).__name__}: {error}")


async def _keep_sockets_open(setting: Setting) -> list[float]:
    """Return the share of a core that sockets take on which nothing happens: at first, and later."""
    application, shares = setting.application, []
    async with AsyncExitStack() as stack:
        for number in range(live_report.IDLE_SOCKETS):
            person = setting.people[number % len(setting.people)]
            await stack.enter_async_context(live(application.url, person.token, person.voice, is_hands_free=False))
        opened = asyncio.get_running_loop().time()
        for wait in (0.0, SETTLING_SECONDS):
            await asyncio.sleep(max(0.0, opened + wait - asyncio.get_running_loop().time()))
            cpu = application.cpu_seconds()
            await asyncio.sleep(IDLE_SECONDS)
            shares.append((application.cpu_seconds() - cpu) / IDLE_SECONDS)
    return shares


if __name__ == "__main__":
    sys.exit(main())
