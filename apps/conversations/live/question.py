"""A question of a live session while it is asked: its sound, its words so far, and a reply that is begun on trust."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

from apps.conversations.live.answer import Answer
from apps.conversations.live.ground import OpenedQuestion
from apps.conversations.live.protocol import new_id
from apps.speech.base import LIVE_SAMPLE_RATE, Recording, Transcript
from apps.usage.metering import Used


class Question:
    """A spoken question, or a typed one (`text`). `opened` tells, once it is done, whether it may be answered."""

    def __init__(self, opened: asyncio.Task[OpenedQuestion], *, item_id: str = "", text: str | None = None) -> None:
        self.item_id = item_id or new_id("item")
        self.opened = opened
        self.typed = text
        self.pcm = b""
        self.used = Used()
        # What was said since the last part; each text replaces the one before it.
        self.partial = ""
        # The transcripts of what is committed. A question that went on after its end has several.
        self.parts: list[asyncio.Task[Transcript]] = []
        # Whether the person was silent for a moment when the sound ended.
        self.is_quiet = False
        # The reply that was begun on trust, and how many were.
        self.on_trust: Answer | None = None
        self.replies = 0
        # The answer that is given, and the work that leads to it.
        self.answer: Answer | None = None
        self.answering: asyncio.Task[None] | None = None
        # What the client was shown of the words.
        self.shown = ""
        # Seconds of sound that speech to text was sent for it.
        self.sent_seconds = 0.0

    def end_part(self, part: asyncio.Task[Transcript]) -> None:
        """Take the coming transcript of what was said since the last part, in the place of its partial text."""
        self.parts.append(part)
        partial = self.partial

        def forget_partial(_part: asyncio.Task[Transcript]) -> None:
            if self.partial == partial:
                self.partial = ""

        part.add_done_callback(forget_partial)

    @property
    def recording(self) -> Recording | None:
        return Recording(self.pcm, LIVE_SAMPLE_RATE) if self.pcm else None

    @property
    def words_so_far(self) -> str:
        """What was said by now, as far as it is known."""
        done = [part for part in self.parts if part.done() and not part.cancelled() and part.exception() is None]
        return joined([*(part.result().text for part in done), self.partial])

    async def transcript(self) -> Transcript:
        """Return what was said or typed, when all of it is known. Raises ProviderError."""
        if self.typed is not None:
            return Transcript(self.typed)
        parts = [await asyncio.shield(part) for part in self.parts]
        languages = [part.language for part in parts if part.language]
        return Transcript(joined(part.text for part in parts), language=languages[-1] if languages else "")


def joined(texts: Iterable[str]) -> str:
    return " ".join(text.strip() for text in texts if text.strip())


def same_words(first: str, second: str) -> bool:
    """Whether both texts say the same, apart from case and punctuation."""
    return _words(first) == _words(second)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
