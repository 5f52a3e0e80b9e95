"""Spoken sound as the events of OpenAI's API."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from apps.usage.metering import CHARACTERS_PER_TOKEN


async def speech_events(file: AsyncGenerator[bytes, None], *, characters: int) -> AsyncGenerator[bytes, None]:
    """Yield an event for each part of `file`, and one with the usage when it is complete.

    The tokens of the text are estimated from its `characters`. No tokens are counted for the sound, because voices are
    not paid for by them.
    """
    async with aclosing(file) as parts:
        async for part in parts:
            yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(part).decode()})
    tokens = math.ceil(characters / CHARACTERS_PER_TOKEN)
    usage = {"input_tokens": tokens, "output_tokens": 0, "total_tokens": tokens}
    yield _event({"type": "speech.audio.done", "usage": usage})


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
