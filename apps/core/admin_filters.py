"""Filters of admin lists that stay fast with many rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Max, Min, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
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


class TextFilter(admin.SimpleListFilter):
    """A filter with a field to type in, for what has too many values to list."""

    template = "admin/text_filter.html"
    hint: str | Promise = ""

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, Any]]:
        return [("", "")]  # Without a choice, Django would not show the filter.

    def choices(self, changelist: Any) -> Iterator[Any]:
        others = {name: value for name, value in changelist.params.items() if name != self.parameter_name}
        yield {
            "selected": not self.value(),
            "query_string": changelist.get_query_string(remove=[self.parameter_name]),
            "parameter": self.parameter_name,
            "value": self.value() or "",
            "hint": self.hint,
            "others": others.items(),
        }


class OwnerFilter(TextFilter):
    """The rows of one person."""

    title = _("person")
    parameter_name = "person"
    hint = _("User name or email address")

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = (self.value() or "").strip()
        if not name:
            return queryset
        people = get_user_model().objects.filter(Q(username__iexact=name) | Q(email__iexact=name))
        # Their ids and not a join, so that the database uses the index of the owner.
        return queryset.filter(owner__in=list(people.values_list("pk", flat=True)))
