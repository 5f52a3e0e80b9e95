"""Reads streamed replies of OpenAI's API as its many servers send them, which agree in little more than the reply."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.speech.base import ProviderError
from apps.speech.providers.connections import ResponseTooLargeError
from apps.speech.providers.faults import provider_error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    import httpx2

FINISHED = "done"
"""The finish reason of a stream that ends with [DONE] and without a reason."""
MAX_LINE_BYTES = 1_000_000

_FIRST_CHARACTERS = 60  # The first segment to be spoken is not longer.
_DELTA_SECONDS = 0.08
_REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
_REASONING_PARTS = {"thinking", "reasoning"}

KNOWN_CODES = {
    "billing_hard_limit_reached": "provider_quota_exhausted",
    "billing_not_active": "provider_payment_failed",
    "content_policy_violation": "provider_content_refused",
    "insufficient_permissions": "provider_permission_missing",
    "insufficient_quota": "provider_quota_exhausted",
    "invalid_api_key": "provider_key_invalid",
    "invalid_model": "provider_model_missing",
    "missing_permissions": "provider_permission_missing",
    "missing_scope": "provider_permission_missing",
    "model_not_found": "provider_model_missing",
    "rate_limit_exceeded": "provider_busy",
}


@dataclass(frozen=True, slots=True)
class Part:
    """What an event adds to a reply. `reasons`: the model reasons, in a field of its own. `finish_reason` may be ""."""

    text: str = ""
    reasons: bool = False
    finish_reason: str = ""


async def events(response: httpx2.Response) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the data of each server-sent event. The SDK's reader builds models of them, in three times the time.

    A [DONE] is yielded as an event with a finish reason. Raises ProviderError for an error event.
    """
    async for line in _lines(response):
        data = line.removeprefix(b"data:").strip()
        if not line.startswith(b"data:") or not data:
            continue
        if data == b"[DONE]":
            yield {"choices": [{"finish_reason": FINISHED}]}
            continue
        event = json.loads(data)
        if not isinstance(event, dict):
            event = {}
        if event.get("error"):
            raise _error_in_stream(event["error"])
        yield event


async def _lines(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """Yield the lines. Only a line feed ends one: the texts of some servers contain other separators as they are."""
    pieces: list[bytes] = []
    size = 0
    async for data in response.aiter_bytes():
        *lines, rest = data.split(b"\n")
        for line in lines:
            yield b"".join([*pieces, line])
            pieces, size = [], 0
        pieces.append(rest)
        size += len(rest)
        if size > MAX_LINE_BYTES:
            raise ResponseTooLargeError
    yield b"".join(pieces)


async def coalesced(sent: AsyncIterator[dict[str, Any]]) -> AsyncGenerator[Part, None]:
    """Yield the parts of a reply: the first words one by one, later words joined.

    Text to speech waits for the first words only, and one word costs as much as several to read, show and pass on.
    Raises ProviderError if there are events and none of them has the form of this API.
    """
    now = asyncio.get_running_loop().time
    text, length, next_time = "", 0, 0.0
    is_odd, is_known = False, False
    async for event in sent:
        part = part_of(event)
        if part is None:
            is_odd = True
            continue
        is_known = True
        text += part.text
        if part.reasons or part.finish_reason or (text and now() >= next_time):
            yield Part(text, part.reasons, part.finish_reason)
            length += len(text)
            text = ""
            if length >= _FIRST_CHARACTERS and not part.finish_reason:
                next_time = now() + _DELTA_SECONDS
                await asyncio.sleep(0.8 * _DELTA_SECONDS)  # The rest is for reading the events that have arrived.
    if text:
        yield Part(text)
    if is_odd and not is_known:
        raise provider_error("provider_answer_invalid", stage="think")


def part_of(event: dict[str, Any]) -> Part | None:
    """Return what `event` adds to the reply, or None if it does not have the form of this API."""
    choices = event.get("choices")
    if choices == []:
        return Part()
    choice = choices[0] if isinstance(choices, list) else None
    if not isinstance(choice, dict):
        return None
    finish_reason = _reason_of(choice.get("finish_reason"))
    # Some servers send the whole message in one event.
    delta = next((each for each in (choice.get("delta"), choice.get("message")) if isinstance(each, dict)), None)
    if delta is None:
        return Part(finish_reason=finish_reason) if finish_reason else None
    text, has_reasoning = _text_of(delta.get("content"))
    refusal = delta.get("refusal")
    return Part(
        text + (refusal if isinstance(refusal, str) else ""),
        has_reasoning or any(delta.get(name) for name in _REASONING_FIELDS),
        finish_reason,
    )


def _text_of(content: object) -> tuple[str, bool]:
    """Return the text in a `content`, which may be a list of parts, and whether it contains reasoning."""
    if isinstance(content, str):
        return content, False
    text, has_reasoning = "", False
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            text += part
        elif isinstance(part, dict):
            is_reasoning = part.get("type") in _REASONING_PARTS or part.get("thought") is True
            has_reasoning = has_reasoning or is_reasoning
            if not is_reasoning and isinstance(part.get("text"), str):
                text += part["text"]
    return text, has_reasoning


def _reason_of(finish_reason: object) -> str:
    if isinstance(finish_reason, str):
        return "" if finish_reason == "null" else finish_reason.lower()
    return FINISHED if finish_reason else ""


def _error_in_stream(error: object) -> ProviderError:
    """Return the error for an error event in a stream that started without one."""
    codes = strings(error.get("code"), error.get("type")) if isinstance(error, dict) else []
    code = next((KNOWN_CODES[each] for each in codes if each in KNOWN_CODES), "provider_failed")
    return provider_error(code, stage="think", provider_code=" ".join(codes))


def strings(*values: object) -> list[str]:
    return [value for value in values if isinstance(value, str)]
