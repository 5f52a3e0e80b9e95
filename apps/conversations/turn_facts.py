"""What the admin shows of a turn beside its words: how long its stages took, what it used, and what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, Sum
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.conversations.models import Turn
from apps.usage.models import UsageRecord

# The width of the bar in units of its SVG, which the page scales.
BAR_WIDTH = 1000
COUNTS = ("heard_ms", "spoken_characters", "tokens_read", "tokens_written", "cost_micros")


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage as a part of the turn's bar. `x` and `width` are in units of BAR_WIDTH, `ms` is how long it took."""

    name: str
    label: str | Promise
    ms: int
    x: int
    width: int


@dataclass(frozen=True, slots=True)
class TurnFacts:
    """A turn with its stages and the sum of its records of usage, which has None for a turn without any."""

    turn: Turn
    stages: list[Stage]
    usage: dict[str, int] | None

    @property
    def cost_dollars(self) -> float:
        return (self.usage or {}).get("cost_micros", 0) / 1_000_000

    @property
    def heard_seconds(self) -> float:
        return (self.usage or {}).get("heard_ms", 0) / 1000

    @property
    def request_ids(self) -> list[tuple[str, str]]:
        """The stages with the ids that providers gave to their calls."""
        labels = dict(Turn.Stage.choices)
        return [(str(labels.get(stage, stage)), ", ".join(ids)) for stage, ids in self.turn.request_ids.items()]


def facts_of(turns: Iterable[Turn]) -> list[TurnFacts]:
    """Return the facts of each turn. Takes one query."""
    shown = list(turns)
    usage = _usage_of([turn.pk for turn in shown])
    return [TurnFacts(turn, stages_of(turn), usage.get(turn.pk)) for turn in shown]


def stages_of(turn: Turn) -> list[Stage]:
    """Return the stages that have begun and whose end is known, in order. A turn ends where its last stage does."""
    ends = [
        ("hear", _("heard"), turn.heard_ms),
        ("think", _("first word"), turn.first_word_ms),
        ("voice", _("first sound"), turn.first_audio_ms),
        ("speak", _("finished"), turn.total_ms),
    ]
    known = [(name, label, end) for name, label, end in ends if end is not None]
    whole = max([end for _name, _label, end in known], default=0)
    stages, begun = [], 0
    for name, label, end in known:
        until = max(begun, end)
        x = BAR_WIDTH * begun // whole if whole else 0
        width = BAR_WIDTH * until // whole - x if whole else 0
        stages.append(Stage(name, label, until - begun, x, width))
        begun = until
    return stages


def _usage_of(turns: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    records: QuerySet[Any] = UsageRecord.objects.filter(reference__in=turns).order_by().values("reference")
    sums: Any = records.annotate(**{f"sum_{name}": Sum(name) for name in COUNTS})
    return {row["reference"]: {name: row[f"sum_{name}"] for name in COUNTS} for row in sums}
