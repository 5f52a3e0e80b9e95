"""The daily limits of a person: their state, the headers that hold it, and the error at a limit. Days are in UTC."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.timesince import timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.core.errors import UserError
from apps.usage.models import PersonLimits, UsageDay

LIMIT_REACHED = "limit_reached"
LIMIT_HEADERS = ("RateLimit-Policy", "RateLimit")
BUSY_RETRY_SECONDS = 5
DAY_SECONDS = 24 * 3600

_RESET = gettext_lazy("It resets in %(wait)s, at midnight UTC.")
_REACHED = {
    "requests": gettext_lazy("You have reached today’s limit of %(limit)d requests."),
    "seconds": gettext_lazy("You have reached today’s limit of %(limit)d seconds of speech."),
    "characters": gettext_lazy("You have reached today’s limit of %(limit)d spoken characters."),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that hold for a person: three for a day, and the requests at once. 0 means no limit."""

    requests_per_day: int
    heard_seconds_per_day: int
    spoken_characters_per_day: int
    concurrent_requests: int


LIMIT_NAMES = tuple(field.name for field in fields(Limits))


def site_limits() -> Limits:
    """Return the limits of people who have none of their own."""
    return Limits(
        settings.LIMIT_REQUESTS_PER_DAY,
        settings.LIMIT_HEARD_SECONDS_PER_DAY,
        settings.LIMIT_SPOKEN_CHARACTERS_PER_DAY,
        settings.LIMIT_CONCURRENT_REQUESTS,
    )


def limits_of(owner_id: int) -> Limits:
    """Return the limits that hold for a person: their own, and for the others those of the site. Takes one query."""
    own = PersonLimits.objects.filter(owner_id=owner_id).values(*LIMIT_NAMES).first() or {}
    return replace(site_limits(), **{name: value for name, value in own.items() if value is not None})


def set_limits(*, owner_id: int, **values: int | None) -> None:
    """Give a person limits of their own, from the next request on; None for those of the site. Names: LIMIT_NAMES."""
    PersonLimits.objects.update_or_create(owner_id=owner_id, defaults=values)
    if all(values.get(name) is None for name in LIMIT_NAMES):
        PersonLimits.objects.filter(owner_id=owner_id, **dict.fromkeys(LIMIT_NAMES)).delete()


@dataclass(frozen=True, slots=True)
class Allowance:
    """A daily limit and how much of it is used."""

    name: str
    limit: int
    used: int

    @property
    def left(self) -> int:
        return max(self.limit - self.used, 0)


def allowances(day: UsageDay) -> list[Allowance]:
    """Return the limits that its owner has. The reservations of running requests count as used. Takes one query."""
    if not settings.LIMITS:
        return []
    limits = limits_of(day.owner_id)
    heard_ms = day.heard_ms + day.reserved_heard_ms
    characters = day.spoken_characters + day.reserved_characters
    all_limits = [
        Allowance("requests", limits.requests_per_day, day.requests),
        Allowance("seconds", limits.heard_seconds_per_day, heard_ms // 1000),
        Allowance("characters", limits.spoken_characters_per_day, characters),
    ]
    return [allowance for allowance in all_limits if allowance.limit]


def limit_headers(day: UsageDay, *, now: datetime) -> dict[str, str]:
    """Return the headers for a day's limits; none without limits. Source: draft-ietf-httpapi-ratelimit-headers-10."""
    limits = allowances(day)
    if not limits:
        return {}
    seconds = math.ceil((midnight_after(now) - now).total_seconds())
    policy = ", ".join(f'"{limit.name}";q={limit.limit};w={DAY_SECONDS}' for limit in limits)
    left = ", ".join(f'"{limit.name}";r={limit.left};t={seconds}' for limit in limits)
    return dict(zip(LIMIT_HEADERS, (policy, left), strict=True))


def day_of(now: datetime) -> date:
    return now.astimezone(UTC).date()


def midnight_after(now: datetime) -> datetime:
    """Return the end of the UTC day of `now`."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=1)


def limit_error(today: UsageDay, now: datetime) -> UserError:
    """Return the error (429) that names the reached limit: a daily one, or that of parallel requests."""
    headers = limit_headers(today, now=now)
    reached = next((limit for limit in allowances(today) if not limit.left), None)
    if reached is None:
        busy = _("You have %(limit)d requests running, which is the maximum at once. Wait until one of them ends.")
        message = busy % {"limit": limits_of(today.owner_id).concurrent_requests}
        retry_after = BUSY_RETRY_SECONDS
    else:
        midnight = midnight_after(now)
        wait = timeuntil(midnight, now).replace("\xa0", " ")
        message = f"{_REACHED[reached.name]} {_RESET}" % {"limit": reached.limit, "wait": wait}
        retry_after = math.ceil((midnight - now).total_seconds())
    return UserError(LIMIT_REACHED, message, status=429, headers={**headers, "Retry-After": str(retry_after)})


def days_of(*, owner_id: int, count: int) -> list[UsageDay]:
    """Return the owner's latest `count` days, oldest first, today last; days without usage are rows of zeros."""
    today = day_of(timezone.now())
    days = [today - timedelta(days=ago) for ago in reversed(range(count))]
    stored = {row.day: row for row in UsageDay.objects.filter(owner_id=owner_id, day__gte=days[0])}
    return [stored.get(day) or UsageDay(owner_id=owner_id, day=day) for day in days]
