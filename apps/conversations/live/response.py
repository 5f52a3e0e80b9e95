"""One response of a live session: an answer as the events of the protocol, no further ahead than it is heard."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from typing import Any, Literal

from apps.conversations.live.answer import Answer
from apps.conversations.live.protocol import Event, ItemStatus, assistant_item, event, new_id, part
from apps.conversations.models import INTERNAL_ERROR, TURN_MESSAGES, Turn
from apps.conversations.turn_events import Done, Failed, Said, Spoken
from apps.speech.base import LIVE_SAMPLE_RATE
from apps.speech.reply_text import Cut

Send = Callable[[Event], None]
Status = Literal["completed", "cancelled", "incomplete", "failed"]

# What is sent cannot be taken back from a client that only plays it, and a network needs something in reserve.
LEAD_SECONDS = 2.0
PIECE_BYTES = 2 * LIVE_SAMPLE_RATE // 5
BYTES_PER_SECOND = 2 * LIVE_SAMPLE_RATE


class Response:
    """Announces a response, sends an answer once there is one, and tells its end.

    `on_sound` gets each piece of sound when it is sent; `on_end` is called when the answer ends by itself.
    """

    def __init__(
        self,
        *,
        send: Send,
        conversation_id: str,
        is_spoken: bool,
        metadata: Any = None,
        on_sound: Callable[[bytes], None] = lambda _pcm: None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.id, self.item_id = new_id("resp"), new_id("item")
        self.answer: Answer | None = None
        self.start_seconds = 0.0
        self.over = asyncio.Event()
        self._is_spoken = is_spoken
        self._send_event = send
        self._conversation_id = conversation_id
        self._metadata = metadata
        self._on_sound, self._on_end = on_sound, on_end
        self._text = ""
        self._is_cut = False
        self._status: Status | Literal["in_progress"] = "in_progress"
        self._item_status: ItemStatus = "in_progress"
        self._is_open = False
        self._sent_bytes = 0
        self._began_at = 0.0
        self._skip_bytes = self._skip_characters = 0
        self._task: asyncio.Task[None] | None = None
        self._send("response.created", response=self._as_json("in_progress"))

    def begin(self, answer: Answer, *, start_seconds: float = 0.0) -> None:
        """Send `answer` while it comes, from `start_seconds` of its sound on: where an earlier response stopped."""
        self.answer, self.start_seconds = answer, start_seconds
        if start_seconds:
            self._skip_bytes = round(start_seconds * LIVE_SAMPLE_RATE) * 2
            self._skip_characters = len(answer.text_heard(start_seconds))
        self._task = asyncio.create_task(self._run(answer))

    @property
    def is_over(self) -> bool:
        return self.over.is_set()

    @property
    def is_shown(self) -> bool:
        """Whether the client has got an item for it."""
        return self._is_open

    @property
    def is_being_heard(self) -> bool:
        """Whether more of it is to come, or what was sent is still being played."""
        return not self.is_over or (
            self._status in ("completed", "incomplete")
            and self.heard_seconds() < self.start_seconds + self.sent_seconds
        )

    @property
    def sent_seconds(self) -> float:
        return self._sent_bytes / BYTES_PER_SECOND

    def heard_seconds(self) -> float:
        """Return how much of the whole answer's sound can have been heard by now."""
        heard = min(time.monotonic() - self._began_at, self.sent_seconds) if self._began_at else 0.0
        return self.start_seconds + heard

    @property
    def item(self) -> Event:
        return assistant_item(self.item_id, self._item_status, text=self._text, is_spoken=self._is_spoken)

    def fail(self, code: str, message: str) -> None:
        self.end("failed", error={"type": "server_error", "code": code, "message": message})

    def end(self, status: Status, *, reason: str = "", error: Event | None = None) -> None:
        """End the response now: close what is open. Nothing more of it is sent."""
        if self.is_over:
            return
        self._status = status
        self.over.set()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._task = None  # It keeps the error that ends it, whose frames would keep this response.
        self._item_status = "completed" if status == "completed" else "incomplete"
        if self._is_open:
            self._close_item()
        details: Event | None = None
        if status != "completed":
            details = {"type": status} | ({"reason": reason} if reason else {}) | ({"error": error} if error else {})
        self._send("response.done", response=self._as_json(status, details))

    async def _run(self, answer: Answer) -> None:
        last: Done | Failed | None = None
        async for each in answer.follow():
            match each:
                case Said(delta):
                    self._is_cut |= isinstance(delta, Cut)
                    self._say(delta)
                case Spoken(pcm=pcm):
                    await self._speak(answer, pcm)
                case Done() | Failed():
                    last = each
        if isinstance(last, Failed):
            self.fail(last.code, last.message)
        elif last is None:
            self.fail(INTERNAL_ERROR, str(TURN_MESSAGES[INTERNAL_ERROR]))
        elif answer.turn.status == Turn.Status.INTERRUPTED:
            self.end("cancelled", reason="client_cancelled")
        elif self._is_cut:
            self.end("incomplete", reason="max_output_tokens")
        else:
            self.end("completed")
        self._on_end()

    def _say(self, delta: str) -> None:
        skipped = min(self._skip_characters, len(delta))
        self._skip_characters -= skipped
        if delta := delta[skipped:]:
            self._open_item()
            self._text += delta
            kind = "response.output_audio_transcript.delta" if self._is_spoken else "response.output_text.delta"
            self._send(kind, **self._place, delta=delta)

    async def _speak(self, answer: Answer, pcm: bytes) -> None:
        skipped = min(self._skip_bytes, len(pcm))
        self._skip_bytes -= skipped
        self._open_item()
        for start in range(skipped, len(pcm), PIECE_BYTES):
            self._began_at = self._began_at or time.monotonic()
            lead = self.sent_seconds - (time.monotonic() - self._began_at)
            if lead > LEAD_SECONDS:
                await asyncio.sleep(lead - LEAD_SECONDS)
            elif lead < 0:  # Nothing was there to be heard for a while.
                self._began_at -= lead
            piece = pcm[start : start + PIECE_BYTES]
            self._sent_bytes += len(piece)
            sound = base64.b64encode(piece).decode()
            # A field of our own, for captions: the text itself goes out as soon as it is written.
            characters = answer.characters_heard(self.start_seconds + self.sent_seconds)
            self._send("response.output_audio.delta", **self._place, delta=sound, characters=characters)
            self._on_sound(piece)

    def _open_item(self) -> None:
        if self._is_open:
            return
        self._is_open = True
        item = assistant_item(self.item_id, "in_progress")
        self._send("response.output_item.added", response_id=self.id, output_index=0, item=item)
        self._send("conversation.item.added", item=item)
        self._send("response.content_part.added", **self._place, part=part("", is_spoken=self._is_spoken))

    def _close_item(self) -> None:
        if self._is_spoken:
            self._send("response.output_audio.done", **self._place)
            self._send("response.output_audio_transcript.done", **self._place, transcript=self._text)
        else:
            self._send("response.output_text.done", **self._place, text=self._text)
        self._send("response.content_part.done", **self._place, part=part(self._text, is_spoken=self._is_spoken))
        self._send("conversation.item.done", item=self.item)
        self._send("response.output_item.done", response_id=self.id, output_index=0, item=self.item)

    @property
    def _place(self) -> dict[str, Any]:
        return {"response_id": self.id, "item_id": self.item_id, "output_index": 0, "content_index": 0}

    def _as_json(self, status: Status | Literal["in_progress"], details: Event | None = None) -> Event:
        response: Event = {
            "id": self.id,
            "object": "realtime.response",
            "status": status,
            "conversation_id": self._conversation_id,
            "output": [self.item] if self._is_open else [],
            "output_modalities": ["audio" if self._is_spoken else "text"],
        }
        metadata = dict(self._metadata) if isinstance(self._metadata, dict) else {}
        if self.answer is not None:
            metadata["turn_id"] = str(self.answer.turn.pk)
        if metadata:
            response["metadata"] = metadata
        if details:
            response["status_details"] = details
        if status != "in_progress":
            response["usage"] = self._usage()
        return response

    def _usage(self) -> Event:
        """Return the tokens of the language model, estimated; everything else is counted in seconds and characters."""
        used = self.answer.prepared.used if self.answer else None
        read, written = (used.tokens_read, used.tokens_written) if used else (0, 0)
        return {
            "total_tokens": read + written,
            "input_tokens": read,
            "output_tokens": written,
            "input_token_details": {"text_tokens": read, "audio_tokens": 0, "cached_tokens": 0},
            "output_token_details": {"text_tokens": written, "audio_tokens": 0},
        }

    def _send(self, kind: str, **fields: Any) -> None:
        self._send_event(event(kind, **fields))
