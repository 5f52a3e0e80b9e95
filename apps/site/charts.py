"""Small charts as shapes that a template draws as SVG: one column for each day, 100 units high, without text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.site.figures import DayFigures, Period

HEIGHT = 100.0
BAR_WIDTH = 0.72  # Of a column.


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a column: `kind` names its colour."""

    kind: str
    x: float
    y: float
    height: float
    width: float = BAR_WIDTH


@dataclass(frozen=True, slots=True)
class Column:
    """A day: its bars, and the text that a pointer on it shows."""

    x: int
    text: str
    bars: list[Bar] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Line:
    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart and its table: `summary` says in words what it shows, `top` is the value at its upper edge."""

    name: str
    title: str
    summary: str
    top: str
    first: date
    last: date
    legend: list[tuple[str, str]]
    headings: list[str]
    rows: list[list[str]]
    columns: list[Column]
    lines: list[Line] = field(default_factory=list)

    @property
    def width(self) -> int:
        return len(self.columns)


def of(period: Period) -> list[Chart]:
    """Return the charts of the front page."""
    return [_turns(period.days), _first_audio(period.days), _spend(period.days)]


STATES = {
    "answered": gettext_lazy("answered"),
    "interrupted": gettext_lazy("interrupted"),
    "failed": gettext_lazy("failed"),
}


def _turns(days: Sequence[DayFigures]) -> Chart:
    top = _rounded_up(max(day.all_turns for day in days))
    return Chart(
        name="turns",
        title=_("Turns a day"),
        summary=_("From %(least)s to %(most)s turns a day.")
        % {"least": number(min(day.all_turns for day in days)), "most": number(max(day.all_turns for day in days))},
        top=number(top),
        first=days[0].day,
        last=days[-1].day,
        legend=[(kind, str(label)) for kind, label in STATES.items()],
        headings=[_("Day"), *map(str, STATES.values()), _("all")],
        rows=[
            [_date(day), *(number(getattr(day, kind)) for kind in STATES), number(day.all_turns)]
            for day in reversed(days)
        ],
        columns=[
            Column(
                x,
                f"{_date(day)}: {number(day.all_turns)}, {number(day.failed)} {STATES['failed']}",
                _stack(x, day, top),
            )
            for x, day in enumerate(days)
        ],
    )


def _stack(x: int, day: DayFigures, top: float) -> list[Bar]:
    """Return the bars of a day's turns, one upon the other, failures at the bottom, where days compare best."""
    bars, y = [], HEIGHT
    for kind in ("failed", "interrupted", "answered"):
        height = HEIGHT * getattr(day, kind) / top
        y -= height
        if height:
            bars.append(Bar(kind, x + (1 - BAR_WIDTH) / 2, round(y, 2), round(height, 2)))
    return bars


def _first_audio(days: Sequence[DayFigures]) -> Chart:
    values = {"p50": [day.first_audio_p50 for day in days], "p95": [day.first_audio_p95 for day in days]}
    top = _rounded_up(max((value for each in values.values() for value in each if value is not None), default=0))
    medians = [value for value in values["p50"] if value is not None]
    summary = (
        _("Half of the turns of a day began to sound within %(least)s to %(most)s.")
        % {"least": seconds(min(medians)), "most": seconds(max(medians))}
        if medians
        else _("No turn had sound.")
    )
    return Chart(
        name="first-audio",
        title=_("Time to the first sound"),
        summary=summary,
        top=seconds(top),
        first=days[0].day,
        last=days[-1].day,
        legend=[("p50", _("half of the turns (p50)")), ("p95", _("95 of 100 turns (p95)"))],
        headings=[_("Day"), "p50", "p95"],
        rows=[[_date(day), seconds(day.first_audio_p50), seconds(day.first_audio_p95)] for day in reversed(days)],
        columns=[
            Column(x, f"{_date(day)}: p50 {seconds(day.first_audio_p50)}, p95 {seconds(day.first_audio_p95)}")
            for x, day in enumerate(days)
        ],
        lines=[Line(kind, _path(each, top)) for kind, each in values.items()],
    )


def _path(values: Sequence[int | None], top: float) -> str:
    """Return the path through the middles of the days. A day without a value is a gap, and one alone is a dot."""
    parts, is_down = [], False
    for x, value in enumerate(values):
        if value is not None:
            point = f"{x + 0.5} {HEIGHT - HEIGHT * value / top:.2f}"
            parts.append(f"L{point}" if is_down else f"M{point}h0.01")
        is_down = value is not None
    return "".join(parts)


def _spend(days: Sequence[DayFigures]) -> Chart:
    most = max(day.all_dollars for day in days)
    top = _rounded_up(most * 100) / 100
    return Chart(
        name="spend",
        title=_("Estimated spend a day"),
        summary=_("At most %(most)s a day.") % {"most": dollars(most)},
        top=dollars(top),
        first=days[0].day,
        last=days[-1].day,
        legend=[],
        headings=[_("Day"), _("US dollars")],
        rows=[[_date(day), dollars(day.all_dollars)] for day in reversed(days)],
        columns=[
            Column(x, f"{_date(day)}: {dollars(day.all_dollars)}", _single(x, HEIGHT * day.all_dollars / top))
            for x, day in enumerate(days)
        ],
    )


def _single(x: int, height: float) -> list[Bar]:
    bar = Bar("spend", x + (1 - BAR_WIDTH) / 2, round(HEIGHT - height, 2), round(height, 2))
    return [bar] if height else []


def _rounded_up(value: float) -> float:
    """Return the next round number; 1 for 0."""
    if value <= 0:
        return 1
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * power >= value)


def dollars(amount: float) -> str:
    return f"${number_format(amount, 2, force_grouping=True)}"


def number(value: float) -> str:
    return number_format(value, 0, force_grouping=True)


def seconds(milliseconds: float | None) -> str:
    return "–" if milliseconds is None else f"{number_format(milliseconds / 1000, 2)} s"


def _date(day: DayFigures) -> str:
    return date_format(day.day, "M j")
