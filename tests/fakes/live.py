"""What the fake provider's services have in common that hear through a WebSocket.

They cannot hear, but know what will be said: the words of `Behaviour.transcript` are spread evenly over
`Behaviour.spoken_seconds` of voiced sound, whatever pauses are between. After the last word they begin anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable

    from tests.fakes.behaviour import Behaviour, Fault
    from tests.fakes.exchange import ReceivedRequest

SAMPLE_RATE = 24_000
FRAME_SECONDS = 0.02
VOICED_RMS = 300  # About -41 dBFS.
MISSED_SECONDS = 0.1  # Other chunks have other frames, so as much of the voiced sound may be missed.


def voiced_seconds(pcm: bytes) -> float:
    """Return for how long mono s16le PCM at SAMPLE_RATE is louder than silence."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    length = round(FRAME_SECONDS * SAMPLE_RATE)
    frames = [samples[start : start + length] for start in range(0, samples.size, length)]
    return sum(frame.size for frame in frames if frame.std() > VOICED_RMS) / SAMPLE_RATE


class Ear:
    """Which of the words have been said."""

    def __init__(self, transcript: str, spoken_seconds: float) -> None:
        self._words = transcript.split()
        self._spoken_seconds = spoken_seconds
        self._voiced = self._committed_voiced = 0.0
        self._committed_words = 0
        self.uncommitted_seconds = 0.0

    def hear(self, pcm: bytes) -> None:
        self._voiced += voiced_seconds(pcm)
        self.uncommitted_seconds += len(pcm) / 2 / SAMPLE_RATE

    @property
    def text(self) -> str:
        """What was said since the last commit."""
        return " ".join(self._words[self._committed_words : self._said()])

    def _said(self) -> int:
        if self._voiced >= self._spoken_seconds - MISSED_SECONDS:
            return len(self._words) if self._voiced else 0
        return int(self._voiced / self._spoken_seconds * len(self._words))

    def commit(self) -> str:
        text = self.text
        self._committed_words, self._committed_voiced = self._said(), self._voiced
        if self._committed_words == len(self._words):
            self._committed_words, self._voiced, self._committed_voiced = 0, 0.0, 0.0
        self.uncommitted_seconds = 0.0
        return text

    def clear(self) -> None:
        self._voiced, self.uncommitted_seconds = self._committed_voiced, 0.0


class ClosedError(Exception):
    """One side has closed the socket."""


class LiveSocket:
    """One connection. Subclasses know the messages of a service."""

    def __init__(
        self,
        request: ReceivedRequest,
        fault: Fault,
        behaviour: Behaviour,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        self.request = request
        self.behaviour = behaviour
        self.ear = Ear(behaviour.transcript, behaviour.spoken_seconds)
        self._fault = fault
        self._receive = receive
        self._send = send
        self._tasks: set[asyncio.Task[None]] = set()
        self._known = ""
        self._is_deaf = False
        self._chunk_came = asyncio.Event()

    # What subclasses say

    item: tuple[str, ...] = ()  # What partials belong to, if they say so.
    closes_when_idle = False

    async def greet(self) -> None: ...

    async def take(self, message: dict[str, Any]) -> None: ...

    async def say_partial(self, text: str, *item: str) -> None: ...

    async def say_error(self, kind: str) -> None: ...

    async def when_idle(self) -> None: ...

    # The connection

    async def serve(self) -> None:
        await self._send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        self.request.status = 101
        try:
            await self.greet()
            self.later(0, self._watch)
            while True:
                await self.take(await self._next_message())
        except (ClosedError, OSError):
            self.request.left_early = True
        finally:
            for task in self._tasks:
                task.cancel()

    async def _next_message(self) -> dict[str, Any]:
        event = await self._receive()
        if event["type"] != "websocket.receive":
            raise ClosedError
        message: dict[str, Any] = json.loads(event.get("text") or "")
        return message

    async def say(self, message: Mapping[str, Any]) -> None:
        await self._send({"type": "websocket.send", "text": json.dumps(message), "bytes": None})

    async def close(self, code: int) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": ""})
        raise ClosedError

    def later(self, seconds: float, work: Any, *arguments: Any) -> None:
        """Do `work` in so many seconds, if the connection is still there then."""

        async def wait() -> None:
            await asyncio.sleep(seconds)
            with contextlib.suppress(ClosedError, OSError):
                await work(*arguments)

        task = asyncio.ensure_future(wait())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # The sound

    async def hear(self, pcm: bytes) -> None:
        """Take sound, and tell a little later which words have come with it."""
        self._chunk_came.set()
        self.request.sound_seconds += len(pcm) / 2 / SAMPLE_RATE
        if self.behaviour.keeps_sound:
            self.request.sound += pcm
        self.ear.hear(pcm)
        if self._fault.after_seconds is not None and self.request.sound_seconds >= self._fault.after_seconds:
            await self.fail()
        if self.ear.text != self._known and not self._is_deaf:
            self._known = self.ear.text
            self.later(self.behaviour.partial_seconds, self.say_partial, self._known, *self.item)

    async def is_failing_at_commit(self) -> bool:
        """Fail if a fault asks for that. Return whether the commit gets no answer."""
        if self._fault.at_commit:
            await self.fail()
        return self._is_deaf

    async def fail(self) -> None:
        if self._fault.hang_at_end:
            self._is_deaf = True
            return
        if self._fault.socket_error:
            await self.say_error(self._fault.socket_error)
        await self.close(1011)

    def begin_text(self) -> None:
        """Forget which words were told: those of another commit come."""
        self._known = ""

    async def _watch(self) -> None:
        """Close the connection of a client that sends no sound, and repeat the last partial from time to time."""
        idle, limit = 0.0, self.behaviour.socket_idle_seconds if self.closes_when_idle else 0
        while not limit or idle < limit:
            self._chunk_came.clear()
            await asyncio.sleep(self.behaviour.repeated_seconds)
            idle = 0.0 if self._chunk_came.is_set() else idle + self.behaviour.repeated_seconds
            await self.when_idle()
        await self.close(1000)

    @property
    def known(self) -> str:
        return self._known
