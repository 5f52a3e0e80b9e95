"""OpenAI's Realtime protocol (its names since 2025, "GA") as a server: identifiers, events, items and errors.

Sources: the models of the `openai` package, types/realtime, and docs/decisions/0030-live-conversations.md. A field that
some clients do not accept as null is left out instead.
"""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any, Literal, TypeGuard

from apps.speech.base import LIVE_SAMPLE_RATE

Event = dict[str, Any]
ItemStatus = Literal["in_progress", "completed", "incomplete"]

MAX_ID_CHARACTERS = 64
AUDIO_FORMAT = {"type": "audio/pcm", "rate": LIVE_SAMPLE_RATE}


class ProtocolError(Exception):
    """An event of the client's that cannot be done. The session goes on. `param` names the field."""

    def __init__(self, code: str, message: str, *, param: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.param = param


def unsupported(param: str, message: str) -> ProtocolError:
    return ProtocolError("unsupported_value", message, param=param)


def invalid(param: str, message: str) -> ProtocolError:
    return ProtocolError("invalid_value", message, param=param)


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(10)}"


def is_id(value: Any) -> TypeGuard[str]:
    """Whether a client's identifier can be used: it is sent back."""
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARACTERS


def event(kind: str, **fields: Any) -> Event:
    """Return a server event, without the fields that are None."""
    given = {name: value for name, value in fields.items() if value is not None}
    return {"type": kind, "event_id": new_id("event"), **given}


def error_event(code: str, message: str, *, kind: str = "invalid_request_error", **fields: str) -> Event:
    """Return an `error` event; `fields` are `param` and the `event_id` of the client's event, if they are not ""."""
    given = {name: value for name, value in fields.items() if value}
    return event("error", error={"type": kind, "code": code, "message": message, **given})


def user_item(item_id: str, *, text: str | None = None, transcript: str | None = None) -> Event:
    """Return the item of a question: typed `text`, or sound with its `transcript` once it is known."""
    if text is not None:
        content: Event = {"type": "input_text", "text": text}
    else:
        content = {"type": "input_audio", "transcript": transcript}  # Agents of OpenAI's require the null.
    return _message(item_id, "user", "completed", [content])


def assistant_item(item_id: str, status: ItemStatus, *, text: str | None = None, is_spoken: bool = True) -> Event:
    """Return the item of an answer; without `text` it has no content yet."""
    return _message(item_id, "assistant", status, [] if text is None else [_content(text, is_spoken=is_spoken)])


def _content(text: str, *, is_spoken: bool) -> Event:
    return {"type": "output_audio", "transcript": text} if is_spoken else {"type": "output_text", "text": text}


def part(text: str, *, is_spoken: bool) -> Event:
    """Return a content part, which has other type names than the content of an item."""
    return {"type": "audio", "transcript": text} if is_spoken else {"type": "text", "text": text}


def _message(item_id: str, role: str, status: ItemStatus, content: list[Event]) -> Event:
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "role": role,
        "status": status,
        "content": content,
    }


def decoded_audio(value: Any, param: str) -> bytes:
    """Return the samples in base64 `value`, mono s16le. Raises ProtocolError."""
    if not isinstance(value, str):
        raise invalid(param, "Send the samples as base64 text.")
    try:
        pcm = base64.b64decode(value, validate=True)
    except ValueError:
        raise invalid(param, "This is not valid base64.") from None
    if len(pcm) % 2:
        raise invalid(param, "A sample has two bytes (16 bits, little-endian); this is an odd number of bytes.")
    return pcm


def decoded_event(text: str | bytes) -> Event | None:
    """Return the event in a client's message, or None if it is not a JSON object."""
    try:
        text = text if isinstance(text, str) else text.decode()
        received = json.loads(text, parse_constant=_refuse_constant)
        if "\\u" in text:  # Half a surrogate pair, which only an escape can be, can be neither stored nor sent.
            received = json.loads(json.dumps(received, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None
    return received if isinstance(received, dict) else None


def _refuse_constant(name: str) -> None:
    """NaN and Infinity are no JSON."""
    raise ValueError(name)
