"""What people use of the engines, and how much of it they may.

A request reserves what it may use before any engine works, in one statement, so that many at once do not get past a
limit together. When it is over, `settle` puts what it really used in place of that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.expressions import Combinable
from django.db.models.functions import Greatest
from django.utils import timezone

from apps.core.readiness import require_ready
from apps.speech.base import LOCAL
from apps.usage.limits import day_of, refusal
from apps.usage.models import UsageDay, UsageRecord

CHARACTERS_PER_TOKEN = 4  # What the engines count is not told by all of them.
NO_LIMIT = 2**62
# Longer than any request runs: what still counts as running after that, lost its process.
LONGEST_REQUEST = timedelta(minutes=10)

# One statement, so that it is exact however many run at once. Whoever is below a limit may go on, and reserves.
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
WHERE today.requests < %(max_requests)s
    AND today.heard_ms + today.reserved_heard_ms < %(max_heard_ms)s
    AND today.spoken_characters + today.reserved_characters < %(max_characters)s
    AND today.running < %(max_running)s
"""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a request may use: it counts until the request is settled."""

    owner_id: int
    day: date
    heard_ms: int = 0
    spoken_characters: int = 0
    is_counted: bool = False

    @classmethod
    def of_nothing(cls, owner_id: int) -> Self:
        """Return what stands in for a reservation where nothing is limited."""
        return cls(owner_id, day_of(timezone.now()))


@dataclass(slots=True)
class Used:
    """What a request uses, added up while it runs. `reference` is the turn or voice that it is for."""

    reference: UUID | None = None
    heard_ms: int = 0
    spoken_characters: int = 0
    tokens_read: int = 0
    tokens_written: int = 0
    cost: float = 0.0

    def hear(self, seconds: float, *, engine: str) -> None:
        self.heard_ms += round(seconds * 1000)
        self._pay("heard_minute", seconds / 60, engine)

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
        self._pay("thousand_characters_spoken", characters / 1000, engine)

    def _pay(self, price: str, quantity: float, engine: str) -> None:
        if engine != LOCAL:
            self.cost += (settings.PRICES[price] or 0.0) * quantity


def unpriced() -> list[str]:
    """Return for what of the remote engines' work no price is set: estimates leave it out."""
    engines = {
        "heard_minute": settings.SPEECH_TO_TEXT,
        "million_tokens_read": settings.LANGUAGE_MODEL,
        "million_tokens_written": settings.LANGUAGE_MODEL,
        "thousand_characters_spoken": settings.TEXT_TO_SPEECH,
    }
    return [name for name, engine in engines.items() if engine != LOCAL and settings.PRICES[name] is None]


def longest_reply() -> int:
    """Return how many characters a reply can have, as far as that is known before it is written."""
    return settings.MAX_REPLY_TOKENS * CHARACTERS_PER_TOKEN


def reserve(*, owner_id: int, heard_seconds: float = 0.0, characters: int = 0) -> Reservation:
    """Count a request and what it may use; raise UserError (429, `limit_reached`) where a limit is reached.

    All work of the engines begins here, so here it is refused (503) while this process ends or nothing can be stored.
    """
    require_ready()
    if not settings.LIMITS:
        return Reservation.of_nothing(owner_id)
    now = timezone.now()
    day = day_of(now)
    heard_ms = round(heard_seconds * 1000)
    values = {
        "owner": owner_id,
        "day": connection.ops.adapt_datefield_value(day),
        "now": connection.ops.adapt_datetimefield_value(now),
        "heard_ms": heard_ms,
        "characters": characters,
        "max_requests": settings.LIMIT_REQUESTS_PER_DAY or NO_LIMIT,
        "max_heard_ms": settings.LIMIT_HEARD_SECONDS_PER_DAY * 1000 or NO_LIMIT,
        "max_characters": settings.LIMIT_SPOKEN_CHARACTERS_PER_DAY or NO_LIMIT,
        "max_running": settings.LIMIT_CONCURRENT_REQUESTS or NO_LIMIT,
    }
    if not _is_reserved(values) and not (_forget_lost(owner_id, day, now) and _is_reserved(values)):
        raise refusal(UsageDay.objects.get(owner_id=owner_id, day=day), now)
    return Reservation(owner_id, day, heard_ms, characters, is_counted=True)


def _is_reserved(values: dict[str, Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_RESERVE, values)
        return bool(cursor.rowcount)


def _forget_lost(owner_id: int, day: date, now: datetime) -> bool:
    """Give back what was reserved by requests whose processes were killed, which never settle."""
    lost = UsageDay.objects.filter(owner_id=owner_id, day=day, running__gt=0, last_request_at__lt=now - LONGEST_REQUEST)
    return bool(lost.update(running=0, reserved_heard_ms=0, reserved_characters=0))


def settle(reservation: Reservation, *, kind: UsageRecord.Kind, used: Used) -> None:
    """Record what a request used, in place of what it had reserved."""
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
    """Take a reservation back whose request was not made after all."""
    if reservation.is_counted:
        _add(reservation, requests=-1)


def _add(reservation: Reservation, **changes: int) -> None:
    """Add `changes` to the sums of the day on which the request was counted; it no longer runs."""
    expressions: dict[str, Combinable] = {name: F(name) + change for name, change in changes.items()}
    if reservation.is_counted:
        # Not below nothing: it may have been taken for lost.
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
    """Reserve before the block and settle behind it, however it ends; the block adds to what it is given.

    Raises UserError where a limit is reached: no engine may be called before.
    """
    reservation = reserve(owner_id=owner_id, heard_seconds=heard_seconds, characters=characters)
    used = Used()
    try:
        yield used
    finally:
        settle(reservation, kind=kind, used=used)
