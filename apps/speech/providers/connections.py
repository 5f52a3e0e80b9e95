"""What the HTTP clients of both SDKs have in common; one is built on httpx, the other on httpx2."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import aiohttp
import httpx
import httpx2

from apps.speech.providers.faults import provider_error

if TYPE_CHECKING:
    from apps.speech.base import ProviderError, Stage

MAX_ANSWER_BYTES = 30_000_000  # Ten minutes of the sound that one sentence is spoken with.


class AnswerTooLargeError(ValueError):
    """More came than any real answer is long."""


class BoundedStream(httpx.AsyncByteStream, httpx2.AsyncByteStream):
    """The body of an answer up to MAX_ANSWER_BYTES: whatever a server or a proxy sends, memory does not fill up."""

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


async def read_whole(request: httpx.Request | httpx2.Request) -> None:
    """Put the parts of a form together, as an event hook of the client: as they come, they make two dozen writes."""
    await request.aread()


async def bound(response: httpx.Response | httpx2.Response) -> None:
    """Bound the body of `response`, as an event hook of the client."""
    if isinstance(response.stream, httpx.AsyncByteStream | httpx2.AsyncByteStream):
        response.stream = BoundedStream(response.stream)


def connection_error(error: BaseException, *, stage: Stage) -> ProviderError:
    """Return the error for a connection that was never made, or was lost. `error` is what httpx or httpx2 raised.

    Over aiohttp they tell both alike. Only what aiohttp itself raised says whether nothing can have been sent.
    """
    never_made = isinstance(error.__cause__, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return provider_error("provider_unreachable" if never_made else "provider_incomplete", stage=stage)
