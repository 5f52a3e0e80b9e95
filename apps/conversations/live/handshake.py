"""The handshake of `/v1/realtime`: how it is answered, and refused."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import status

from apps.conversations.live.access import KEY_PROTOCOL, PROTOCOL
from apps.conversations.live.protocol import error_event
from apps.core.api_errors import known_error, openai_error_body
from apps.core.errors import UserError

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013

HEADERS = [(b"x-ai-generated", b"true")]


def subprotocol(scope: Message) -> str | None:
    """Return the protocol to answer: never the one that contains the key."""
    return PROTOCOL if PROTOCOL in scope.get("subprotocols", []) else None


async def refuse(scope: Message, send: Send, error: Exception) -> None:
    """Answer the handshake with an HTTP error; to a browser, which hides it, with a code that it shows."""
    known = known_error(error) or UserError("internal_error", _("Something went wrong on this site."), status=500)
    is_browser = any(each.startswith(KEY_PROTOCOL) for each in scope.get("subprotocols", [])) or _has(scope, b"origin")
    if is_browser:
        await send({"type": "websocket.accept", "subprotocol": subprotocol(scope)})
        await send({"type": "websocket.send", "text": json.dumps(error_event(known.code, known.message))})
        code = TRY_AGAIN_LATER if known.status == status.HTTP_429_TOO_MANY_REQUESTS else POLICY_VIOLATION
        await send({"type": "websocket.close", "code": code, "reason": known.code})
        return
    body = json.dumps(openai_error_body({"code": known.code, "message": known.message}, known.status)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "websocket.http.response.start", "status": known.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def _has(scope: Message, name: bytes) -> bool:
    return any(key == name for key, _value in scope["headers"])
