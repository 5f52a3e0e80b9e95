"""Measures and limits how much each person uses the engines.

A request reserves its maximum usage before any engine works, in one statement, so that parallel requests cannot pass a
limit together. At its end, `settle` replaces the reservation with the real usage.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.functions import Greatest
from django.utils import timezone

from apps.core.readiness import require_ready
from apps.speech.base import ELEVENLABS, ELEVENLABS_LIVE, EMBEDDED, LOCAL, OPENAI_LIVE, SERVER, UPLOAD
from apps.usage.limits import day_of, limit_error, site_limits
from apps.usage.models import UsageDay, UsageRecord

CHARACTERS_PER_TOKEN = 4  # An estimate, because not all engines report their tokens.
NO_LIMIT = 2**62
# Longer than any request runs: an older reservation belongs to a killed process.
RESERVATION_LIFETIME = timedelta(minutes=10)

# One statement, so that it is exact for parallel requests. It reserves only below all limits.
_RESERVE = """
INSERT INTO usage_usageday AS today (
    owner_id, day, requests, running, last_request_at, reserved_heard_ms, reserved_characters,
    heard_ms, spoken_characters, tokens_read, tokens_written, cost_micros
) VALUES (%(owner)s, %(day)s, 1, 1, %(now)s, %(heard_ms)s, %(characters)s, 0, 0, 0, 0, 0)
ON CONFLICT (owner_id, day) DO UPDATE SET
    requests = today.requests + 1,
    running = today.running + 1,
    last_request_at = %(now)s,
    reserved_heard_ms = today.reserved_heard_ms + %(heard_ms)s,
    reserved_characters = today.reserved_characters + %(characters)s
WHERE today.requests < {max_requests}
    AND today.heard_ms + today.reserved_heard_ms < {max_heard_ms}
    AND today.spoken_characters + today.reserved_characters < {max_characters}
    AND today.running < {max_running}
"""
# The person's own limit, where 0 is none, or else that of the site.
_LIMIT = """
COALESCE((
    SELECT CASE WHEN {column} = 0 THEN {no_limit} ELSE CAST({column} AS bigint) * {unit} END
    FROM usage_personlimits WHERE owner_id = %(owner)s
), %({name})s)
"""
_LIMITED_RESERVE = _RESERVE.format(
    **{
        name: _LIMIT.format(column=column, unit=unit, name=name, no_limit=NO_LIMIT)
        for name, column, unit in [
            ("max_requests", "requests_per_day", 1),
            ("max_heard_ms", "heard_seconds_per_day", 1000),
            ("max_characters", "spoken_characters_per_day", 1),
            ("max_running", "concurrent_requests", 1),
        ]
    }
)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The maximum usage of a request. It counts towards the limits until the request is settled."""

    owner_id: int
    day: date
    heard_ms: int = 0
    spoken_characters: int = 0
    is_counted: bool = False

    @classmethod
    def of_nothing(cls, owner_id: int) -> Self:
        """Return an empty reservation, for use without limits."""
        return cls(owner_id, day_of(timezone.now()))


@dataclass(slots=True)
class Used:
    """The usage of a request, added up while it runs. `reference` is its turn or voice; `cost` is in US dollars.

    `heard_by` is the engine that heard last, "" if none did: no usage by itself.
    """

    reference: UUID | None = None
    heard_by: str = field(default="", compare=False)
    heard_ms: int = 0
    spoken_characters: int = 0
    tokens_read: int = 0
    tokens_written: int = 0
    cost: float = 0.0

    def hear(self, seconds: float, *, engine: str) -> None:
        self.heard_ms += round(seconds * 1000)
        self.heard_by = engine
        is_live = engine in (ELEVENLABS_LIVE, OPENAI_LIVE)
        self._pay("heard_live_minute" if is_live else "heard_minute", seconds / 60, engine)

    def read(self, characters: int, *, engine: str) -> None:
        tokens = math.ceil(characters / CHARACTERS_PER_TOKEN)
        self.tokens_read += tokens
        self._pay("million_tokens_read", tokens / 1_000_000, engine)

    def write(self, characters: int, *, engine: str) -> None:
        tokens = math.ceil(characters / CHARACTERS_PER_TOKEN)
        self.tokens_written += tokens
        self._pay("million_tokens_written", tokens / 1_000_000, engine)

    def speak(self, characters: int, *, engine: str) -> None:
        self.spoken_characters += characters
        # The price is that of one engine. An older voice of another one speaks at an unknown price.
        if engine == (SERVER if settings.TEXT_TO_SPEECH == SERVER else ELEVENLABS):
            self._pay("thousand_characters_spoken", characters / 1000, engine)

    def _pay(self, price: str, quantity: float, engine: str) -> None:
        if engine not in EMBEDDED:
            self.cost += (settings.PRICES[price] or 0.0) * quantity


def _needed_prices() -> list[str]:
    """Return the names of the prices that remote engines need."""
    live = settings.LIVE_SPEECH_TO_TEXT
    engines = {
        "heard_minute": settings.SPEECH_TO_TEXT,
        "heard_live_minute": LOCAL if live == UPLOAD else live,  # An upload has the price before.
        "million_tokens_read": settings.LANGUAGE_MODEL,
        "million_tokens_written": settings.LANGUAGE_MODEL,
        "thousand_characters_spoken": settings.TEXT_TO_SPEECH,
    }
    return [name for name, engine in engines.items() if engine not in EMBEDDED]


def unpriced() -> list[str]:
    """Return the names of needed prices that are not set: estimates leave them out."""
    return [name for name in _needed_prices() if settings.PRICES[name] is None]


def has_prices() -> bool:
    """Tell whether there is anything to estimate from: a needed price that is set, or no need of any."""
    return not unpriced() or len(unpriced()) < len(_needed_prices())


def longest_reply() -> int:
    """Return an estimate of the maximum length of a reply, in characters."""
    return settings.MAX_REPLY_TOKENS * CHARACTERS_PER_TOKEN


def reserve(*, owner_id: int, heard_seconds: float = 0.0, characters: int = 0) -> Reservation:
    """Count a request and its maximum usage. Raise UserError (429, `limit_reached`) at a limit.

    All work of the engines begins here, so this also refuses it (503) while this process shuts down or cannot store
    anything.
    """
    require_ready()
    if not settings.LIMITS:
        return Reservation.of_nothing(owner_id)
    now = timezone.now()
    day = day_of(now)
    heard_ms = round(heard_seconds * 1000)
    limits = site_limits()
    values = {
        "owner": owner_id,
        "day": connection.ops.adapt_datefield_value(day),
        "now": connection.ops.adapt_datetimefield_value(now),
        "heard_ms": heard_ms,
        "characters": characters,
        "max_requests": limits.requests_per_day or NO_LIMIT,
        "max_heard_ms": limits.heard_seconds_per_day * 1000 or NO_LIMIT,
        "max_characters": limits.spoken_characters_per_day or NO_LIMIT,
        "max_running": limits.concurrent_requests or NO_LIMIT,
    }
    if not _is_reserved(values) and not (_release_lost(owner_id, day, now) and _is_reserved(values)):
        raise limit_error(UsageDay.objects.get(owner_id=owner_id, day=day), now)
    return Reservation(owner_id, day, heard_ms, characters, is_counted=True)


def _is_reserved(values: dict[str, Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_LIMITED_RESERVE, values)
        return bool(cursor.rowcount)


def _release_lost(owner_id: int, day: date, now: datetime) -> bool:
    """Release the reservations of a person's killed processes; return whether there were any."""
    return bool(release_all(lost_reservations(now).filter(owner_id=owner_id, day=day)))


def lost_reservations(now: datetime) -> QuerySet[UsageDay]:
    """Return the days with reservations that no request holds any more: their processes were killed."""
    return UsageDay.objects.filter(running__gt=0, last_request_at__lt=now - RESERVATION_LIFETIME)


def release_all(days: QuerySet[UsageDay]) -> int:
    """Release all reservations of `days`; return how many days there were."""
    return days.update(running=0, reserved_heard_ms=0, reserved_characters=0)


def settle(reservation: Reservation, *, kind: UsageRecord.Kind, used: Used) -> None:
    """Record the usage of a request, in place of its reservation."""
    counts = {
        "tokens_read": used.tokens_read,
        "tokens_written": used.tokens_written,
        "cost_micros": round(used.cost * 1_000_000),
    }
    with transaction.atomic():
        UsageRecord.objects.create(
            owner_id=reservation.owner_id,
            kind=kind,
            reference=used.reference,
            heard_ms=used.heard_ms,
            spoken_characters=used.spoken_characters,
            **counts,
        )
        _add(
            reservation,
            heard_ms=used.heard_ms,
            spoken_characters=used.spoken_characters,
            requests=0 if reservation.is_counted else 1,
            **counts,
        )


def release(reservation: Reservation) -> None:
    """Undo the reservation of a request that was not made."""
    if reservation.is_counted:
        _add(reservation, requests=-1)


def _add(reservation: Reservation, **changes: int) -> None:
    """Add `changes` to the sums of the day on which the request was counted, and end the reservation."""
    expressions: dict[str, Combinable] = {name: F(name) + change for name, change in changes.items()}
    if reservation.is_counted:
        # Not below zero: _release_lost may have released it already.
        expressions["running"] = Greatest(F("running") - 1, 0)
        expressions["reserved_heard_ms"] = Greatest(F("reserved_heard_ms") - reservation.heard_ms, 0)
        expressions["reserved_characters"] = Greatest(F("reserved_characters") - reservation.spoken_characters, 0)
    else:
        UsageDay.objects.get_or_create(owner_id=reservation.owner_id, day=reservation.day)
    UsageDay.objects.filter(owner_id=reservation.owner_id, day=reservation.day).update(**expressions)


@contextmanager
def metered(
    *,
    owner_id: int,
    kind: UsageRecord.Kind,
    heard_seconds: float = 0.0,
    characters: int = 0,
) -> Iterator[Used]:
    """Reserve before the block and settle after it, even if it fails. The block adds its usage to the yielded object.

    Raises UserError at a limit, before the block calls any engine.
    """
    reservation = reserve(owner_id=owner_id, heard_seconds=heard_seconds, characters=characters)
    used = Used()
    try:
        yield used
    finally:
        settle(reservation, kind=kind, used=used)
