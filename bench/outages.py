"""Let people talk with several processes while services fail, processes are killed, and what they share stops.

Three web servers behind nginx and two workers, with PostgreSQL, Redis and an object store. A share of all calls to the
providers fails, a process is killed regularly (SIGKILL) and started again, the store is silent for a while, Redis is
gone for as long, and PostgreSQL is restarted. Prints what people were answered, by status and code. Fails if an answer
is not documented, if anything is lost that somebody was told, or if anything is not given back afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import uvloop

from bench import client, endurance, load, outage_checks, processes
from bench.people import Person, sign_up
from bench.shared import Shared, running_services, use_providers
from tests.fakes.behaviour import Behaviour
from tests.fakes.provider import FakeProvider
from tests.nginx import running_nginx

WEB_SERVERS, WORKERS = 3, 2
PLAN = 6  # Requests for speech at once that the provider allows.
LISTENING_SECONDS = 10
PAUSE_SECONDS = 2
RETRIES, REPEATS = 2, 3
# Of a person's questions. A key is sent again after a connection was lost.
TYPED_EVERY, LEFT_EVERY, KEYED_EVERY = 4, 7, 2
# Shares of all turns after which something stops, and how long PostgreSQL takes to come back.
STORE_AT, REDIS_AT, DATABASE_AT = 0.2, 0.45, 0.7
RESTART_SECONDS = 3
# A connection that was lost so soon after a kill was lost by it.
CUT_SECONDS = 10


@dataclass
class Told:
    """What people were told: the ids of turns, and the replies of those that were done.

    `unstored` are turns of which nobody was told that they are kept: they failed with storage_unavailable, or their
    process was killed.
    """

    asked: int = 0
    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    turns: set[str] = field(default_factory=set)
    done: dict[str, str] = field(default_factory=dict)
    unstored: set[str] = field(default_factory=set)
    unexpected: list[str] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    redis_down: list[float] = field(default_factory=list)  # When it went, and when it came back.

    def note(self, ending: client.Ending) -> None:
        self.answers[ending.status, ending.code or "spoken"] += 1
        if ending.turn:
            self.turns.add(ending.turn)
        if ending.turn and not ending.code:
            self.done[ending.turn] = ending.reply
        if ending.code in {"storage_unavailable", "cut"}:
            self.unstored.add(ending.turn)

    def is_by_kill(self) -> bool:
        return bool(self.kills) and time.time() - self.kills[-1] < CUT_SECONDS


def main() -> int:
    options = _options()
    behaviour = Behaviour(
        key=None,
        reply=load.SHORT_REPLY,
        failing_share=options.failing / 100,
        speech_limit=PLAN,
        keeps_sound=False,
        hear_seconds=load.HEAR_SECONDS,
        first_token_seconds=load.FIRST_TOKEN_SECONDS,
        tokens_per_second=load.TOKENS_PER_SECOND,
        first_audio_seconds=load.FIRST_AUDIO_SECONDS,
        audio_speed=load.AUDIO_SPEED,
    )
    with (
        TemporaryDirectory(prefix="voiceclone-outages-") as name,
        FakeProvider(behaviour).running() as provider,
        ExitStack() as stack,
    ):
        folder = Path(name)
        processes.set_environment(folder, None)
        use_providers(provider)
        os.environ |= {"LIMITS": "on", "ELEVENLABS_MAX_CONCURRENT": str(PLAN), "PROCESSES": str(WEB_SERVERS)}
        shared = stack.enter_context(running_services())
        people = sign_up(options.people, processes.Server(provider.url, os.getpid()))
        web = [_kept(stack, processes.application, folder / f"web-{number}.log") for number in range(WEB_SERVERS)]
        workers = [_kept(stack, _worker, folder / f"worker-{number}.log") for number in range(WORKERS)]
        url = stack.enter_context(running_nginx(folder, [urlsplit(each.server.url).port or 0 for each in web]))
        told = uvloop.run(_run(url, people, [*web, *workers], shared, options))
        _print_answers(told)
        problems = [
            *_plan_problems(told, provider),
            *_answer_problems(told),
            *outage_checks.losses(told.turns - told.unstored, told.done),
            *outage_checks.leftovers(shared.redis, provider, patience=options.patience),
        ]
        outage_checks.print_errors(list(folder.glob("*.log")))
    sys.stdout.write("\n".join(problems[:30] or ["nothing lost, nothing undocumented, everything given back"]) + "\n")
    return 1 if problems else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.outages", description=__doc__)
    parser.add_argument("--turns", type=int, default=2000, help="number of questions (2000)")
    parser.add_argument("--people", type=int, default=24, help="number of people that talk at once (24)")
    parser.add_argument("--failing", type=float, default=5, help="percent of the calls to the services that fail (5)")
    parser.add_argument("--kill-every", type=float, default=60, help="seconds from one kill to the next (60)")
    parser.add_argument("--down", type=float, default=30, help="seconds for which the store and Redis are down (30)")
    parser.add_argument(
        "--patience",
        type=float,
        default=outage_checks.REPAIR_SECONDS,
        help=f"seconds in which everything has to be given back ({outage_checks.REPAIR_SECONDS})",
    )
    return parser.parse_args()


def _kept(stack: ExitStack, run: Callable[..., Any], log: Path) -> endurance.Kept:
    return endurance.Kept(lambda port: run(log, port=port), stack)


def _worker(log: Path, *, port: int) -> Any:
    return processes.worker(log)


async def _run(
    url: str, people: list[Person], site: list[endurance.Kept], shared: Shared, options: argparse.Namespace
) -> Told:
    told = Told()
    disturbances = [
        asyncio.create_task(_kill(told, site, options.kill_every)),
        asyncio.create_task(_stop_each(told, shared, options)),
    ]
    talks = []
    for number, person in enumerate(people):
        talks.append(asyncio.create_task(_talk(told, url, person, number, options.turns)))
        await asyncio.sleep(LISTENING_SECONDS / len(people))  # Staggered starts.
    await asyncio.gather(*talks)
    disturbances[0].cancel()
    await asyncio.gather(*disturbances, return_exceptions=True)
    return told


async def _kill(told: Told, site: list[endurance.Kept], seconds: float) -> None:
    """Kill the processes one after the other."""
    while True:
        await asyncio.sleep(seconds)
        told.kills.append(time.time())
        victim = site[len(told.kills) % len(site)]
        _say(f"kill of process {victim.server.pid}")
        await asyncio.shield(victim.kill())


async def _stop_each(told: Told, shared: Shared, options: argparse.Namespace) -> None:
    """Stop what the processes share, one after the other."""
    await _until(told, STORE_AT * options.turns)
    _say("the store is silent")
    with shared.store.silent():
        await asyncio.sleep(options.down)
    await _until(told, REDIS_AT * options.turns)
    _say("Redis is gone")
    told.redis_down.append(time.time())
    shared.redis.kill()
    await asyncio.sleep(options.down)
    await asyncio.to_thread(shared.redis.start)
    told.redis_down.append(time.time())
    await _until(told, DATABASE_AT * options.turns)
    _say("PostgreSQL is restarted")
    await asyncio.to_thread(shared.database.stop)
    await asyncio.sleep(RESTART_SECONDS)
    await asyncio.to_thread(shared.database.start)


async def _until(told: Told, asked: float) -> None:
    while told.asked < asked:  # noqa: ASYNC110 - the number of questions is no event
        await asyncio.sleep(0.2)


async def _talk(told: Told, url: str, person: Person, number: int, turns: int) -> None:
    """Ask and listen until all have asked so many questions together. Retries a turn that failed."""
    conversation = await asyncio.to_thread(client.start_conversation, url, person.token, person.voice)
    own = number
    while told.asked < turns:
        own += 1
        told.asked += 1
        question: dict[str, Any] = {"files": {"audio": load.QUESTION}}
        if own % TYPED_EVERY == 0:
            question = {"json": {"text": "And then?"}}
        question["key"] = str(uuid4()) if own % KEYED_EVERY == 0 else ""
        ending = await _ask(told, conversation, person, leave=own % LEFT_EVERY == 0, **question)
        for _ in range(RETRIES):
            if ending.retryable:
                await asyncio.sleep(PAUSE_SECONDS)
                ending = await _turn(told, f"{url}/api/v1/turns/{ending.turn}/retry", person, json={})
        if ending.turn and not ending.code:
            await _play(told, url, person, ending.turn)
        await asyncio.sleep(PAUSE_SECONDS if ending.code else LISTENING_SECONDS)


async def _ask(told: Told, url: str, person: Person, **question: Any) -> client.Ending:
    """Ask, and send a question with a key again if the connection was lost."""
    ending = await _turn(told, url, person, **question)
    for _ in range(REPEATS if question["key"] else 0):
        if ending.code in {"cut", "idempotency_key_in_use"}:
            await asyncio.sleep(PAUSE_SECONDS)
            ending = await _turn(told, url, person, **question)
    return ending


async def _turn(told: Told, url: str, person: Person, **question: Any) -> client.Ending:
    started, ids = time.time(), [""]
    try:
        ending = await client.hold_turn(url, person.token, told=ids.append, **question)
    except (client.AnswerError, OSError, EOFError, TimeoutError, ValueError, KeyError) as error:
        if isinstance(error, ConnectionError | EOFError) and told.is_by_kill():
            ending = client.Ending(ids[-1], "cut", status=0)
        else:
            told.unexpected.append(f"{type(error).__name__} after {time.time() - started:.1f} s: {error}")
            ending = client.Ending("", "unexpected", status=0)
    if (ending.status, ending.code) == (502, client.NO_CODE) and told.is_by_kill():
        ending = client.Ending("", "cut", status=502)  # nginx does not ask twice.
    told.note(ending)
    told.turns.update(ids[1:])
    return ending


async def _play(told: Told, url: str, person: Person, turn: str) -> None:
    """Play the beginning of an answer, which is stored by now."""
    status, code = await asyncio.to_thread(client.play, f"{url}/api/v1/turns/{turn}/audio", person.token)
    is_cut = code == client.NO_CODE and told.is_by_kill()
    told.answers[status, "cut" if is_cut else code or "played"] += 1


def _print_answers(told: Told) -> None:
    _say(f"{told.asked} questions, {len(told.turns)} turns, {len(told.kills)} kills")
    for (status, code), count in sorted(told.answers.items()):
        _say(f"  {count:5}  {status or '':3}  {code}")


def _answer_problems(told: Told) -> Iterator[str]:
    yield from told.unexpected
    documented = set(re.findall(r"`(\w+)`", (processes.PROJECT_DIR / "docs/api.md").read_text()))
    ours = {"spoken", "left", "cut", "played", "unexpected"}
    for status, code in told.answers:
        if code not in documented | ours or code in {"server_error", "internal_error"}:
            yield f"{status} {code} is not documented, or an error of the site itself"


def _plan_problems(told: Told, provider: FakeProvider) -> Iterator[str]:
    """More requests than the plan allows are possible while Redis is gone, and are tried again: docs/deployment.md."""
    gone = told.redis_down or [0.0, 0.0]
    within = [at for at in provider.over_limit if gone[0] <= at <= gone[-1] + outage_checks.SETTLING_SECONDS]
    _say(f"requests above the plan of {PLAN}: {len(provider.over_limit)}, {len(within)} of them while Redis was gone")
    for at in sorted(set(provider.over_limit) - set(within)):
        yield f"at {time.strftime('%H:%M:%S', time.localtime(at))}, a request was more than the plan allows"


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
