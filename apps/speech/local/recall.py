"""What an embedded model remembers of a conversation: as much as it reads quickly, and no reply twice."""

from __future__ import annotations

import re
from collections.abc import Sequence

from apps.speech.base import Message

# English has more than four. A low estimate only drops the oldest messages a little early.
CHARACTERS_PER_TOKEN = 3
TOKENS_PER_MESSAGE = 8
WORD = re.compile(r"\w+")


def recall(messages: Sequence[Message], *, max_tokens: int) -> list[Message]:
    """Return the instructions, the latest exchanges that fit into about `max_tokens`, and the question."""
    remembered = without_repetitions(messages)
    while estimated_tokens(remembered) > max_tokens and can_drop(remembered):
        remembered = drop_oldest(remembered)
    return remembered


def without_repetitions(messages: Sequence[Message]) -> list[Message]:
    """Return `messages` without each exchange whose reply was given before: models repeat what they read twice."""
    kept: list[Message] = []
    said: set[str] = set()
    for message in messages:
        words = " ".join(WORD.findall(message.content.casefold()))
        if message.role == "assistant" and words in said and kept[-1].role == "user":
            kept.pop()
            continue
        if message.role == "assistant":
            said.add(words)
        kept.append(message)
    return kept


def estimated_tokens(messages: Sequence[Message]) -> int:
    characters = sum(len(message.content) for message in messages)
    return characters // CHARACTERS_PER_TOKEN + TOKENS_PER_MESSAGE * len(messages)


def can_drop(messages: Sequence[Message]) -> bool:
    """Tell whether there are messages besides the instructions and the message to answer."""
    return sum(message.role != "system" for message in messages) > 1


def drop_oldest(messages: Sequence[Message]) -> list[Message]:
    """Return `messages` without the oldest exchange, a question and the answers to it. Keep the instructions."""
    instructions = [message for message in messages if message.role == "system"]
    exchanges = [message for message in messages if message.role != "system"][1:]
    while len(exchanges) > 1 and exchanges[0].role == "assistant":
        exchanges = exchanges[1:]
    return [*instructions, *exchanges]
