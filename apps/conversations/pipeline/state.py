"""The values of a running turn: what it begins with, and what its stages have brought by now."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from apps.conversations.models import Turn
from apps.conversations.pipeline.spoken_answer import SpokenAnswer
from apps.conversations.pipeline.writer import TurnWriter
from apps.speech.base import Recording
from apps.usage.metering import Reservation, Used


@dataclass(frozen=True, slots=True)
class PreparedTurn:
    """A turn that may run now. It need not be stored yet.

    `reservation` is settled when the turn is over. `recording` is the spoken question; None where the question was
    typed or is read from the row.
    """

    turn: Turn
    reservation: Reservation
    recording: Recording | None = None


@dataclass(slots=True)
class TurnProgress:
    """A running turn. Stages add to it, and whatever ends the turn stores it."""

    turn: Turn
    stage: Turn.Stage = Turn.Stage.HEAR
    reply: str = ""
    answer: SpokenAnswer = field(default_factory=SpokenAnswer)
    used: Used = field(default_factory=Used)
    started: float = field(default_factory=time.monotonic)
    # Whether another process has taken the turn over, because this one stood still for too long.
    is_lost: bool = False
    writer: TurnWriter = field(init=False)

    def __post_init__(self) -> None:
        self.writer = TurnWriter(self.turn)
        # Forget the times of the stages that an earlier attempt began and this one repeats.
        self.turn.first_audio_ms = None
        if self.turn.status != Turn.Status.ANSWERED:
            self.turn.first_word_ms = None

    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self.started) * 1000)

    def times_at_end(self) -> dict[str, int | None]:
        """Return the row's times that are stored when the turn is over."""
        return {
            "first_word_ms": self.turn.first_word_ms,
            "first_audio_ms": self.turn.first_audio_ms,
            "total_ms": self.elapsed_ms(),
        }
