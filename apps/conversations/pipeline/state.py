"""The state of a running turn: its input, and the results of its stages so far."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from apps.conversations.models import Turn
from apps.conversations.pipeline.spoken_answer import SpokenAnswer
from apps.conversations.pipeline.trust import Trust
from apps.conversations.pipeline.writer import TurnWriter
from apps.speech.base import Recording
from apps.usage.metering import Reservation, Used


@dataclass(frozen=True, slots=True)
class PreparedTurn:
    """A turn that is ready to run. Its row may not be stored yet.

    `reservation` is settled when the turn ends. `recording` is the spoken question; None if the question was typed or
    is read from storage. `used` is the usage so far. With `trust`, the turn begins before its question is certain.

    The answer is at most `max_tokens` long, and only written if not `is_spoken`. `earlier` are the turns that it
    remembers, oldest first; None if they are not read yet.
    """

    turn: Turn
    reservation: Reservation
    recording: Recording | None = None
    used: Used = field(default_factory=Used)
    trust: Trust | None = None
    max_tokens: int | None = None
    is_spoken: bool = True
    earlier: list[Turn] | None = None


@dataclass(slots=True)
class TurnProgress:
    """A running turn. Its stages update it, and its end stores it."""

    turn: Turn
    stage: Turn.Stage = Turn.Stage.HEAR
    reply: str = ""
    answer: SpokenAnswer = field(default_factory=SpokenAnswer)
    used: Used = field(default_factory=Used)
    trust: Trust | None = None
    started: float = field(default_factory=time.monotonic)
    # Whether another process has taken the turn over, because this one was stalled for too long.
    is_lost: bool = False
    writer: TurnWriter = field(init=False)

    def __post_init__(self) -> None:
        self.writer = TurnWriter(self.turn, self.trust)
        # Clear the times of stages that an earlier attempt began and this one repeats.
        self.turn.first_audio_ms = None
        if self.turn.status != Turn.Status.ANSWERED:
            self.turn.first_word_ms = None

    @property
    def is_certain(self) -> bool:
        """Whether the question is certain, so that the turn is to be kept."""
        return self.trust is None or self.trust.is_confirmed

    def heard_seconds(self) -> float:
        """Return the most seconds of the answer that the listener can have heard by now."""
        return self.answer.heard_seconds(not_before=self.trust.confirmed_at if self.trust else 0.0)

    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self.started) * 1000)

    def measured(self) -> dict[str, Any]:
        """Return what is stored of the turn's course when it ends: who heard, milliseconds, ids at providers."""
        return {
            # A turn that is tried again may have been heard before.
            "heard_by": self.used.heard_by or self.turn.heard_by,
            "request_ids": self.turn.request_ids,
            "first_word_ms": self.turn.first_word_ms,
            "first_audio_ms": self.turn.first_audio_ms,
            "total_ms": self.elapsed_ms(),
        }
