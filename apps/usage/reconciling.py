"""Gives back what killed processes had reserved: requests without a row, whose end nobody else learns of."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from django.utils import timezone

from apps.core.repairs import Repair
from apps.usage import metering


def repairs() -> Iterator[Repair]:
    for day in metering.lost_reservations(timezone.now()):
        subject = f"Usage of person {day.owner_id} on {day.day}"
        yield Repair(subject, "give back what was reserved", partial(_release, day.pk))


def _release(day_pk: int) -> bool:
    """Release the reservations of a day, unless the person has made another request meanwhile."""
    return bool(metering.release_all(metering.lost_reservations(timezone.now()).filter(pk=day_pk)))
