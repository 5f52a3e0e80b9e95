"""The second stage of a turn: from the transcript of a question to a reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db.models import Q

from apps.conversations.models import Turn
from apps.speech.base import LanguageModel, Message, ProviderError
from apps.speech.reply_text import CUT, is_whole
from apps.usage.metering import Used

MAX_CHARACTERS_PER_TOKEN = 12  # More than any language needs; a model that ignores its limit is cut off.


async def earlier_turns(turn: Turn, *, pause: float) -> list[Turn]:
    """Wait `pause` seconds, then return the turns before `turn` that are remembered, oldest first."""
    await asyncio.sleep(pause)
    return await sync_to_async(remembered_turns)(turn.conversation_id, before=turn.created_at)


def remembered_turns(conversation_id: UUID, *, before: datetime) -> list[Turn]:
    """Return the latest turns with question and reply, oldest first. Those that were asked again are forgotten."""
    turns = Turn.objects.filter(conversation_id=conversation_id, created_at__lt=before, replaced_by=None)
    # The question of an interrupted turn is remembered even if nothing was answered: the person may have gone on.
    answered = turns.exclude(transcript="").exclude(~Q(status=Turn.Status.INTERRUPTED), reply="")
    latest = answered.order_by("-created_at")[: settings.MEMORY_TURNS]
    return list(reversed(latest))


async def write_reply(
    messages: Sequence[Message], *, model: LanguageModel, used: Used, max_tokens: int | None = None
) -> AsyncGenerator[str, None]:
    """Yield the reply to `messages` as text deltas, the last one CUT if it reached a limit in mid-sentence.

    A call that fails or is closed counts as usage, too.

    Raises ProviderError, also if the reply is empty.
    """
    reply = ""
    max_tokens = min(max_tokens or settings.MAX_REPLY_TOKENS, settings.MAX_REPLY_TOKENS)
    max_characters = max_tokens * MAX_CHARACTERS_PER_TOKEN
    try:
        async with aclosing(model.reply(messages, max_tokens=max_tokens)) as deltas:
            async for delta in deltas:
                room = max_characters - len(reply)
                fitting = delta if len(delta) <= room else delta[:room]
                reply += fitting
                yield fitting
                if len(delta) > room:
                    if not is_whole(reply):
                        yield CUT
                    break
    finally:
        used.read(sum(len(message.content) for message in messages), engine=model.name)
        used.write(len(reply), engine=model.name)
    if not reply.strip():
        raise ProviderError("provider_answer_invalid", stage="think", retryable=True)
