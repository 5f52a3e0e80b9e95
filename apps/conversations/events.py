"""Turn events as server-sent events, for browsers and API clients that follow a turn while it runs."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

from django.http import StreamingHttpResponse

from apps.conversations import services
from apps.conversations.models import Turn
from apps.conversations.pipeline.state import PreparedTurn
from apps.conversations.turn import run_turn
from apps.conversations.turn_events import Done, Failed, Heard, Said, Spoken, TurnEvent, Waiting
from apps.core.errors import RecordingMissingError
from apps.speech.registry import current_engines

KEEP_ALIVE = b": the turn goes on\n\n"  # a comment: proxies close idle connections


def stream_response(prepared: PreparedTurn) -> StreamingHttpResponse:
    """Answer with the events of a turn as they happen."""
    response = StreamingHttpResponse(_lines(prepared), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # Otherwise nginx buffers the events.
    response["X-AI-Generated"] = "true"
    response["X-Turn-Id"] = str(prepared.turn.pk)
    return response


def stored_response(turn: Turn) -> StreamingHttpResponse:
    """Answer with the events of a turn that is over, from the stored row and its sound."""
    response = StreamingHttpResponse(_stored_lines(turn), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-AI-Generated"] = "true"
    response["X-Turn-Id"] = str(turn.pk)
    return response


async def _stored_lines(turn: Turn) -> AsyncIterator[bytes]:
    for event in await asyncio.to_thread(lambda: list(_stored_events(turn))):
        yield _line(event, str(turn.pk))


def _stored_events(turn: Turn) -> Iterator[TurnEvent]:
    if turn.transcript:
        yield Heard(turn.transcript, turn.language)
    if turn.reply:
        yield Said(turn.reply)
    if turn.answer:
        try:
            recording = services.decode_turn_audio(turn.answer)
        except RecordingMissingError as error:
            yield Failed(Turn.Stage.SPEAK, error.code, error.message, retryable=False)
            return
        yield Spoken(0, turn.spoken_text or turn.reply, recording.pcm, recording.sample_rate)
    if turn.error:
        yield Failed(**turn.error)
    else:
        yield Done(turn.remembered_reply, turn.timings)


async def _lines(prepared: PreparedTurn) -> AsyncIterator[bytes]:
    async with current_engines() as engines, aclosing(run_turn(prepared, engines)) as events:
        async for event in events:
            yield _line(event, str(prepared.turn.pk))


def _line(event: TurnEvent, turn_id: str) -> bytes:
    if isinstance(event, Waiting):
        return KEEP_ALIVE
    if isinstance(event, Spoken):
        return _spoken_line(event)
    name, data = _named(event, turn_id)
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _spoken_line(event: Spoken) -> bytes:
    """Insert the sound by hand: base64 needs no escaping in JSON, and the search for characters to escape is slow."""
    data = {"index": event.index, "text": event.text, "format": "pcm_s16le", "sample_rate": event.sample_rate}
    head = json.dumps(data, ensure_ascii=False).encode().removesuffix(b"}")
    return b"".join((b"event: spoken\ndata: ", head, b', "audio": "', base64.b64encode(event.pcm), b'"}\n\n'))


def _named(event: Heard | Said | Failed | Done, turn_id: str) -> tuple[str, dict[str, Any]]:
    match event:
        case Heard(text, language):
            return "heard", {"turn_id": turn_id, "text": text, "language": language}
        case Said(delta):
            return "said", {"delta": delta}
        case Failed(stage, code, message, retryable):
            return "failed", {
                "stage": stage,
                "code": code,
                "message": message,
                "retryable": retryable,
                "turn_id": turn_id,
            }
        case Done(reply, timings):
            return "done", {"turn_id": turn_id, "reply": reply, "timings": timings}
