"""A running turn whose listener comes later, leaves, or goes on somewhere else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

from av.audio.resampler import AudioResampler

from apps.conversations.live.config import SessionConfig
from apps.conversations.pipeline.spoken_answer import SpokenSegment, text_within
from apps.conversations.pipeline.state import PreparedTurn
from apps.conversations.turn import run_turn
from apps.conversations.turn_events import Spoken, TurnEvent, Waiting
from apps.core.database import shared_thread
from apps.core.logs import detached_context
from apps.speech.audio.resampling import as_frames
from apps.speech.base import LIVE_SAMPLE_RATE, Recording, Transcript
from apps.speech.registry import Engines

logger = logging.getLogger(__name__)

ROUNDING_SECONDS = 0.001  # By so much, the end of a segment can be missed, and with it its last word.


class Answer:
    """Runs a turn in a task of its own and keeps its events, with sound at LIVE_SAMPLE_RATE."""

    def __init__(self, prepared: PreparedTurn, config: SessionConfig, engines: Engines) -> None:
        self.prepared = prepared
        self.config = config
        self.turn = prepared.turn
        self.question = prepared.turn.transcript
        self._events: list[TurnEvent] = []
        self._segments: dict[int, SpokenSegment] = {}
        self._news = asyncio.Event()
        self._resampler: AudioResampler | None = None
        self.is_over = False
        self._task = asyncio.create_task(self._run(prepared, engines), context=detached_context())

    @property
    def is_certain(self) -> bool:
        """Whether its question is certain, so that the turn is kept."""
        return self.prepared.trust is None or self.prepared.trust.is_confirmed

    def confirm(self, transcript: Transcript, recording: Recording | None) -> None:
        """The question that it was begun for on trust is certain."""
        assert self.prepared.trust is not None  # noqa: S101 - it was begun on trust
        self.prepared.trust.confirm(transcript, recording)

    async def _run(self, prepared: PreparedTurn, engines: Engines) -> None:
        try:
            async with shared_thread(), contextlib.aclosing(run_turn(prepared, engines)) as events:
                async for event in events:
                    if not isinstance(event, Waiting):
                        self._keep(self._at_live_rate(event) if isinstance(event, Spoken) else event)
        except asyncio.CancelledError:
            pass  # A task keeps the error that ends it, whose frames would keep the sound.
        except Exception:
            logger.exception("The answer of a live session broke off")
        finally:
            self.is_over = True
            self._news.set()

    def _keep(self, event: TurnEvent) -> None:
        self._events.append(event)
        self._news.set()
        if isinstance(event, Spoken):
            new = SpokenSegment(event.index, event.text, event.spoken or event.text)
            segment = self._segments.setdefault(event.index, new)
            segment.seconds += Recording(event.pcm, event.sample_rate).seconds

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
        return sum(segment.seconds for segment in self._segments.values())

    def text_heard(self, seconds: float) -> str:
        """Return the words of the reply that are in the first `seconds` of its sound."""
        segments = list(self._segments.values())
        for segment in segments[: None if self.is_over else -1]:
            segment.complete = True
        return text_within(segments, seconds)

    def forget_sound(self) -> None:
        """Keep only which words were said when: nobody follows this any more."""
        self._events.clear()

    def characters_heard(self, seconds: float) -> int:
        """Return how many characters those words have; spaces, which are not those of the reply, do not count."""
        return len("".join(self.text_heard(seconds + ROUNDING_SECONDS).split()))

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
        return Spoken(spoken.index, spoken.text, pcm, LIVE_SAMPLE_RATE, spoken.spoken)
