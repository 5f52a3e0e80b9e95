"""A limit on concurrent calls, in which urgent calls go first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from apps.speech import metrics
from apps.speech.providers.retries import deadline_paused


class SpeechSlots(Protocol):
    """A limit on concurrent calls: Slots, or SharedSlots for all processes of a site."""

    def slot(self, *, urgent: bool) -> AbstractAsyncContextManager[None]:
        """Wait for a slot, and hold it inside the block."""
        ...

    def shrink(self, *, seconds: float) -> None:
        """For `seconds`, lower the size to one less than the number of slots taken now, but at least to 1."""
        ...


class Slots:
    """At most `size` slots are taken at a time, on one event loop.

    A free slot goes to an urgent call first, then to the call that has waited longest. The deadline of a call is paused
    while it waits for its slot.
    """

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._arrivals = itertools.count()
        self._waiting: list[tuple[bool, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def slot(self, *, urgent: bool) -> AsyncIterator[None]:
        """Wait for a slot, and hold it inside the block."""
        await self._take(urgent=urgent)
        try:
            yield
        finally:
            self._give_back()

    def shrink(self, *, seconds: float) -> None:
        """For `seconds`, lower the size to one less than the number of slots taken now, but at least to 1."""
        removed = self._size - max(1, self._size - self._free - 1)
        self._add(-removed)
        asyncio.get_running_loop().call_later(seconds, self._add, removed)

    def _add(self, count: int) -> None:
        self._size += count
        self._free += count
        self._hand_out()

    async def _take(self, *, urgent: bool) -> None:
        if self._free > 0:
            self._free -= 1
            return
        waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (not urgent, next(self._arrivals), waiter))
        try:
            with metrics.SPEECH_QUEUE.track_inprogress(), deadline_paused():
                await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # It got the slot and was cancelled at the same moment.
                self._give_back()
            raise

    def _give_back(self) -> None:
        self._free += 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._free > 0 and self._waiting:
            _not_urgent, _arrival, waiter = heapq.heappop(self._waiting)
            if not waiter.done():
                waiter.set_result(None)
                self._free -= 1
