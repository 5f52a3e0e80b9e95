"""A file that is sent while it is still being made."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Self

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections

from apps.conversations.speaking import RunAhead
from apps.core.logs import detached_context


class BegunFile:
    """A file that is still being made, in a task of its own, and whose first bytes are there."""

    def __init__(self, data: AsyncGenerator[bytes, None]) -> None:
        # Not in the context of the view: it may end before this does, and the threads for the database end with it.
        self._ahead = detached_context().run(RunAhead, _with_own_connection(data))
        self._rest = aiter(self._ahead)
        self._first = b""

    @classmethod
    async def begin(cls, data: AsyncGenerator[bytes, None]) -> Self:
        """Wait for the first bytes; what goes wrong before them is raised here."""
        file = cls(data)
        try:
            file._first = await anext(file._rest, b"")
        except BaseException:
            await file._ahead.stop()
            raise
        return file

    @property
    def is_empty(self) -> bool:
        return not self._first

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        try:
            yield self._first
            async for data in self._rest:
                yield data
        finally:
            await self._ahead.stop()

    def close(self) -> None:
        """Stop making it, where nobody will read it; from any thread."""
        self._ahead.cancel()


async def _with_own_connection(data: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield `data`, with a thread for the database whose connection is closed at the end."""
    async with ThreadSensitiveContext():
        try:
            async with aclosing(data):
                async for piece in data:
                    yield piece
        finally:
            await sync_to_async(connections.close_all)()
