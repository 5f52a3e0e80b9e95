"""Two thin ASGI layers around Django, for what Django does not do itself."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from apps.speech import registry

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# Each framework writes these types of the ASGI specification in its own way.
Application = Callable[[Any, Any, Any], Awaitable[None]]

TOO_LARGE = "voiceclone.too_large"
BODY_SECONDS = 600  # Fifty megabytes over a bad connection; who takes longer only holds a connection.
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
