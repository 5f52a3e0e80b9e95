"""Thin ASGI layers around Django: request ids, graceful shutdown, warm engines, clients that are slow or leave."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
import secrets
import signal
import threading
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from types import FrameType
from typing import IO, Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from apps.accounts.idempotency import HEADER as IDEMPOTENCY_KEY
from apps.conversations import stopping
from apps.conversations.live.socket import LiveSockets
from apps.conversations.pipeline.prompts import new_conversation
from apps.core import identity, readiness, tracing
from apps.core.database import shared_thread
from apps.core.logs import request_id
from apps.core.storage import media
from apps.speech import registry
from voiceclone.memory import keep_heap_small

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# Each framework defines its own types for the ASGI specification, so this one stays loose.
Application = Callable[[Any, Any, Any], Awaitable[None]]

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# The time that interrupted turns have to store their results and to send their last event.
INTERRUPTION_SECONDS = 5
# A client that has taken nothing for so long is gone: less than 128 KB (`chunk_size`), beside the system's buffers.
WRITE_SECONDS = 60
# From the stop signal on, no connection is accepted. Requests on connections from before it may begin within this time.
LAST_REQUESTS_SECONDS = 0.3


class OneSite:
    """Does not start in a process that has another secret, signing key or storage than the site: see `identity`."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" and (refusal := await asyncio.to_thread(_disagreement)):
            await receive()
            await send({"type": "lifespan.startup.failed", "message": refusal})
            return
        await self.application(scope, receive, send)


def _disagreement() -> str:
    try:
        return identity.disagreement()
    finally:
        connections.close_all()


class RequestIds:
    """Gives every request an id for the logs and the response. Accepts a well-formed X-Request-ID from a proxy."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        number = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        request_id.set(number)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"x-request-id", number.encode())]}
            await send(message)

        await self.application(scope, receive, send_with_id)


class WriteDeadline:
    """Closes the connection of a client that takes nothing for `seconds`, as if it had left: its turn is interrupted.

    It must be around all other layers: it needs the server's own `send`.
    """

    def __init__(self, application: Application, *, seconds: float = WRITE_SECONDS) -> None:
        self.application = application
        self.seconds = seconds

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(self.seconds):
                    await send(message)  # Waits while uvicorn's buffer is full.
            except TimeoutError:
                logger.info("A client takes nothing more; its connection is closed")
                abort_connection(send)

        await self.application(scope, receive, send_in_time if scope["type"] == "http" else send)


def abort_connection(send: Send) -> None:
    """Close the connection of uvicorn's `send`. ASGI offers no way but an end that first waits for the client."""
    send.__self__.transport.abort()  # type: ignore[attr-defined]


class GracefulShutdown:
    """Delays the stop signal to the web server until running requests are finished.

    From the first signal on, the server accepts no connection, so that a proxy sends requests elsewhere. Soon after,
    the site refuses new work on the connections that are open. Running requests have `grace_seconds` to finish. After
    that, running turns are interrupted, which stores them and ends their streams. A second Ctrl+C stops the server at
    once. Of the `sockets`, those on which nothing happens are closed at once.
    """

    def __init__(self, application: Application, *, grace_seconds: float, sockets: LiveSockets | None = None) -> None:
        self.application = application
        self.grace_seconds = grace_seconds
        self.sockets = sockets
        self._running = 0
        self._idle = asyncio.Event()
        self._is_stopping = False
        self._shutdown: asyncio.Task[None] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._install_signal_handlers()
            await self.application(scope, receive, send)
            return

        async def send_and_close(message: Message) -> None:
            if self._is_stopping and message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        readiness.note_request()
        self._running += 1
        self._idle.clear()
        try:
            await self.application(scope, receive, send_and_close)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    def _install_signal_handlers(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # Only the main thread can handle signals. In other threads the caller stops the server.
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            stop_server = signal.getsignal(number)
            if callable(stop_server):
                signal.signal(number, self._signal_handler(loop, stop_server))

    def _signal_handler(
        self, loop: asyncio.AbstractEventLoop, stop_server: Callable[[int, FrameType | None], Any]
    ) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            if self._is_stopping and number == signal.SIGINT:
                stop_server(number, frame)
            elif not self._is_stopping:
                self._is_stopping = True
                loop.call_soon_threadsafe(begin, number)

        def begin(number: int) -> None:
            _stop_listening(stop_server)
            self._shutdown = loop.create_task(self._shut_down(lambda: stop_server(number, None)))

        return handle

    async def _shut_down(self, stop_server: Callable[[], object]) -> None:
        logger.info("Stop signal received; %d requests are running", self._running)
        try:
            await asyncio.sleep(LAST_REQUESTS_SECONDS)
            readiness.set_ending(ending=True)
            if self.sockets is not None:
                self.sockets.end_idle()
            if not await self._idle_within(self.grace_seconds):
                logger.warning("The grace period is over; interrupting the running turns")
                stopping.interrupt_all()
                if self.sockets is not None:
                    self.sockets.end_all()
                await self._idle_within(INTERRUPTION_SECONDS)
        finally:
            stop_server()

    async def _idle_within(self, seconds: float) -> bool:
        """Wait at most `seconds` for the end of all requests. Return whether all have ended."""
        if self._running:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)
        return not self._running


def _stop_listening(stop_server: Callable[[int, FrameType | None], Any]) -> None:
    """Close the listening sockets of the uvicorn server whose method `stop_server` is; its connections stay open."""
    for server in getattr(getattr(stop_server, "__self__", None), "servers", ()):
        server.close()


class WarmEngines:
    """Opens the speech engines when the server starts and closes them when it stops (ASGI lifespan)."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.application(scope, receive, send)
            return
        await receive()
        keep_heap_small()  # Must run before the first thread gets its own heap.
        tracing.start()
        await registry.open_engines(opening=new_conversation())
        if media().folder is None:  # Its client takes a while to make, and the first turn should not wait.
            await asyncio.to_thread(media().is_available)
        # These objects live as long as the process. A garbage collection of them would pause every stream for 0.2 s.
        gc.collect()
        gc.freeze()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await registry.close_engines()
        await send({"type": "lifespan.shutdown.complete"})


class KeyedRequests:
    """Hides from the application that a client has left, if its request has an Idempotency-Key and came whole.

    Such a request is carried out to its end, within its own limits, and its result is stored: it is paid for, and the
    client will ask for it again. uvicorn discards what is sent to a client that has left.
    """

    HEADER = IDEMPOTENCY_KEY.lower().encode()

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        has_key = scope["type"] == "http" and self.HEADER in dict(scope["headers"])
        await self.application(scope, _only_body(receive) if has_key else receive, send)


def _only_body(receive: Receive) -> Receive:
    """Return a `receive` that never returns after the end of the body."""
    is_over = False

    async def receive_body() -> Message:
        nonlocal is_over
        if is_over:
            await asyncio.Future()
        message = await receive()
        is_over = not message.get("more_body", False)
        return message

    return receive_body


class OneThreadHandler(ASGIHandler):
    """Runs all middleware and the view of a request in a single thread, without returning to the event loop.

    Django's own handler returns to the event loop between two of them, and each return waits for the other threads.
    That took 4 ms before a view began, and more under load.
    """

    chunk_size = 2**17  # Bytes. Sends a chunk of audio in one write; Django's default is 64 KB.

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: FBT001, FBT002 - Django's signature
        super().load_middleware(is_async=False)

    def create_request(self, scope: Mapping[str, Any], body_file: IO[bytes]) -> tuple[Any, Any]:
        """Set the length of a body that came in chunks: Django takes a request without one for a request without body.

        The body is whole by now, and within its limits.
        """
        names = {name for name, _value in scope["headers"]}
        if b"content-length" not in names and (size := body_file.seek(0, os.SEEK_END)):
            body_file.seek(0)
            scope = {**scope, "headers": [*scope["headers"], (b"content-length", b"%d" % size)]}
        return super().create_request(scope, body_file)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self._get_response_and_release)(request)

    def _get_response_and_release(self, request: HttpRequest) -> HttpResponseBase:
        """Close the thread's connections to the database as soon as the view is done: sending may take minutes."""
        try:
            return self.get_response(request)
        finally:
            connections.close_all()

    async def send_response(self, response: HttpResponseBase, send: Send) -> None:
        async with shared_thread():  # For the queries of a stream.
            await super().send_response(response, send)  # type: ignore[arg-type] # Its messages are read-only.
