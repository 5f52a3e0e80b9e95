"""A question of a live session while it is asked: its sound, its words so far, and a reply that is begun on trust."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.conversations.live.answer import Answer
from apps.conversations.live.ground import OpenedQuestion
from apps.conversations.live.protocol import new_id
from apps.conversations.pipeline.hearing import without_phantom
from apps.speech.base import LIVE_SAMPLE_RATE, Recording, Transcript
from apps.usage.metering import Used

if TYPE_CHECKING:
    from apps.conversations.live.response import Response


@dataclass(frozen=True, slots=True)
class Part:
    """What was said up to a commit: its coming transcript, and what was known of it before."""

    transcript: asyncio.Task[Transcript]
    partial: str

    @property
    def words(self) -> str:
        task = self.transcript
        is_known = task.done() and not task.cancelled() and task.exception() is None
        return task.result().text if is_known else self.partial


class Question:
    """A spoken question, or a typed one (`text`). `opened` tells, once it is done, whether it may be answered."""

    def __init__(self, opened: asyncio.Task[OpenedQuestion], *, item_id: str = "", text: str | None = None) -> None:
        self.item_id = item_id or new_id("item")
        self.opened = opened
        self.typed = text
        self.pcm = b""
        self.heard_bytes = 0
        self.used = Used()
        # Whether its reservation is settled.
        self.is_settled = False
        # What was said since the last part; each text replaces the one before it.
        self.partial = ""
        # A question that went on after its end has several.
        self.parts: list[Part] = []
        # Whether the person was silent for a moment when the sound ended.
        self.is_quiet = False
        # The reply that was begun on trust, and how many were.
        self.on_trust: Answer | None = None
        self.replies = 0
        # The work that leads to its answer, and the response that announced it. Several questions may be answered
        # together; the first of them has the answer. `others` are those beside this one.
        self.answering: asyncio.Task[None] | None = None
        self.response: Response | None = None
        self.others: list[Question] = []
        self.answer: Answer | None = None
        # What the client was shown of the words.
        self.shown = ""

    @property
    def recording(self) -> Recording | None:
        return Recording(self.pcm, LIVE_SAMPLE_RATE) if self.pcm else None

    @property
    def words_so_far(self) -> str:
        """What was said by now, as far as it is known."""
        return joined([*(part.words for part in self.parts), self.partial])

    def end_part(self, transcript: asyncio.Task[Transcript]) -> None:
        """What was said so far is committed."""
        self.parts.append(Part(transcript, self.partial))
        self.partial = ""

    async def transcript(self) -> Transcript:
        """Return what was said or typed, when all of it is known; nothing, if it was made up. Raises ProviderError."""
        if self.typed is not None:
            return Transcript(self.typed)
        parts = [await asyncio.shield(part.transcript) for part in self.parts]
        languages = [part.language for part in parts if part.language]
        heard = Transcript(joined(part.text for part in parts), language=languages[-1] if languages else "")
        return await without_phantom(heard, self.recording) if self.recording else heard


def joined(texts: Iterable[str]) -> str:
    return " ".join(text.strip() for text in texts if text.strip())


def same_words(first: str, second: str) -> bool:
    """Whether both texts say the same, apart from case and punctuation."""
    return _words(first) == _words(second)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
