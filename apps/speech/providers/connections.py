"""Shared parts of the HTTP clients of both SDKs: the one of ElevenLabs uses httpx, the one of OpenAI uses httpx2."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import aiohttp
import httpx
import httpx2

from apps.speech.providers.faults import provider_error

if TYPE_CHECKING:
    from apps.speech.base import ProviderError, Stage

MAX_RESPONSE_BYTES = 30_000_000  # Ten minutes of PCM at 24 kHz, far more than one sentence takes.


class ResponseTooLargeError(ValueError):
    """A response is longer than any valid one."""


class BoundedStream(httpx.AsyncByteStream, httpx2.AsyncByteStream):
    """A response body of at most MAX_RESPONSE_BYTES, so that no server or proxy can fill the memory."""

    def __init__(self, body: httpx.AsyncByteStream | httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._body:
            size += len(chunk)
            if size > MAX_RESPONSE_BYTES:
                raise ResponseTooLargeError
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()


async def read_request_body(request: httpx.Request | httpx2.Request) -> None:
    """Read the whole form before it is sent. Sent part by part, it would take two dozen writes. A request hook."""
    await request.aread()


async def limit_response_body(response: httpx.Response | httpx2.Response) -> None:
    """Limit the size of the body of `response`. A response hook."""
    if isinstance(response.stream, httpx.AsyncByteStream | httpx2.AsyncByteStream):
        response.stream = BoundedStream(response.stream)


def connection_error(error: BaseException, *, stage: Stage) -> ProviderError:
    """Return the error for a connection that could not be opened, or was lost. `error` comes from httpx or httpx2.

    Over aiohttp, both libraries raise the same error in both cases. Only its cause, the error of aiohttp, tells whether
    the request cannot have been sent.
    """
    never_opened = isinstance(error.__cause__, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return provider_error("provider_unreachable" if never_opened else "provider_incomplete", stage=stage)
