"""The ids that providers give to the calls of a turn: what their support asks for when something went wrong."""

from __future__ import annotations

import re
from contextvars import ContextVar

MAX_OF_STAGE = 5  # The latest ones: a long answer takes many calls.

_noted: ContextVar[dict[str, list[str]] | None] = ContextVar("request_ids", default=None)


def collect(into: dict[str, list[str]]) -> None:
    """Collect the ids of all calls of this task, and of the tasks that it starts, in `into`, by stage."""
    _noted.set(into)


def note(stage: str, request_id: str | None) -> None:
    """Keep the id of a call, if this task collects them and the provider gave one."""
    noted, known = _noted.get(), safe(request_id or "")
    if noted is not None and known:
        ids = [each for each in noted.get(stage, []) if each != known]
        noted[stage] = [*ids, known][-MAX_OF_STAGE:]


def safe(value: str) -> str:
    """Return `value` without characters that no id has."""
    return re.sub(r"[^\w.:-]", "", value)[:80]
