"""No answer of a provider may fill the memory, whatever its server or a proxy on the way sends."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import httpx2

MAX_ANSWER_BYTES = 30_000_000  # Ten minutes of the sound that one sentence is spoken with.


class AnswerTooLargeError(ValueError):
    """More came than any real answer is long."""


class BoundedStream(httpx.AsyncByteStream, httpx2.AsyncByteStream):
    """The body of an answer up to MAX_ANSWER_BYTES, for either of the HTTP clients that the SDKs are built on."""

    def __init__(self, body: httpx.AsyncByteStream | httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._body:
            size += len(piece)
            if size > MAX_ANSWER_BYTES:
                raise AnswerTooLargeError
            yield piece

    async def aclose(self) -> None:
        await self._body.aclose()


async def bound(response: httpx.Response | httpx2.Response) -> None:
    """Bound the body of `response`, as an event hook of the client."""
    if isinstance(response.stream, httpx.AsyncByteStream | httpx2.AsyncByteStream):
        response.stream = BoundedStream(response.stream)
