"""Runs an async generator ahead of its reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Prefetch(Generic[Item]):
    """Runs an async generator in a task of its own, so that it goes on while its reader is busy."""

    def __init__(self, items: AsyncGenerator[Item, None]) -> None:
        self._ready: asyncio.Queue[Item | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(items))

    async def _run(self, items: AsyncGenerator[Item, None]) -> None:
        try:
            async with aclosing(items):
                async for item in items:
                    self._ready.put_nowait(item)
        finally:
            self._ready.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Item]:
        while (item := await self._ready.get()) is not None:
            yield item
        await self._task  # raises what the generator raised

    async def stop(self) -> None:
        """Close the generator, wherever it is."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def cancel(self) -> None:
        """Have the generator closed soon; from any thread."""
        self._task.get_loop().call_soon_threadsafe(self._task.cancel)
