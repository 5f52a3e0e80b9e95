"""A turn that runs on trust: its question may still go on, so nothing of it is stored or heard yet."""

from __future__ import annotations

import asyncio
import time

from apps.speech.base import Recording, Transcript


class Trust:
    """Whether the question of a running turn is certain. Create it on the turn's event loop.

    Until `confirm`, the turn stores nothing. A turn that is closed before that leaves nothing but its usage.
    """

    def __init__(self) -> None:
        self._question: asyncio.Future[tuple[Transcript, Recording | None]]
        self._question = asyncio.get_running_loop().create_future()
        # When the question became certain, by `time.monotonic`: before that, nobody can have heard an answer.
        self.confirmed_at = 0.0

    @property
    def is_confirmed(self) -> bool:
        return self._question.done()

    def confirm(self, transcript: Transcript, recording: Recording | None) -> None:
        """Declare the question to be `transcript`, which says the same as the one that the turn began with."""
        self.confirmed_at = time.monotonic()
        self._question.set_result((transcript, recording))

    async def question(self) -> tuple[Transcript, Recording | None]:
        """Wait until the question is certain; return its words and its sound."""
        return await asyncio.shield(self._question)
