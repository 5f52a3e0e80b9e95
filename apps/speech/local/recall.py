"""What an embedded model remembers of a conversation: as much as it reads quickly, and no reply twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from apps.speech.base import Message

# English has more than four. A low estimate only drops the oldest messages a little early.
CHARACTERS_PER_TOKEN = 3
TOKENS_PER_MESSAGE = 8
# The most of a conversation that is remembered. It grows turn by turn, and each turn reads only what is new.
MEMORY_TOKENS = 1400
# The most of an earlier conversation that is read when somebody continues it. A slow core reads 20 tokens a second, and
# the person waits for all of them.
UNREAD_MEMORY_TOKENS = 300
WORD = re.compile(r"\w+")


def recall(messages: Sequence[Message], *, known: AbstractSet[Message]) -> list[Message]:
    """Return the instructions, the latest exchanges, and the question, as far as the engine reads them soon enough.

    `known` are the earlier messages that the engine has already read. What came before them is not read again.
    """
    remembered = list(messages)
    while can_drop(remembered) and not known.isdisjoint(remembered) and _first(remembered) not in known:
        remembered = drop_oldest(remembered)
    limit = MEMORY_TOKENS if known else UNREAD_MEMORY_TOKENS
    while estimated_tokens(remembered) > limit and can_drop(remembered):
        remembered = drop_oldest(remembered)
    return remembered


def _first(messages: Sequence[Message]) -> Message:
    return next(message for message in messages if message.role != "system")


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
