"""The page of a person's usage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from apps.accounts.authentication import signed_in_user
from apps.usage import limits, metering
from apps.usage.models import UsageDay

DAYS = 30
# Sizes in units of the chart; the page scales it.
CHART_HEIGHT = 160
BAR_STEP = 20
BAR_WIDTH = 14
MIN_BAR_HEIGHT = 2  # A small value stays visible.


@dataclass(frozen=True)
class Measure:
    """A value of each day that the chart can show."""

    name: str
    label: Promise
    of: Callable[[UsageDay], float]


@dataclass(frozen=True)
class Bar:
    """A day in the chart."""

    day: UsageDay
    value: float
    x: int
    y: int
    height: int


MEASURES = [
    Measure("requests", _("Requests"), lambda day: day.requests),
    Measure("seconds", _("Seconds heard"), lambda day: day.heard_seconds),
    Measure("characters", _("Characters spoken"), lambda day: day.spoken_characters),
    Measure("cost", _("Estimated cost"), lambda day: day.cost_dollars),
]
PRICE_LABELS = {
    "heard_minute": _("speech heard"),
    "heard_live_minute": _("speech heard live"),
    "million_tokens_read": _("tokens read"),
    "million_tokens_written": _("tokens written"),
    "thousand_characters_spoken": _("characters spoken"),
}
LIMIT_LABELS = {measure.name: measure.label for measure in MEASURES}


@require_safe
def usage_page(request: HttpRequest) -> HttpResponse:
    """Show the last 30 days as a chart and as a table, and the use of today's limits."""
    days = limits.days_of(owner_id=signed_in_user(request).pk, count=DAYS)
    today = days[-1]
    measure = next((known for known in MEASURES if known.name == request.GET.get("show")), MEASURES[0])
    bars = _bars(days, measure)
    context = {
        "today": today,
        "limits": [(LIMIT_LABELS[limit.name], limit) for limit in limits.allowances(today)],
        "unpriced": [PRICE_LABELS[name] for name in metering.unpriced()],
        "has_prices": metering.has_prices(),
        "resets_at": limits.midnight_after(timezone.now()),
        "measures": MEASURES,
        "measure": measure,
        "bars": bars,
        "highest": max(bar.value for bar in bars),
        "total": sum(bar.value for bar in bars),
        "used_days": [day for day in reversed(days) if day.requests],
        "chart_width": DAYS * BAR_STEP,
        "chart_height": CHART_HEIGHT,
        "bar_width": BAR_WIDTH,
    }
    return render(request, "usage/usage.html", context)


def _bars(days: list[UsageDay], measure: Measure) -> list[Bar]:
    values = [measure.of(day) for day in days]
    highest = max(values)
    bars = []
    for number, (day, value) in enumerate(zip(days, values, strict=True)):
        height = max(round(value / highest * CHART_HEIGHT), MIN_BAR_HEIGHT) if value else 0
        x = number * BAR_STEP + (BAR_STEP - BAR_WIDTH) // 2
        bars.append(Bar(day, value, x, CHART_HEIGHT - height, height))
    return bars
