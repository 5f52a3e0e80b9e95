"""What the language model is told."""

from __future__ import annotations

from collections.abc import Sequence

from apps.conversations.models import Turn
from apps.speech.base import Message

# In words that the smallest embedded model can follow, too.
INSTRUCTIONS = (
    "You are a helpful assistant who speaks with a person. "
    "Your reply is read aloud, so answer in one to three short sentences of plain prose.\n"
    "No lists, links, emoji or code. Numbers as words. Answer in the language of the question."
)


def build_messages(*, persona: str, earlier: Sequence[Turn], transcript: str) -> list[Message]:
    """Return the messages for a new reply: instructions and persona, the `earlier` turns, oldest first, the question.

    What a person said is only ever in the user role.
    """
    system = f"{INSTRUCTIONS}\n\n{persona}" if persona else INSTRUCTIONS
    messages = [Message("system", system)]
    for turn in earlier:
        messages.append(Message("user", turn.transcript))
        if turn.remembered_reply:
            messages.append(Message("assistant", turn.remembered_reply))
    return [*messages, Message("user", transcript)]
