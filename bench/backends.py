"""Measure how much later an answer begins with PostgreSQL, Redis and an object store than with SQLite and a folder.

Two sites run side by side, and one person asks them in turn. Fails if the answers of one begin LIMIT_MS later.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import uvloop

from bench import client, load, processes
from bench.people import Person, sign_up
from bench.shared import running_services

LIMIT_MS = 5
WARM_UP_TURNS = 3
SETTLING_SECONDS = 0.5
ALONE, SHARED = "SQLite, a folder", "PostgreSQL, Redis, an object store"


@dataclass(frozen=True)
class Site:
    """A site with one person and a conversation, whose turns are at `turns`. It is made in a process of its own."""

    person: Person
    turns: str


_site: Site
_stack = ExitStack()


def start(name: str, folder: Path, providers: processes.Server) -> None:
    """Start a site for this process, with an account."""
    global _site
    folder.mkdir()
    processes.set_environment(folder, providers)
    os.environ["LIMITS"] = "on"
    if name == SHARED:
        _stack.enter_context(running_services())
    (person,) = sign_up(1, providers)
    application = _stack.enter_context(processes.application(folder / "web.log"))
    _site = Site(person, client.start_conversation(application.url, person.token, person.voice))


def ask() -> float:
    """Ask the site of this process; return the milliseconds to the first sound."""
    times = uvloop.run(client.ask(_site.turns, _site.person.token, load.QUESTION))
    # The turn is still being finished after its last byte.
    time.sleep(SETTLING_SECONDS)
    return 1000 * times.first_audio


def stop() -> None:
    _stack.close()


def _stop_in(pool: ProcessPoolExecutor) -> None:
    pool.submit(stop).result()


def main() -> int:
    options = _options()
    with (
        TemporaryDirectory(prefix="voiceclone-backends-") as folder,
        processes.fake_providers(reply=load.SHORT_REPLY) as providers,
        ExitStack() as stack,
    ):
        sites = {}
        for name in (ALONE, SHARED):
            arguments = (name, Path(folder, name), providers)
            pool = ProcessPoolExecutor(1, get_context("spawn"), start, arguments)
            sites[name] = stack.enter_context(pool)
            stack.callback(_stop_in, pool)
            for _ in range(WARM_UP_TURNS):
                pool.submit(ask).result()
        later = [_measure(sites, options.turns) for _ in range(options.rounds)]
    sys.stdout.write(f"later, p50 of all rounds: {median(later):.1f} ms   ≤ {LIMIT_MS} ms\n")
    return 1 if median(later) > LIMIT_MS else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.backends", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often both sites are measured (3)")
    parser.add_argument("--turns", type=int, default=10, help="turns at each site in a round (10)")
    return parser.parse_args()


def _measure(sites: dict[str, ProcessPoolExecutor], turns: int) -> float:
    """Ask both sites in turn; print both medians, and return how much later the shared one is, in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in sites}
    for _ in range(turns):
        for name, site in sites.items():
            times[name].append(site.submit(ask).result())
    p50 = {name: median(values) for name, values in times.items()}
    later = p50[SHARED] - p50[ALONE]
    described = "   ".join(f"{name}: {milliseconds:.1f} ms" for name, milliseconds in p50.items())
    sys.stdout.write(f"first audio p50   {described}   later: {later:.1f} ms\n")
    sys.stdout.flush()
    return later


if __name__ == "__main__":
    sys.exit(main())
