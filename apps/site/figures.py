"""The figures of the site: turns, waiting times, failures, spend, queues, storage. For the admin and `manage.py stats`.

A day that is over is computed once and then kept in the cache, so that a page reads the rows of today only. Days are
in UTC, as the connections to databases are. The figures contain no word and no name.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Count, Sum, TextField
from django.db.models.functions import Cast, Substr
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from apps.background import queue
from apps.conversations.models import Turn
from apps.speech import availability
from apps.speech.checks import ModelEnd, ends_of_models
from apps.speech.providers.breakers import State
from apps.usage import metering
from apps.usage.limits import day_of
from apps.usage.models import UsageRecord

DAYS_SHOWN = 30
MAX_DAYS = 366
# A turn that began before midnight, or is tried again, still changes the day before.
TODAY_SECONDS, YESTERDAY_SECONDS, OLD_DAY_SECONDS = 30, 3600, 24 * 3600
KEY = "figures:1"  # Another number when DayFigures changes.
# "2026-03-20". Django's own functions for dates run in Python on SQLite, for each row.
UTC_DAY = Substr(Cast("created_at", TextField()), 1, 10)


@dataclass(frozen=True, slots=True)
class DayFigures:
    """A day's turns by status, failures by (stage, code), first audio in ms, and spend by kind in dollars."""

    day: date
    turns: dict[str, int] = field(default_factory=dict)
    failures: dict[tuple[str, str], int] = field(default_factory=dict)
    first_audio_p50: int | None = None
    first_audio_p95: int | None = None
    dollars: dict[str, float] = field(default_factory=dict)

    @property
    def all_turns(self) -> int:
        return sum(self.turns.values())

    @property
    def failed(self) -> int:
        return self.turns.get(Turn.Status.FAILED, 0)

    @property
    def interrupted(self) -> int:
        return self.turns.get(Turn.Status.INTERRUPTED, 0)

    @property
    def answered(self) -> int:
        """The turns that did not fail and were not interrupted; a few of today's are still running."""
        return self.all_turns - self.failed - self.interrupted

    @property
    def all_dollars(self) -> float:
        return sum(self.dollars.values())


@dataclass(frozen=True, slots=True)
class BreakerState:
    """Whether calls to an engine go through at a stage, as far as this process knows."""

    engine: str
    stage: str
    state: str

    @property
    def is_closed(self) -> bool:
        return self.state == State.CLOSED


@dataclass(frozen=True, slots=True)
class Background:
    """The queues: what waits by queue, how many tasks failed, and whether no worker seems to run."""

    waiting: dict[str, int]
    failed: int
    is_behind: bool

    @property
    def all_waiting(self) -> int:
        return sum(self.waiting.values())


@dataclass(frozen=True, slots=True)
class Period:
    """The days from the oldest to today."""

    days: Sequence[DayFigures]

    @property
    def today(self) -> DayFigures:
        return self.days[-1]

    @property
    def turns(self) -> int:
        return sum(day.all_turns for day in self.days)

    @property
    def failed(self) -> int:
        return sum(day.failed for day in self.days)

    @property
    def failures(self) -> list[tuple[str, str, int]]:
        """Each (stage, code, count), the most frequent first."""
        counts: Counter[tuple[str, str]] = Counter()
        for day in self.days:
            counts.update(day.failures)
        return [(stage, code, count) for (stage, code), count in counts.most_common()]

    @property
    def dollars(self) -> float:
        return sum(day.all_dollars for day in self.days)

    @property
    def dollars_by_kind(self) -> dict[str, float]:
        kinds = [kind for kind in UsageRecord.Kind.values if any(day.dollars.get(kind) for day in self.days)]
        return {kind: sum(day.dollars.get(kind, 0.0) for day in self.days) for kind in kinds}


def period(days: int = DAYS_SHOWN) -> Period:
    """Return the figures of the latest `days` days, from the cache where they are there."""
    today = day_of(timezone.now())
    wanted = [today - timedelta(days=ago) for ago in reversed(range(days))]
    cached: dict[str, DayFigures] = cache.get_many([_key(day) for day in wanted])
    known = {figures.day: figures for figures in cached.values()}
    for missing in _without_gaps([day for day in wanted if day not in known]):
        computed = _compute(missing)
        known |= computed
        _keep(computed.values(), today)
    return Period([known[day] for day in wanted])


def _key(day: date) -> str:
    return f"{KEY}:{day}"


def _without_gaps(days: Sequence[date]) -> Iterator[Sequence[date]]:
    """Yield the parts of `days`, in order, that consist of days that follow one another."""
    begin = 0
    for end in range(1, len(days) + 1):
        if end == len(days) or days[end] - days[end - 1] > timedelta(days=1):
            yield days[begin:end]
            begin = end


def _keep(computed: Iterable[DayFigures], today: date) -> None:
    for figures in computed:
        ago = (today - figures.day).days
        # The old days do not all expire at the same moment.
        seconds = [TODAY_SECONDS, YESTERDAY_SECONDS][ago] if ago < 2 else OLD_DAY_SECONDS + 600 * (ago % 30)
        cache.set(_key(figures.day), figures, seconds)


def _compute(days: Sequence[date]) -> dict[date, DayFigures]:
    """Count the rows of `days`, which have no gaps, once through each table: the indexes of their times find them."""
    begin = datetime.combine(days[0], time.min, UTC)
    of_days = {"created_at__gte": begin, "created_at__lt": begin + timedelta(days=len(days))}
    counts = {day: _Counts() for day in days}
    columns = ("status", "failed_stage", "error_code", "first_audio_ms")
    turns: Any = Turn.objects.filter(**of_days).order_by().values_list(UTC_DAY, *columns).annotate(turns=Count("*"))
    for day, status, stage, code, wait, count in turns:
        counts[date.fromisoformat(day)].add(status, stage, code, wait, count)
    usage: Any = UsageRecord.objects.filter(**of_days).order_by()
    for day, kind, micros in usage.values_list(UTC_DAY, "kind").annotate(Sum("cost_micros")):
        if micros:
            counts[date.fromisoformat(day)].dollars[kind] = micros / 1_000_000
    return {day: each.as_figures(day) for day, each in counts.items()}


class _Counts:
    """The sums of a day: turns by status, failures by (stage, code), turns by first audio in ms, dollars by kind."""

    def __init__(self) -> None:
        self.turns: Counter[str] = Counter()
        self.failures: Counter[tuple[str, str]] = Counter()
        self.waits: Counter[int] = Counter()
        self.dollars: dict[str, float] = {}

    def add(self, status: str, stage: str, code: str, wait: int | None, count: int) -> None:
        """Add `count` turns."""
        self.turns[status] += count
        if status == Turn.Status.FAILED:
            self.failures[stage, code] += count
        if wait is not None:
            self.waits[wait] += count

    def as_figures(self, day: date) -> DayFigures:
        waits = sorted(self.waits.elements())
        return DayFigures(
            day=day,
            turns=dict(self.turns),
            failures=dict(self.failures),
            first_audio_p50=percentile(waits, 50),
            first_audio_p95=percentile(waits, 95),
            dollars=self.dollars,
        )


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """Return the smallest value that `percent` of the `ordered` values do not exceed (the nearest rank)."""
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1] if ordered else None


def background() -> Background:
    return Background(queue.lengths(), DBTaskResult.objects.failed().count(), queue.is_behind())


def breakers() -> list[BreakerState]:
    return [BreakerState(engine, stage, breaker.state) for (engine, stage), breaker in availability.breakers().items()]


def as_json(figures: Period) -> dict[str, Any]:
    """Return everything as JSON can hold it."""
    return {
        "days": [
            {
                "day": f"{day.day}",
                "turns": day.all_turns,
                "failed": day.failed,
                "interrupted": day.interrupted,
                "first_audio_p50_ms": day.first_audio_p50,
                "first_audio_p95_ms": day.first_audio_p95,
                "dollars": round(day.all_dollars, 6),
            }
            for day in figures.days
        ],
        "failures": [{"stage": stage, "code": code, "turns": count} for stage, code, count in figures.failures],
        "dollars": {kind: round(dollars, 6) for kind, dollars in figures.dollars_by_kind.items()},
        "unpriced": metering.unpriced(),
    }


def model_ends() -> list[ModelEnd]:
    """Return the configured models whose end is announced, the next one first."""
    return sorted(ends_of_models(), key=lambda each: each.end)
