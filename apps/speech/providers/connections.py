"""Shared parts of the HTTP clients: those of ElevenLabs and of voice servers use httpx, the one of OpenAI httpx2."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

import aiohttp
import httpx
import httpx2
from httpx_aiohttp import AiohttpTransport

from apps.speech.providers.faults import provider_error
from apps.speech.providers.retries import KEEP_ALIVE_SECONDS

if TYPE_CHECKING:
    from apps.speech.base import ProviderError, Stage

MAX_RESPONSE_BYTES = 30_000_000  # Ten minutes of PCM at 24 kHz, far more than one sentence takes.
# The transport raises this to the 16 KB that it reads at a time. Data beyond twice that size waits in the kernel. It is
# then read as one chunk instead of one chunk for each packet.
_READ_BYTES = 4096


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


def http_client(**options: Any) -> httpx.AsyncClient:
    """Return a client for the running event loop that follows no redirects. Close it with `aclose()`.

    It uses aiohttp, which reads streams with half the CPU time of httpx's own transport. `options` are those of httpx.
    """
    return httpx.AsyncClient(
        transport=AiohttpTransport(client=_session),
        follow_redirects=False,
        event_hooks={"request": [read_request_body], "response": [limit_response_body]},
        **options,
    )


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            ssl=httpx.create_ssl_context(),  # Python finds no root certificates on some systems.
        ),
        trust_env=bool(getproxies()),  # Otherwise each request would look for proxies and read .netrc.
        read_bufsize=_READ_BYTES,
    )
