"""Runs an async generator ahead of its reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Prefetch(Generic[Item]):
    """Runs an async generator in a task of its own, so that it continues while its reader is busy.

    It is at most `ahead` items ahead of its reader; without `ahead`, it runs to its end. Then the items must be few.
    """

    def __init__(self, items: AsyncGenerator[Item, None], ahead: int | None = None) -> None:
        self._ready: asyncio.Queue[Item | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(ahead) if ahead else None
        self._task = asyncio.create_task(self._run(items))

    async def _run(self, items: AsyncGenerator[Item, None]) -> None:
        try:
            async with aclosing(items):
                async for item in items:
                    if self._room:
                        await self._room.acquire()
                    self._ready.put_nowait(item)
        finally:
            self._ready.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Item]:
        while (item := await self._ready.get()) is not None:
            if self._room:
                self._room.release()
            yield item
        await self._task  # Raises the error of the generator.

    async def stop(self) -> None:
        """Stop the task and close the generator."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def cancel(self) -> None:
        """Request that the task stops, from any thread; do not wait for it."""
        self._task.get_loop().call_soon_threadsafe(self._task.cancel)
