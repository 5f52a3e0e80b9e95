"""Which slot of the engine has read which conversation.

The engine keeps what it has read, and reads only what is new. Where the oldest messages are left out, it moves the rest
of what the same slot has read. It cannot find that in another slot, nor in its own cache of prompts: there it compares
beginnings only, and then reads up to 400 tokens anew, which took 20 s on a busy core.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from apps.speech.base import Message


class Slots:
    """The slots 0 to `count` - 1, and the messages that each has read."""

    def __init__(self, count: int) -> None:
        # The slot that was used least recently is the first.
        self._read: dict[int, Collection[Message]] = dict.fromkeys(range(count), frozenset())

    def choose(self, messages: Sequence[Message]) -> int:
        """Return the slot that has read most of the conversation, or else the one that was used least recently."""
        spoken = [message for message in messages if message.role != "system"]
        # The question is new. Another conversation may have begun with the same one.
        earlier = set(spoken[:-1])
        slot = max(self._read, key=lambda each: characters(earlier.intersection(self._read[each])))
        del self._read[slot]
        self._read[slot] = frozenset(spoken)
        return slot


def characters(messages: Collection[Message]) -> int:
    return sum(len(message.content) for message in messages)
