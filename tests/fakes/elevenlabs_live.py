"""ElevenLabs' Scribe realtime at the fake provider, with its oddities."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from tests.fakes.live import LiveSocket

PATH = "/v1/speech-to-text/realtime"
MIN_COMMIT_SECONDS = 0.3


class ElevenLabsSocket(LiveSocket):
    closes_when_idle = True

    async def greet(self) -> None:
        query = self.request.query
        if query.get("audio_format") != "pcm_24000" or query.get("commit_strategy") != "manual":
            await self.say_error("invalid_request")
            await self.close(1008)
        await self.say({"message_type": "session_started", "session_id": secrets.token_hex(8), "config": query})

    async def take(self, message: dict[str, Any]) -> None:
        if message.get("message_type") != "input_audio_chunk" or message.get("sample_rate") != 24_000:
            await self.say_error("input_error")
            await self.close(1008)
        await self.hear(base64.b64decode(message["audio_base_64"]))
        if message["commit"]:
            self.request.messages.append({"commit": True})
            if self.ear.uncommitted_seconds < MIN_COMMIT_SECONDS:
                await self.say_error("commit_throttled")
                await self.close(1008)
            if not await self.is_failing_at_commit():
                self._commit()
        elif self.ear.uncommitted_seconds >= self.behaviour.automatic_commit_seconds:
            self._commit()

    def _commit(self) -> None:
        self.later(self.behaviour.final_seconds, self._say_final, self.ear.commit())
        self.begin_text()

    async def _say_final(self, text: str) -> None:
        await self.say({"message_type": "committed_transcript", "text": text})
        if text:
            await self.say_partial(text)

    async def say_partial(self, text: str, *_item: str) -> None:
        await self.say({"message_type": "partial_transcript", "text": text})

    async def say_error(self, kind: str) -> None:
        await self.say({"message_type": kind, "error": "The key test-key heard: What is the capital of France?"})

    async def when_idle(self) -> None:
        if self.known:
            await self.say_partial(self.known)
