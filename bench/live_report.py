"""Formats the measurements of live conversations as text."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench import load
from bench.live_client import AnswerTimes
from bench.report import loop_ms, percentile

MANY, IDLE_SOCKETS = 25, 100
LEAST_SILENCE_MS = 200
# The limit of CPU time holds on a machine that counts to a million in so many ms. A slower one has more time.
REFERENCE_MS, MAX_CPU_MS = 10, 250


@dataclass(frozen=True, slots=True)
class Kind:
    """How people talk. They push a button and release it `release_after` seconds after the last word, or none."""

    name: str
    release_after: float | None = None
    conversations: int = 1
    hears_all: bool = False

    @property
    def is_hands_free(self) -> bool:
        return self.release_after is None

    @property
    def bound_ms(self) -> float:
        """The least time to the first sound, after the last word or the release of the button.

        A reply begins on the last partial transcript, or where that comes too late, on the final one.
        """
        answer = load.answer_ms(load.first_segment()[1])
        if self.release_after is None:
            return LEAST_SILENCE_MS + answer
        return answer + (0 if self.release_after >= load.PARTIAL_SECONDS else 1000 * load.FINAL_SECONDS)


@dataclass(slots=True)
class Level:
    """Measurements of turns of one kind. `model_calls` are those that reached the language model."""

    kind: Kind
    times: list[AnswerTimes] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    cpu_seconds: float = 0.0
    model_calls: int = 0
    megabytes: float = 0.0

    @property
    def turns(self) -> int:
        return len(self.times) + len(self.failures)

    def first_sound_ms(self, percent: int) -> float:
        """Return the time since the release of the button, or hands-free since the last word."""
        return 1000 * percentile((times.since_release for times in self.times), percent)

    @property
    def cpu_ms_per_turn(self) -> float:
        return 1000 * self.cpu_seconds / self.turns


@dataclass(slots=True)
class Run:
    """All measurements. `idle_shares` are those of a core, at first and later; `memory` is the warm-up and the rest."""

    loop_ms: float = field(default_factory=loop_ms)
    levels: dict[str, Level] = field(default_factory=dict)
    idle_shares: list[float] = field(default_factory=list)
    memory: list[Level] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        return [failure for level in (*self.levels.values(), *self.memory) for failure in level.failures]

    @property
    def slowness(self) -> float:
        return max(1.0, self.loop_ms / REFERENCE_MS)


def heading(run: Run) -> str:
    partial, final, think, speak = (
        f"{seconds * 1000:.0f} ms"
        for seconds in (load.PARTIAL_SECONDS, load.FINAL_SECONDS, load.FIRST_TOKEN_SECONDS, load.FIRST_AUDIO_SECONDS)
    )
    return f"""\
Live conversations over /v1/realtime, measured by a client that streams a recording in real time

The first sound counts from the release of the button, hands-free from the last spoken sample. Partial transcripts come
{partial} after the words, the final one {final} after the commit; {think} to the first token, {speak} to the first
byte of speech. {os.cpu_count()} cores, Python {platform.python_version()}, {run.loop_ms:.0f} ms to count to a million.

{"":50}turns  failed  first sound p50      p95   bound  CPU a turn  model calls  memory"""


def line(level: Level) -> str:
    """Return the figures of `level`, aligned to the last line of the heading."""
    return (
        f"{level.kind.name:50}{len(level.times):5}{len(level.failures):8}"
        f"{level.first_sound_ms(50):14.0f} ms{level.first_sound_ms(95):6.0f} ms{level.kind.bound_ms:5.0f} ms"
        f"{level.cpu_ms_per_turn:9.0f} ms{level.model_calls / level.turns:13.2f}{level.megabytes:5.0f} MB"
    )


def verdicts(run: Run) -> str:
    """Compare the measurements with their limits and bounds."""
    lines = []
    for name, value, limit, unit, bound in _goals(run):
        verdict = "ok" if value <= limit else "over"
        ratio = f"   × {value / bound:.2f} of its bound" if bound else ""
        lines.append(f"{name:64}{value:8.4g} {unit:2}   ≤ {limit:4.4g} {unit:2}   {verdict:4}{ratio}")
    return "\n".join(lines)


def _goals(run: Run) -> Iterable[tuple[str, float, float, str, float]]:
    limits = {"late": (620, None), "at-once": (770, None), "hands-free": (830, 1200), "many": (None, 1300)}
    for key, level in run.levels.items():
        for percent, limit in zip((50, 95), limits[key], strict=True):
            if limit is not None:
                name = f"{level.kind.name}: p{percent}"
                yield name, level.first_sound_ms(percent), limit, "ms", level.kind.bound_ms
        if level.kind.is_hands_free:
            yield f"{level.kind.name}: model calls a turn", level.model_calls / level.turns, 1.5, "", 0
    if "many" in run.levels:
        name = "5 s of speech and 10 s of answer: CPU a turn"
        yield name, run.levels["many"].cpu_ms_per_turn, MAX_CPU_MS * run.slowness, "ms", 0
    for name, share in zip(("at first", "later"), run.idle_shares, strict=False):
        yield f"{IDLE_SOCKETS} idle sockets, {name}: CPU", 100 * share, 3, "%", 0
    if run.memory:
        warm_up, rest = run.memory
        growth = 100 * (rest.megabytes / warm_up.megabytes - 1)
        yield f"memory growth over {rest.turns} turns, after {warm_up.turns} turns", growth, 5, "%", 0
