"""The answer of a turn as one MP3, sent while it is still being spoken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from asgiref.sync import ThreadSensitiveContext

from apps.conversations.marking import origin_of
from apps.conversations.models import Turn
from apps.conversations.turn import Failed, Spoken, run_turn
from apps.speech.base import Recording
from apps.speech.encoders import AudioFormat, Encoder, create_encoder
from apps.speech.registry import current_engines
from voiceclone.logs import detached_context


class BrokenAnswerError(Exception):
    """The voice failed in the middle of the answer. A body that breaks off is the only way left to say so."""


class Mp3Answer:
    """Runs `turn` in a task of its own; its sound can be read as MP3 while the turn goes on."""

    def __init__(self, turn: Turn, recording: Recording | None) -> None:
        self._turn = turn
        self._recording = recording
        self._mp3: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._begun: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        # Not in the context of the view: it ends before this does, and the threads for the database end with it.
        self._task = asyncio.create_task(self._run(), context=detached_context())

    async def begins(self) -> bool:
        """Wait until the reply is written and its sound has begun. False: the turn is over without any sound."""
        try:
            return await asyncio.shield(self._begun)
        except asyncio.CancelledError:
            await self._stop()
            raise

    async def body(self) -> AsyncGenerator[bytes, None]:
        """Yield the MP3 as it comes. Closing it interrupts the turn."""
        try:
            while (mp3 := await self._mp3.get()) is not None:
                yield mp3
            await self._task
        finally:
            await self._stop()

    async def _run(self) -> None:
        try:
            async with (
                ThreadSensitiveContext(),
                current_engines() as engines,
                aclosing(run_turn(self._turn, engines, recording=self._recording)) as events,
            ):
                encoder: Encoder | None = None
                async for event in events:
                    if isinstance(event, Spoken):
                        encoder = encoder or self._create_encoder(event.sample_rate)
                        self._mp3.put_nowait(await asyncio.to_thread(encoder.encode, event.pcm))
                        if self._turn.reply:
                            self._begin(sounds=True)
                    elif isinstance(event, Failed) and self._begun.done():
                        raise BrokenAnswerError(event.code)
                if encoder is not None and self._turn.status != Turn.Status.FAILED:
                    self._mp3.put_nowait(encoder.finish())
                    self._begin(sounds=True)
        finally:
            self._begin(sounds=False)
            self._mp3.put_nowait(None)

    def _create_encoder(self, sample_rate: int) -> Encoder:
        return create_encoder(AudioFormat.MP3, sample_rate, origin_of(self._turn))

    def _begin(self, *, sounds: bool) -> None:
        if not self._begun.done():
            self._begun.set_result(sounds)

    async def _stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
