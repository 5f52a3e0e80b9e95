"""Thin ASGI layers around Django, for what Django does not do itself."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import secrets
import signal
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from types import FrameType
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from apps.conversations import stopping
from apps.core import readiness
from apps.core.logs import request_id
from apps.speech import registry
from voiceclone.memory import keep_heap_small

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# Each framework writes these types of the ASGI specification in its own way.
Application = Callable[[Any, Any, Any], Awaitable[None]]

TOO_LARGE = "voiceclone.too_large"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# What interrupted turns get to store what they have, and to say that they are over.
LAST_SECONDS = 5
BODY_SECONDS = 600  # Fifty megabytes over a bad connection; who takes longer only holds a connection.
READ_IN_VAIN = 10  # times the limit; past that the connection is closed under a client that goes on sending


class RequestIds:
    """Gives every request an id, or takes over a well-formed one that a proxy gave it, for the logs and the answer."""

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


class GracefulEnd:
    """Lets what runs come to its end when the process is told to stop, before the web server learns of it.

    From the first signal on, the site is not ready and refuses new work. Requests that run get `grace_seconds`; turns
    that still run then are interrupted, which stores them and ends their streams. A second Ctrl+C does not wait.
    """

    def __init__(self, application: Application, *, grace_seconds: float) -> None:
        self.application = application
        self.grace_seconds = grace_seconds
        self._running = 0
        self._idle = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._listen()
            await self.application(scope, receive, send)
            return
        self._running += 1
        self._idle.clear()
        try:
            await self.application(scope, receive, send)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    def _listen(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # Signals reach the main thread only: here somebody else decides when the server ends.
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            told_server = signal.getsignal(number)
            if callable(told_server):
                signal.signal(number, self._handler(loop, told_server))

    def _handler(
        self, loop: asyncio.AbstractEventLoop, tell_server: Callable[[int, FrameType | None], Any]
    ) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            if readiness.is_ending() and number == signal.SIGINT:
                tell_server(number, frame)
            elif not readiness.is_ending():
                readiness.set_ending(ending=True)
                loop.call_soon_threadsafe(begin, number)

        def begin(number: int) -> None:
            self._ending = loop.create_task(self._end(lambda: tell_server(number, None)))

        return handle

    async def _end(self, tell_server: Callable[[], object]) -> None:
        logger.info("Told to stop; %d requests run", self._running)
        try:
            if not await self._is_idle_within(self.grace_seconds):
                logger.warning("Turns are interrupted: the time to end is over")
                stopping.interrupt_all()
                await self._is_idle_within(LAST_SECONDS)
        finally:
            tell_server()

    async def _is_idle_within(self, seconds: float) -> bool:
        if self._running:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)
        return not self._running


class WarmEngines:
    """Opens the speech engines when the server starts and closes them when it stops (ASGI lifespan)."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.application(scope, receive, send)
            return
        await receive()
        keep_heap_small()  # Before the first thread gets a heap of its own.
        await registry.open_engines()
        # What is there now stays: the collector need not look at it again, which would stop every stream for 0.2 s.
        gc.collect()
        gc.freeze()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await registry.close_engines()
        await send({"type": "lifespan.shutdown.complete"})


class OneThreadHandler(ASGIHandler):
    """Django, which does all that middleware and view do for a request in one go in one thread.

    Left to itself, it goes back to the event loop between any two of those, and each way there and back has to wait for
    whatever runs in the other threads: that took 4 ms before a view began, and more where many talk at once.
    """

    chunk_size = 2**20  # A piece of sound goes out in one write; Django would cut it at 64 KB.

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: FBT001, FBT002 - as Django declares it
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response)(request)


class BodyLimit:
    """Refuses bodies over `max_bytes` before anything of them is stored: Django spools a body before any view runs.

    The refusal itself is Django's, which gets the request without its body and with the mark TOO_LARGE. Who takes more
    than `max_seconds` to send a body gets a bare 408.
    """

    def __init__(self, application: Application, *, max_bytes: int, max_seconds: float = BODY_SECONDS) -> None:
        self.application = application
        self.max_bytes = max_bytes
        self.max_seconds = max_seconds

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        body = CountedBody(receive, self.max_bytes, self.max_seconds)
        if self._announced_bytes(scope) <= self.max_bytes:
            await self.application(scope, body.receive, send)
            if body.is_late:
                await send({"type": "http.response.start", "status": 408, "headers": [(b"connection", b"close")]})
                await send({"type": "http.response.body"})
                return
            if not body.is_too_large:
                return
        await body.drop(READ_IN_VAIN * self.max_bytes)
        await self.application({**scope, TOO_LARGE: True}, body.receive_nothing, send)

    @staticmethod
    def _announced_bytes(scope: Message) -> int:
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit():
                return int(value)
        return 0


class CountedBody:
    """The body of a request, which breaks off behind `max_bytes` and after `max_seconds`."""

    def __init__(self, receive: Receive, max_bytes: int, max_seconds: float) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._deadline = asyncio.get_running_loop().time() + max_seconds
        self.is_late = False
        self._received = 0
        self._is_over = False
        self._is_told = False

    @property
    def is_too_large(self) -> bool:
        return self._received > self._max_bytes

    async def receive(self) -> Message:
        """Pass the next message on; to the application, whoever sends too much or too slowly has left."""
        try:
            async with asyncio.timeout_at(None if self._is_over else self._deadline):
                message = await self._receive()
        except TimeoutError:
            self.is_late = True
            return {"type": "http.disconnect"}
        self._received += len(message.get("body", b""))
        self._is_over = not message.get("more_body", False)
        return {"type": "http.disconnect"} if self.is_too_large else message

    async def drop(self, max_bytes: int) -> None:
        """Read on for nothing: closing on a client that still sends can cost it the answer (RFC 9112, section 9.6)."""
        while not (self._is_over or self.is_late) and self._received <= max_bytes:
            await self.receive()

    async def receive_nothing(self) -> Message:
        """Pass an empty body on, then wait until the client leaves."""
        if not self._is_told:
            self._is_told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        message = await self._receive()
        while message["type"] != "http.disconnect":
            message = await self._receive()
        return message
