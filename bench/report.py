"""Formats the measurements as text."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from bench import load
from bench.client import TurnTimes


@dataclass(frozen=True, slots=True)
class Level:
    """Measurements at one number of concurrent conversations. Memory is in megabytes."""

    conversations: int
    turns: list[TurnTimes]
    failures: list[str]
    cpu_seconds: float
    memory_before: float
    memory_after: float

    def first_audio_ms(self, percent: int) -> float:
        return 1000 * percentile((turn.first_audio for turn in self.turns), percent)

    def whole_answer_ms(self, percent: int) -> float:
        return 1000 * percentile((turn.whole_answer for turn in self.turns), percent)

    @property
    def cpu_ms_per_turn(self) -> float:
        return 1000 * self.cpu_seconds / (len(self.turns) + len(self.failures))


@dataclass(frozen=True, slots=True)
class Run:
    """All measurements. `memory_levels` are the warm-up and the rest of the memory test, or empty.

    `shared_level` is the level with several processes of the application, if that was measured.
    """

    serial_seconds: list[float]
    overlapped_seconds: list[float]
    first_turn: Level
    levels: list[Level]
    memory_levels: list[Level]
    shared_level: Level | None = None

    @property
    def serial_ms(self) -> float:
        return 1000 * median(self.serial_seconds)

    @property
    def overlapped_ms(self) -> float:
        return 1000 * median(self.overlapped_seconds)

    @property
    def failures(self) -> list[str]:
        shared = [self.shared_level] if self.shared_level else []
        levels = [self.first_turn, *self.levels, *self.memory_levels, *shared]
        return [failure for level in levels for failure in level.failures]


def percentile(values: Iterable[float], percent: int) -> float:
    """Return the smallest of `values` that `percent` of them do not exceed; NaN if there are none."""
    ranked = sorted(values)
    return ranked[math.ceil(len(ranked) * percent / 100) - 1] if ranked else math.nan


def loop_ms() -> float:
    """Return the milliseconds that this machine takes to count to a million, to compare it with others."""
    started = time.process_time()
    for _ in range(1_000_000):
        pass
    return 1000 * (time.process_time() - started)


def heading() -> str:
    """Describe the measurement and the machine."""
    hear, think, speak = (
        f"{seconds * 1000:.0f} ms"
        for seconds in (load.HEAR_SECONDS, load.FIRST_TOKEN_SECONDS, load.FIRST_AUDIO_SECONDS)
    )
    return f"""\
Response times of spoken questions, measured by an API client over loopback HTTP

The application is complete: uvicorn, token, checks, database, stored recordings. The providers are fakes:
{hear} to hear; {think} to the first token, then {load.TOKENS_PER_SECOND} tokens/s, {len(load.TOKENS)} tokens;
{speak} to the first byte of speech, then {load.AUDIO_SPEED} × real time.
CPU and memory are those of the application only. Providers and clients run on the same machine: {os.cpu_count()} cores,
Python {platform.python_version()}, which takes {loop_ms():.0f} ms to count to a million; load {os.getloadavg()[0]:.1f}.

at once  turns  failed  first audio p50      p95  whole answer p50      p95  CPU a turn  memory before   after"""


def line(level: Level) -> str:
    """Return the figures of `level`, aligned to the last line of the heading."""
    times = (*(level.first_audio_ms(each) for each in (50, 95)), *(level.whole_answer_ms(each) for each in (50, 95)))
    return (
        f"{level.conversations:7}{len(level.turns):7}{len(level.failures):8}"
        + "{:14.0f} ms{:6.0f} ms{:15.0f} ms{:6.0f} ms".format(*times)
        + f"{level.cpu_ms_per_turn:9.0f} ms{level.memory_before:12.0f} MB{level.memory_after:5.0f} MB"
    )


def comparison(run: Run) -> str:
    """Compare the first audio of the first level with the lower bounds and with a serial pipeline."""
    segment, tokens = load.first_segment()
    reached = run.levels[0].first_audio_ms(50)
    lines = [f"{'first audio p50':64}{reached:6.0f} ms"]
    for name, milliseconds in (
        (f"bound of its first segment, “{segment}”", load.bound_ms(tokens)),
        ("the same, measured: direct calls to the providers, overlapped", run.overlapped_ms),
        ("bound of the first sentence", load.bound_ms(load.FIRST_SENTENCE_TOKENS)),
        ("serial pipeline, measured: hear, then think, then speak", run.serial_ms),
        ("first turn after the start, measured", run.first_turn.first_audio_ms(50)),
    ):
        lines.append(f"{name:64}{milliseconds:6.0f} ms   × {reached / milliseconds:.2f}")
    return "\n".join(lines)


def verdicts(run: Run) -> str:
    """Compare the measurements with their limits."""
    return "\n".join(
        f"{name:64}{value:6.0f} {unit:2}   ≤ {limit:4} {unit:2}   {'ok' if value <= limit else 'over'}"
        for name, value, limit, unit in _goals(run)
    )


def _goals(run: Run) -> Iterable[tuple[str, float, int, str]]:
    bound = load.bound_ms(load.first_segment()[1])
    for level in run.levels:
        p50, p95 = level.first_audio_ms(50), level.first_audio_ms(95)
        match level.conversations:
            case 1:
                yield "1 at once: first audio p50", p50, 900, "ms"
                yield "1 at once: first audio p50 above the bound of its first segment", p50 - bound, 15, "ms"
                yield "1 at once: first audio p95 above the bound of its first segment", p95 - bound, 30, "ms"
                yield "1 at once: first audio p50 relative to the serial pipeline", 100 * p50 / run.serial_ms, 20, "%"
                yield "1 at once: whole answer p50", level.whole_answer_ms(50), 3400, "ms"
            case 25:
                yield "25 at once: first audio p95", p95, 1000, "ms"
                yield "25 at once: CPU a turn", level.cpu_ms_per_turn, 120, "ms"
            case 50:
                yield "50 at once: first audio p95", p95, 1100, "ms"
    if run.shared_level:
        name = f"{run.shared_level.conversations} at once, several processes: first audio p95"
        yield name, run.shared_level.first_audio_ms(95), 1100, "ms"
    if run.memory_levels:
        warm_up, rest = run.memory_levels
        growth = 100 * (rest.memory_after / warm_up.memory_after - 1)
        yield f"memory growth over {len(rest.turns)} turns, after {len(warm_up.turns)} turns", growth, 5, "%"
