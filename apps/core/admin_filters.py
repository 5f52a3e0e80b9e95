"""Filters of admin lists that stay fast with many rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Max, Min, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

MAX_MONTHS = 36


class MonthFilter(admin.SimpleListFilter):
    """The months of `created_at`, newest first. A `date_hierarchy` reads every row to know which days have one."""

    title = _("month")
    parameter_name = "month"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        times = model_admin.model._default_manager.aggregate(first=Min("created_at"), last=Max("created_at"))
        if times["first"] is None:
            return []
        months = list(_months(timezone.localtime(times["first"]), timezone.localtime(times["last"])))
        return [(f"{month:%Y-%m}", date_format(month, "YEAR_MONTH_FORMAT")) for month in months[:MAX_MONTHS]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        try:
            first = timezone.make_aware(datetime.strptime(self.value() or "", "%Y-%m"))  # noqa: DTZ007 - made aware here
        except ValueError:
            return queryset
        return queryset.filter(created_at__gte=first, created_at__lt=_next(first))


def _months(first: datetime, last: datetime) -> Iterator[datetime]:
    """Yield the beginnings of the months from `last` back to `first`."""
    for number in range(last.year * 12 + last.month, first.year * 12 + first.month - 1, -1):
        yield last.replace(year=(number - 1) // 12, month=(number - 1) % 12 + 1, day=1)


def _next(first: datetime) -> datetime:
    year, month = (first.year + 1, 1) if first.month == 12 else (first.year, first.month + 1)
    return timezone.make_aware(datetime(year, month, 1))  # noqa: DTZ001 - made aware here
