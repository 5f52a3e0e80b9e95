"""A running turn whose listener comes later, leaves, or goes on somewhere else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from av.audio.resampler import AudioResampler

from apps.conversations.pipeline.spoken_answer import SpokenSegment, text_within
from apps.conversations.pipeline.state import PreparedTurn
from apps.conversations.turn import run_turn
from apps.conversations.turn_events import Spoken, TurnEvent, Waiting
from apps.core.database import shared_thread
from apps.core.logs import detached_context
from apps.speech.audio.resampling import as_frames
from apps.speech.base import LIVE_SAMPLE_RATE, Recording
from apps.speech.registry import Engines


class Answer:
    """Runs a turn in a task of its own and keeps its events, with sound at LIVE_SAMPLE_RATE."""

    def __init__(self, prepared: PreparedTurn, engines: Engines) -> None:
        self.prepared = prepared
        self.turn = prepared.turn
        self.question = prepared.turn.transcript
        self._events: list[TurnEvent] = []
        self._news = asyncio.Event()
        self._resampler: AudioResampler | None = None
        self.is_over = False
        self._task = asyncio.create_task(self._run(prepared, engines), context=detached_context())

    @property
    def is_certain(self) -> bool:
        """Whether its question is certain, so that the turn is kept."""
        return self.prepared.trust is None or self.prepared.trust.is_confirmed

    async def _run(self, prepared: PreparedTurn, engines: Engines) -> None:
        try:
            async with shared_thread(), contextlib.aclosing(run_turn(prepared, engines)) as events:
                async for event in events:
                    if not isinstance(event, Waiting):
                        self._events.append(self._at_live_rate(event) if isinstance(event, Spoken) else event)
                        self._news.set()
        finally:
            self.is_over = True
            self._news.set()

    async def follow(self) -> AsyncGenerator[TurnEvent, None]:
        """Yield all events of the turn, those of before at once. One listener at a time."""
        position = 0
        while True:
            self._news.clear()
            while position < len(self._events):
                yield self._events[position]
                position += 1
            if self.is_over:
                return
            await self._news.wait()

    @property
    def sound_seconds(self) -> float:
        """The length of the sound so far."""
        return sum(segment.seconds for segment in self._segments())

    def text_heard(self, seconds: float) -> str:
        """Return the words of the reply that are in the first `seconds` of its sound."""
        return text_within(self._segments(), seconds)

    def _segments(self) -> list[SpokenSegment]:
        segments: dict[int, SpokenSegment] = {}
        for event in self._events:
            if isinstance(event, Spoken):
                segment = segments.setdefault(event.index, SpokenSegment(event.index, event.text, event.text))
                segment.seconds += Recording(event.pcm, event.sample_rate).seconds
        for segment in list(segments.values())[: None if self.is_over else -1]:
            segment.complete = True
        return list(segments.values())

    async def until_over(self) -> None:
        """Wait until the turn has ended and is stored."""
        await asyncio.wait({self._task})

    async def stop(self) -> None:
        """Interrupt the turn; return when what it has so far is stored."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _at_live_rate(self, spoken: Spoken) -> Spoken:
        if spoken.sample_rate == LIVE_SAMPLE_RATE:
            return spoken
        if self._resampler is None:
            self._resampler = AudioResampler(format="s16", layout="mono", rate=LIVE_SAMPLE_RATE)
        frames = as_frames(spoken.pcm, spoken.sample_rate)
        sound = [each for frame in frames for each in self._resampler.resample(frame)]
        pcm = b"".join(bytes(each.planes[0])[: 2 * each.samples] for each in sound)
        return Spoken(spoken.index, spoken.text, pcm, LIVE_SAMPLE_RATE)
