"""A limit on calls at once, in which the urgent go first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from apps.speech import metrics
from apps.speech.providers.retries import standing_still


class Slots:
    """At most `size` are taken at once on one event loop. A free one goes to the urgent, then to who waits longest.

    The deadline of a call does not run while it waits for its slot.
    """

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._arrivals = itertools.count()
        self._waiting: list[tuple[bool, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def taken(self, *, urgent: bool) -> AsyncIterator[None]:
        """Hold a slot inside the block; wait for one before it."""
        await self._take(urgent=urgent)
        try:
            yield
        finally:
            self._give_back()

    def shrink(self, *, seconds: float) -> None:
        """Do with one slot less than are taken now for so long, but not with none: there are fewer than was thought."""
        fewer = self._size - max(1, self._size - self._free - 1)
        self._add(-fewer)
        asyncio.get_running_loop().call_later(seconds, self._add, fewer)

    def _add(self, count: int) -> None:
        self._size += count
        self._free += count
        self._hand_out()

    async def _take(self, *, urgent: bool) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (not urgent, next(self._arrivals), turn))
        try:
            with metrics.SPEECH_QUEUE.track_inprogress(), standing_still():
                await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # The slot came in the same moment.
                self._give_back()
            raise

    def _give_back(self) -> None:
        self._free += 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._free > 0 and self._waiting:
            _calm, _arrival, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                self._free -= 1
