"""Two thin ASGI layers around Django, for what Django does not do itself."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from apps.speech import registry
from voiceclone.memory import keep_heap_small

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# Each framework writes these types of the ASGI specification in its own way.
Application = Callable[[Any, Any, Any], Awaitable[None]]

TOO_LARGE = "voiceclone.too_large"
READ_IN_VAIN = 10  # times the limit; past that the connection is closed under a client that goes on sending


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


class BodyLimit:
    """Refuses bodies over `max_bytes` before anything of them is stored: Django spools a body before any view runs.

    The refusal itself is Django's, which gets the request without its body and with the mark TOO_LARGE.
    """

    def __init__(self, application: Application, *, max_bytes: int) -> None:
        self.application = application
        self.max_bytes = max_bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        body = CountedBody(receive, self.max_bytes)
        if self._announced_bytes(scope) <= self.max_bytes:
            await self.application(scope, body.receive, send)
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
    """The body of a request, which breaks off behind `max_bytes`."""

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._received = 0
        self._is_over = False
        self._is_told = False

    @property
    def is_too_large(self) -> bool:
        return self._received > self._max_bytes

    async def receive(self) -> Message:
        """Pass the next message on; to the application, whoever sends too much has left."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        self._is_over = not message.get("more_body", False)
        return {"type": "http.disconnect"} if self.is_too_large else message

    async def drop(self, max_bytes: int) -> None:
        """Read on for nothing: closing on a client that still sends can cost it the answer (RFC 9112, section 9.6)."""
        while not self._is_over and self._received <= max_bytes:
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
