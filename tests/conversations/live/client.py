"""A client of live sessions for tests: the `openai` package, and strict checks of every event that it gets."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from apps.speech.audio.resampling import resample
from apps.speech.base import LIVE_SAMPLE_RATE, Recording
from tests.audio_samples import clip

STRICT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
PIECE_SECONDS = 0.04
PUSH_TO_TALK = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
SEMANTIC = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}


def live_clip(name: str) -> bytes:
    """Return a clip as mono s16le at LIVE_SAMPLE_RATE."""
    return resample(clip(name), sample_rate=LIVE_SAMPLE_RATE).pcm


def silence(seconds: float) -> bytes:
    """Return nearly silent sound, as microphones give it."""
    return bytes(2 * round(seconds * LIVE_SAMPLE_RATE))


class LiveClient:
    """One socket. Events are kept in `events`, those of a wait included."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []
        self.arrived: list[float] = []
        self.latest_sent = 0.0

    async def next_event(self) -> dict[str, Any]:
        raw = await self.connection.recv_bytes()
        event: dict[str, Any] = STRICT.validate_json(raw).model_dump(exclude_none=True)
        self.events.append(event)
        self.arrived.append(time.monotonic())
        return event

    async def until(self, *kinds: str, seconds: float = 15) -> dict[str, Any]:
        """Read up to the next event of one of these kinds."""
        async with asyncio.timeout(seconds):
            while True:
                event = await self.next_event()
                if event["type"] in kinds:
                    return event

    async def send(self, kind: str, **fields: Any) -> None:
        await self.connection.send({"type": kind, **fields})  # type: ignore[arg-type]

    async def update(self, session: dict[str, Any]) -> dict[str, Any]:
        await self.send("session.update", session=session)
        return await self.until("session.updated", "error")

    async def say(self, pcm: bytes, *, in_real_time: bool = False) -> None:
        size = 2 * round(PIECE_SECONDS * LIVE_SAMPLE_RATE)
        began = time.monotonic()
        for number, start in enumerate(range(0, len(pcm), size)):
            if in_real_time:
                await asyncio.sleep(began + number * PIECE_SECONDS - time.monotonic())
            await self.send("input_audio_buffer.append", audio=base64.b64encode(pcm[start : start + size]).decode())
        self.latest_sent = time.monotonic()

    async def ask(self, text: str) -> dict[str, Any]:
        """Ask a typed question and return the done response."""
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self.send("conversation.item.create", item=item)
        await self.send("response.create")
        return await self.until("response.done", "error")

    @property
    def kinds(self) -> list[str]:
        """The types of the events, each run of deltas as one."""
        kinds: list[str] = []
        for event in self.events:
            kind = event["type"]
            if not (kind.endswith(".delta") and kind in kinds[-2:]):
                kinds.append(kind)
        return kinds

    def sound(self) -> Recording:
        """Return the sound of all answers."""
        deltas = [event["delta"] for event in self.events if event["type"] == "response.output_audio.delta"]
        return Recording(b"".join(base64.b64decode(delta) for delta in deltas), LIVE_SAMPLE_RATE)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


@asynccontextmanager
async def live(url: str, token: str, session: dict[str, Any] | None = None, **query: str) -> AsyncIterator[LiveClient]:
    """Open a session with the unmodified `openai` package."""
    openai = AsyncOpenAI(api_key=token, base_url=f"{url}/v1")
    async with openai, openai.realtime.connect(model="gpt-realtime", extra_query=query) as connection:
        client = LiveClient(connection)
        await client.until("session.created", "error")
        if session is not None:
            await client.update(session)
        yield client
