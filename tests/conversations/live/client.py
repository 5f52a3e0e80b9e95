"""A client of live sessions for tests: the `openai` package, and strict checks of every event that it gets."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from apps.speech.audio.resampling import resample
from apps.speech.base import LIVE_SAMPLE_RATE, Recording
from tests.audio_samples import clip
from tests.client import PATIENCE_SECONDS, wait_until
from tests.conftest import Server

STRICT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
PIECE_SECONDS = 0.04
PUSH_TO_TALK = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
SEMANTIC = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
TEXT_ONLY = {"type": "realtime", "output_modalities": ["text"]}

# OpenAI's agents for JavaScript require this null.
NOT_TRANSCRIBED_YET = {"type": "input_audio", "transcript": None}
ASKED = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
HEARD_BY_VAD = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", *ASKED]
ITEM_BEGINS = ["response.output_item.added", "conversation.item.added", "response.content_part.added"]
ITEM_ENDS = ["response.content_part.done", "conversation.item.done", "response.output_item.done", "response.done"]
SOUND = ["response.output_audio_transcript.delta", "response.output_audio.delta"]
SOUND_ENDS = ["response.output_audio.done", "response.output_audio_transcript.done"]
SPOKEN = ["response.created", *ITEM_BEGINS, *SOUND, *SOUND_ENDS, *ITEM_ENDS]
WRITTEN = ["response.created", *ITEM_BEGINS, "response.output_text.delta", "response.output_text.done", *ITEM_ENDS]


def live_clip(name: str) -> bytes:
    """Return a clip as mono s16le at LIVE_SAMPLE_RATE."""
    return resample(clip(name), sample_rate=LIVE_SAMPLE_RATE).pcm


def silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * LIVE_SAMPLE_RATE))


def louder(pcm: bytes, decibels: float) -> bytes:
    samples = np.frombuffer(pcm, "<i2") * 10 ** (decibels / 20)
    return samples.clip(-32768, 32767).astype("<i2").tobytes()


def seconds_of(pcm: bytes) -> float:
    return Recording(pcm, LIVE_SAMPLE_RATE).seconds


def typed(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


class LiveClient:
    """One socket. Events are kept in `events`, those of a wait included."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []
        self.sent_seconds = 0.0  # Of sound.

    async def next_event(self) -> dict[str, Any]:
        raw = await self.connection.recv_bytes()
        checked(raw)
        event: dict[str, Any] = json.loads(raw)
        self.events.append(event)
        return event

    async def until(self, *kinds: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Read up to the next event of one of these kinds."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    event = await self.next_event()
                    if event["type"] in kinds:
                        return event
        except TimeoutError:
            raise AssertionError(f"no {kinds} after {self.kinds}") from None

    async def until_done(self) -> dict[str, Any]:
        """Read up to the end of a response, and return it."""
        response: dict[str, Any] = (await self.until("response.done"))["response"]
        return response

    async def none_of(self, *kinds: str, seconds: float = 0.4) -> None:
        """Read for a while. Fails if one of these kinds comes."""
        seen = len(self.events)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await self.next_event()
        except TimeoutError:
            came = [event["type"] for event in self.events[seen:]]
            assert not set(kinds) & set(came), came

    async def send(self, kind: str, **fields: Any) -> None:
        await self.connection.send({"type": kind, **fields})  # type: ignore[arg-type]

    async def refused(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send an event that is refused, and return the error."""
        await self.send(kind, **fields)
        error: dict[str, Any] = (await self.until("error"))["error"]
        assert error["type"] == "invalid_request_error"
        assert error["message"]
        return error

    async def update(self, session: dict[str, Any]) -> dict[str, Any]:
        await self.send("session.update", session={"type": "realtime", **session})
        event = await self.until("session.updated", "error")
        assert event["type"] == "session.updated", event
        updated: dict[str, Any] = event["session"]
        return updated

    async def say(self, pcm: bytes, *, in_real_time: bool = False) -> None:
        """Send sound, in real time without ever catching up: a machine that is late sends nothing in a burst."""
        size = 2 * round(PIECE_SECONDS * LIVE_SAMPLE_RATE)
        due = time.monotonic()
        for start in range(0, len(pcm), size):
            if in_real_time:
                await asyncio.sleep(due - time.monotonic())
                due = max(due, time.monotonic()) + PIECE_SECONDS
            piece = pcm[start : start + size]
            await self.send("input_audio_buffer.append", audio=base64.b64encode(piece).decode())
            self.sent_seconds += seconds_of(piece)

    async def write(self, text: str) -> None:
        """Type a question."""
        await self.send("conversation.item.create", item=typed(text))

    async def ask(self, text: str = "What is the capital of France?", **response: Any) -> dict[str, Any]:
        """Ask a typed question and return the response when it is done."""
        await self.write(text)
        await self.send("response.create", **({"response": response} if response else {}))
        return await self.until_done()

    async def commit(self) -> None:
        """End a question of push-to-talk, and ask for the answer."""
        await self.send("input_audio_buffer.commit")
        await self.send("response.create")

    @property
    def kinds(self) -> list[str]:
        """The types of the events in order, without those that may come at any time, and each kind of delta once."""
        kinds: list[str] = []
        for event in self.events:
            kind = event["type"]
            is_repeated = kind.endswith(".delta") and kind in kinds[-2:]
            if not (is_repeated or "input_audio_transcription" in kind or kind.startswith("session.")):
                kinds.append(kind)
        return kinds

    def sound(self, item_id: str = "") -> bytes:
        """Return the sound of all answers, or of one."""
        deltas = [each for each in self.of("response.output_audio.delta") if item_id in ("", each["item_id"])]
        return b"".join(base64.b64decode(each["delta"]) for each in deltas)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


def checked(raw: bytes) -> None:
    """Fail if the SDK, or a client that takes no null for a field that is not there, does not know this event."""
    event = json.loads(raw)
    assert STRICT.validate_json(raw).type == event["type"]
    if not event["type"].startswith("session."):
        assert not list(_nulls(event)), raw


def _nulls(value: Any) -> Iterable[None]:
    if value is None:
        yield None
    if value == NOT_TRANSCRIBED_YET:
        return
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nulls(each)


@asynccontextmanager
async def live(url: str, token: str, session: dict[str, Any] | None = None, **query: str) -> AsyncIterator[LiveClient]:
    """Open a session with the unmodified `openai` package."""
    openai = AsyncOpenAI(api_key=token, base_url=f"{url}/v1", max_retries=0)
    async with openai, openai.realtime.connect(model="gpt-realtime", extra_query=query) as connection:
        client = LiveClient(connection)
        await client.until("session.created", "error")
        if session is not None:
            await client.update(session)
        yield client


def hold(server: Server, conversation: Coroutine[Any, Any, None]) -> None:
    """Hold a conversation, and wait until the server has stored all of it."""
    asyncio.run(conversation)
    wait_until(server.is_idle)
