"""Exports a conversation as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.conversations.models import Conversation, Turn
from apps.core.times import utc_text

AI_NOTE = gettext_lazy("The answers were written by a language model and spoken in a cloned voice.")


def conversation_as_text(conversation: Conversation, turns: Sequence[Turn]) -> str:
    """Return a heading with title, time, voice and note, then a paragraph for each question and each answer.

    What was asked again comes last, under a heading of its own.
    """
    voice = conversation.voice.name if conversation.voice else _("voice deleted")
    started = utc_text(conversation.created_at)
    heading = [conversation.title or _("New conversation"), f"{started} · {voice}", str(AI_NOTE)]
    paragraphs = [paragraph for turn in turns if turn.replaced_by_id is None for paragraph in _paragraphs(turn)]
    earlier = [paragraph for turn in turns if turn.replaced_by_id is not None for paragraph in _paragraphs(turn)]
    if earlier:
        paragraphs += [_("Earlier versions, which were asked again"), *earlier]
    return "\n\n".join(["\n".join(heading), *paragraphs]) + "\n"


def _paragraphs(turn: Turn) -> list[str]:
    asked = turn.transcript or _("(a recording that was not understood)")
    answered = turn.reply or turn.error_message or _("(no answer)")
    return [f"{_('You')}: {asked}", f"{_('Answer (AI)')}: {answered}"]


def conversation_as_json(conversation: Conversation, turns: Sequence[Turn]) -> str:
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
    lines = ",\n".join(json.dumps(_turn_data(turn), ensure_ascii=False) for turn in turns)
    return f'{head},\n  "turns": [\n{lines}\n  ]\n}}\n'


def _turn_data(turn: Turn) -> dict[str, Any]:
    return {
        "id": str(turn.pk),
        "created_at": turn.created_at.isoformat(),
        "status": turn.status,
        "language": turn.language,
        "transcript": turn.transcript,
        "reply": turn.reply,
        "question_seconds": turn.question_seconds,
        "answer_seconds": turn.answer_seconds,
        "timings": turn.timings,
        "error": turn.error,
        "replaced_by": turn.replaced_by_id and str(turn.replaced_by_id),
    }


def export_name(conversation: Conversation, extension: str) -> str:
    """Return a file name that is valid on every system."""
    title = slugify(conversation.title)[:60].strip("-") or "conversation"
    return f"{title}-{conversation.created_at:%Y-%m-%d}.{extension}"


EXPORTS: dict[str, tuple[str, Callable[[Conversation, Sequence[Turn]], str]]] = {
    "txt": ("text/plain; charset=utf-8", conversation_as_text),
    "json": ("application/json", conversation_as_json),
}
