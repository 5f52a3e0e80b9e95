"""What the language model is told."""

from __future__ import annotations

from collections.abc import Sequence

from apps.conversations.models import Turn
from apps.speech.base import Message

INSTRUCTIONS = (
    "You are talking with a person by voice. Everything you write is spoken aloud. Answer in the person's language, "
    "in one to three short sentences of plain prose, without lists, headings, links, emoji or code. "
    "Write numbers, units and symbols as words. If you did not understand, ask."
)


def build_messages(*, persona: str, earlier: Sequence[Turn], transcript: str) -> list[Message]:
    """Return the messages for a new reply: instructions and persona, the `earlier` turns, oldest first, the question.

    What a person said is only ever in the user role.
    """
    system = f"{INSTRUCTIONS}\n\n{persona}" if persona else INSTRUCTIONS
    messages = [Message("system", system)]
    for turn in earlier:
        messages += [Message("user", turn.transcript), Message("assistant", turn.reply)]
    return [*messages, Message("user", transcript)]
