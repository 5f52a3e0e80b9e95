"""The spans of a turn: the turn itself, and one for each stage that runs. They have ids, codes and times, no words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from apps.conversations.models import RUNNING, Turn
from apps.core.logs import request_id
from apps.core.tracing import Note, span

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERRUPTED = Turn.Status.INTERRUPTED.value


@contextmanager
def turn_span(turn: Turn) -> Iterator[Note]:
    """Trace an attempt at a turn: what the answer waited for, and how it ended."""
    attempt = "first" if turn._state.adding else "retry"
    with span("turn", turn_id=str(turn.pk), request_id=request_id.get(), attempt=attempt) as note:
        try:
            yield note
        finally:
            # The row of one that is stopped is brought up to date afterwards.
            note(status=INTERRUPTED if turn.status in RUNNING else str(turn.status), **turn.timings)


@contextmanager
def stage_span(turn: Turn, stage: Turn.Stage) -> Iterator[None]:
    """Trace a stage, with the ids that its provider gave to the calls."""
    with span(stage.value) as note:
        try:
            yield
        finally:
            note(request_ids=turn.request_ids.get(stage.value, []))
