"""Two thin ASGI layers around Django, for what Django does not do itself."""

from __future__ import annotations

import gc
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.utils.translation import gettext as _

from apps.speech import registry
from voiceclone.api import error_body

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# Each framework writes these types of the ASGI specification in its own way.
Application = Callable[[Any, Any, Any], Awaitable[None]]


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
    """Refuses bodies over `max_bytes` before anything of them is stored: Django spools a body before any view runs."""

    def __init__(self, application: Application, *, max_bytes: int) -> None:
        self.application = application
        self.max_bytes = max_bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        if self._announced_bytes(scope) > self.max_bytes:
            await self._refuse(send)
            return
        received = 0
        refused = False

        async def counted_receive() -> Message:
            nonlocal received, refused
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes and not refused:
                refused = True
                await self._refuse(send)
            return {"type": "http.disconnect"} if refused else message

        async def guarded_send(message: Message) -> None:
            if not refused:
                await send(message)

        await self.application(scope, counted_receive, guarded_send)

    @staticmethod
    def _announced_bytes(scope: Message) -> int:
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit():
                return int(value)
        return 0

    async def _refuse(self, send: Send) -> None:
        megabytes = self.max_bytes // 1_000_000
        message = _("This is larger than the %(megabytes)d MB that are accepted. Send a shorter recording.")
        body = json.dumps(error_body("request_too_large", message % {"megabytes": megabytes})).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})
