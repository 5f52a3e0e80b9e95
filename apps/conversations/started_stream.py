"""Sends a file while it is still being generated."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Self

from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIRequest
from rest_framework.request import Request

from apps.conversations.pipeline.prefetch import Prefetch
from apps.core.database import release_connections, shared_thread
from apps.core.logs import detached_context

# How many chunks are made ahead of the client. Each holds a second of sound or less; further ones wait until it reads.
CHUNKS_AHEAD = 16


class StartedStream:
    """A file whose first bytes are available while a task of its own generates the rest."""

    def __init__(self, data: AsyncGenerator[bytes, None]) -> None:
        # In a context of its own: the view's context may end earlier, and its database thread with it.
        self._prefetch = detached_context().run(Prefetch, _in_shared_thread(data), CHUNKS_AHEAD)
        self._rest = aiter(self._prefetch)
        self._first = b""

    @classmethod
    async def start(cls, data: AsyncGenerator[bytes, None]) -> Self:
        """Wait for the first bytes; an error before them is raised here."""
        stream = cls(data)
        try:
            stream._first = await anext(stream._rest, b"")
        except BaseException:
            await stream._prefetch.stop()
            raise
        return stream

    def __bool__(self) -> bool:
        """Whether there are any bytes."""
        return bool(self._first)

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        try:
            yield self._first
            async for data in self._rest:
                yield data
        finally:
            await self._prefetch.stop()

    def close(self) -> None:
        """Stop generating the file, because nobody will read it; from any thread."""
        self._prefetch.cancel()


def start_stream(request: Request, data: AsyncGenerator[bytes, None]) -> StartedStream | bytes:
    """Wait, in the thread of a view, for the first bytes of `data`, and return the stream.

    Under WSGI, which has no event loop that outlives the view, return the whole file when it is finished.
    """
    release_connections()
    if isinstance(request._request, ASGIRequest):
        return async_to_sync(StartedStream.start)(data)
    return async_to_sync(_whole)(data)


async def _whole(data: AsyncGenerator[bytes, None]) -> bytes:
    return b"".join([chunk async for chunk in data])


async def _in_shared_thread(data: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield `data`, whose queries run in a thread that all streams share."""
    async with shared_thread(), aclosing(data):
        async for chunk in data:
            yield chunk
