"""Which slot of the engine has read which conversation.

The engine keeps what it has read, and reads only what is new. Where the oldest messages are left out, it moves the rest
of what the same slot has read. It cannot find that in another slot, nor in its own cache of prompts: there it compares
beginnings only, and then reads hundreds of tokens anew, which takes a slow core 20 s.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from apps.speech.base import Message


class Slots:
    """The slots 0 to `count` - 1, and the messages that each has read."""

    def __init__(self, count: int) -> None:
        # The slot that was used least recently is the first.
        self._read: dict[int, frozenset[Message]] = dict.fromkeys(range(count), frozenset())

    def choose(self, messages: Sequence[Message]) -> tuple[int, frozenset[Message]]:
        """Return the slot for the reply to `messages`, and which of the earlier messages it has read.

        That is the slot that has read most of the conversation, or else the one that was used least recently.
        """
        # The question is new. Another conversation may have begun with the same one.
        earlier = frozenset(message for message in messages[:-1] if message.role != "system")
        slot = max(self._read, key=lambda each: _characters(earlier & self._read[each]))
        return slot, earlier & self._read[slot]

    def note(self, slot: int, messages: Sequence[Message]) -> None:
        """Remember that `slot` has read `messages`, and nothing else."""
        del self._read[slot]
        self._read[slot] = frozenset(messages)


def _characters(messages: Collection[Message]) -> int:
    return sum(len(message.content) for message in messages)
