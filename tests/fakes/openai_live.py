"""OpenAI's realtime transcription at the fake provider."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from tests.fakes.live import LiveSocket

PATH = "/v1/realtime"
MIN_COMMIT_SECONDS = 0.1
SOUND = {"type": "audio/pcm", "rate": 24_000}
TRANSCRIPTION = "conversation.item.input_audio_transcription"


class OpenAISocket(LiveSocket):
    _item = ""
    _previous_item: str | None = None
    _told = ""

    async def greet(self) -> None:
        self._begin_item()
        await self._say("session.created", session={"type": "transcription"})

    def _begin_item(self) -> None:
        self.begin_text()
        self._told = ""
        self._item = f"item_{secrets.token_hex(8)}"
        self.item = (self._item if self.behaviour.deltas_know_their_item else f"item_{secrets.token_hex(8)}",)

    async def take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "session.update":
                await self._update(message["session"])
            case "input_audio_buffer.append":
                await self.hear(base64.b64decode(message["audio"]))
            case "input_audio_buffer.commit":
                self.request.messages.append(message)
                await self._commit(message)
            case "input_audio_buffer.clear":
                self.request.messages.append(message)
                self.ear.clear()
                self._begin_item()
                await self._say("input_audio_buffer.cleared")

    async def _update(self, session: dict[str, Any]) -> None:
        self.request.messages.append(session)
        heard = session["audio"]["input"]
        if "model" in self.request.query or session["type"] != "transcription":
            await self.say_error("invalid_request_error")
        elif heard["format"] != SOUND or heard["turn_detection"] is not None:
            await self.say_error("invalid_value")
        else:
            await self._say("session.updated", session=session)

    async def _commit(self, message: dict[str, Any]) -> None:
        if self.ear.uncommitted_seconds < MIN_COMMIT_SECONDS:
            await self.say_error("input_audio_buffer_commit_empty", event_id=message.get("event_id"))
            return
        if await self.is_failing_at_commit():
            return
        item, text = self._item, self.ear.commit()
        await self._say("input_audio_buffer.committed", item_id=item, previous_item_id=self._previous_item)
        self.later(self.behaviour.final_seconds, self._say_final, item, text)
        self._previous_item = item
        self._begin_item()

    async def _say_final(self, item: str, text: str) -> None:
        if self._fault.failed_code:
            error = {"type": "server_error", "code": self._fault.failed_code, "message": text}
            await self._say(f"{TRANSCRIPTION}.failed", item_id=item, content_index=0, error=error)
            return
        usage = {"type": "duration", "seconds": 1}
        await self._say(f"{TRANSCRIPTION}.completed", item_id=item, content_index=0, transcript=text, usage=usage)

    async def say_partial(self, text: str, *item: str) -> None:
        delta, self._told = text.removeprefix(self._told), text
        await self._say(f"{TRANSCRIPTION}.delta", item_id=item[0], content_index=0, delta=delta)

    async def say_error(self, kind: str, event_id: str | None = None) -> None:
        message = "The key test-key heard: What is the capital of France?"
        error = {"type": "invalid_request_error", "code": kind, "message": message, "event_id": event_id}
        await self._say("error", error=error)

    async def _say(self, kind: str, **fields: Any) -> None:
        await self.say({"type": kind, "event_id": f"event_{secrets.token_hex(8)}", **fields})
