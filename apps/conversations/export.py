"""Exports a conversation as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import QuerySet
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.conversations.models import Conversation, Turn
from apps.core.times import utc_text

AI_NOTE = gettext_lazy("The answers were written by a language model and spoken in a cloned voice.")


class _Row(NamedTuple):
    """The columns of a turn that are exported. A model object for each turn of a long conversation takes too long."""

    id: UUID
    created_at: datetime
    status: str
    language: str
    transcript: str
    reply: str
    question: str
    question_seconds: float | None
    answer_seconds: float | None
    heard_ms: int | None
    first_word_ms: int | None
    first_audio_ms: int | None
    total_ms: int | None
    failed_stage: str
    error_code: str
    replaced_by_id: UUID | None


def conversation_as_text(conversation: Conversation, turns: QuerySet[Turn]) -> str:
    """Return a heading with title, time, voice and note, then a paragraph for each question and each answer.

    What was asked again comes last, under a heading of its own.
    """
    voice = conversation.voice.name if conversation.voice else _("voice deleted")
    started = utc_text(conversation.created_at)
    heading = [conversation.title or _("New conversation"), f"{started} · {voice}", str(AI_NOTE)]
    paragraphs: list[str] = []
    earlier: list[str] = []
    you, answer = _("You"), _("Answer (AI)")
    rows = turns.values_list("transcript", "reply", "error_code", "replaced_by_id")
    for transcript, reply, error_code, replaced_by in rows:
        asked = transcript or _("(a recording that was not understood)")
        answered = reply or Turn(error_code=error_code).error_message or _("(no answer)")
        # Its type in a list of values leaves out None.
        part = paragraphs if replaced_by is None else earlier  # type: ignore[redundant-expr]
        part.extend([f"{you}: {asked}", f"{answer}: {answered}"])
    if earlier:
        paragraphs += [_("Earlier versions, which were asked again"), *earlier]
    return "\n\n".join(["\n".join(heading), *paragraphs]) + "\n"


def conversation_as_json(conversation: Conversation, turns: QuerySet[Turn]) -> str:
    """Return all data of the conversation except its sound, of which it has the lengths: a line for each turn."""
    data = {
        "id": str(conversation.pk),
        "title": conversation.title,
        "persona": conversation.persona,
        "voice": conversation.voice.name if conversation.voice else None,
        "language": conversation.language,
        "model": conversation.model,
        "created_at": conversation.created_at.isoformat(),
        "updated_at": conversation.updated_at.isoformat(),
        "note": str(AI_NOTE),
    }
    head = json.dumps(data, ensure_ascii=False, indent=2).removesuffix("\n}")
    # Not with `indent`, which takes several times as long: Python's fast encoder does not know it.
    encode = json.JSONEncoder(ensure_ascii=False).encode
    lines = ",\n".join(map(encode, _turns_data(turns)))
    return f'{head},\n  "turns": [\n{lines}\n  ]\n}}\n'


def _turns_data(turns: QuerySet[Turn]) -> Iterator[dict[str, Any]]:
    for row in map(_Row._make, turns.values_list(*_Row._fields)):
        yield {
            "id": str(row.id),
            "created_at": row.created_at.isoformat(),
            "status": row.status,
            "language": row.language,
            "transcript": row.transcript,
            "reply": row.reply,
            "question_seconds": row.question_seconds,
            "answer_seconds": row.answer_seconds,
            "timings": {
                "heard_ms": row.heard_ms,
                "first_word_ms": row.first_word_ms,
                "first_audio_ms": row.first_audio_ms,
                "total_ms": row.total_ms,
            },
            "error": Turn(**row._asdict()).error if row.status == Turn.Status.FAILED else None,
            "replaced_by": row.replaced_by_id and str(row.replaced_by_id),
        }


def export_name(conversation: Conversation, extension: str) -> str:
    """Return a file name that is valid on every system."""
    title = slugify(conversation.title)[:60].strip("-") or "conversation"
    return f"{title}-{conversation.created_at:%Y-%m-%d}.{extension}"


EXPORTS: dict[str, tuple[str, Callable[[Conversation, QuerySet[Turn]], str]]] = {
    "txt": ("text/plain; charset=utf-8", conversation_as_text),
    "json": ("application/json", conversation_as_json),
}
