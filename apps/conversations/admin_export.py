"""Turns that an administrator selects, as JSON for programs or as CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse
from django.utils import timezone

from apps.conversations.models import Turn
from apps.core.content_access import PLACEHOLDER
from apps.core.database import shared_thread

MAX_TURNS = 2000
BATCH = 100
# A spreadsheet takes a cell that begins so for a formula, which could send the other cells elsewhere.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
CONTENT = ("transcript", "reply")
PLAIN = (
    "language",
    "question_seconds",
    "answer_seconds",
    "heard_by",
    "heard_ms",
    "first_word_ms",
    "first_audio_ms",
    "total_ms",
    "failed_stage",
    "error_code",
)


def export(turns: Sequence[UUID], *, as_csv: bool, with_content: bool) -> StreamingHttpResponse:
    """Answer with a file of these turns, which is read and sent in batches. Without content, it has placeholders."""
    write = _csv_of if as_csv else _json_of
    content_type, extension = ("text/csv; charset=utf-8", "csv") if as_csv else ("application/json", "json")
    response = StreamingHttpResponse(_lines(turns, write, with_content=with_content), content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="turns-{timezone.now():%Y-%m-%d-%H%M}.{extension}"'
    response["Cache-Control"] = "private, no-store"
    response["X-AI-Generated"] = "true"
    return response


Write = Callable[[list[dict[str, Any]], int], str]


async def _lines(turns: Sequence[UUID], write: Write, *, with_content: bool) -> AsyncIterator[bytes]:
    for start in range(0, len(turns), BATCH):
        async with shared_thread():
            rows = await sync_to_async(_read)(turns[start : start + BATCH], with_content=with_content)
        yield write(rows, start).encode()
    if write is _json_of:
        yield b"\n]\n" if turns else b"[]\n"


def _read(turns: Sequence[UUID], *, with_content: bool) -> list[dict[str, Any]]:
    rows = Turn.objects.filter(pk__in=turns).select_related("owner", "voice")
    found = {row.pk: row for row in rows}
    return [_data_of(found[pk], with_content=with_content) for pk in turns if pk in found]


def _data_of(turn: Turn, *, with_content: bool) -> dict[str, Any]:
    return {
        "id": str(turn.pk),
        "conversation": str(turn.conversation_id),
        "created_at": turn.created_at.isoformat(),
        "owner": turn.owner.get_username(),
        "voice": turn.voice.name if turn.voice else None,
        "status": turn.status,
        **{name: getattr(turn, name) if with_content else str(PLACEHOLDER) for name in CONTENT},
        **{name: getattr(turn, name) for name in PLAIN},
        "request_ids": turn.request_ids,
    }


def _json_of(rows: list[dict[str, Any]], start: int) -> str:
    return "".join(
        f"{'[' if number == 0 else ','}\n{json.dumps(row, ensure_ascii=False)}"
        for number, row in enumerate(rows, start=start)
    )


def _csv_of(rows: list[dict[str, Any]], start: int) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    if start == 0 and rows:
        writer.writerow(rows[0])
    writer.writerows(_cells(row) for row in rows)
    return text.getvalue()


def _cells(row: dict[str, Any]) -> Iterator[object]:
    for value in row.values():
        yield safe_cell(json.dumps(value) if isinstance(value, dict) else value)


def safe_cell(value: object) -> object:
    """Return `value`, with an apostrophe in front of a text that a spreadsheet would run as a formula."""
    if isinstance(value, str) and value.lstrip(" ").startswith(FORMULA_STARTS):
        return f"'{value}"
    return value
