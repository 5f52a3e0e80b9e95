"""What happens in a turn, as whoever listens to it is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heard:
    """The question is understood."""

    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Said:
    """The reply goes on with `delta`."""

    delta: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """A part of the answer's sound (mono s16le), which belongs to piece `index` of the reply, `text`."""

    index: int
    text: str
    pcm: bytes
    sample_rate: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The turn is over: a stage failed. What earlier stages brought is kept."""

    stage: str
    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Done:
    """The turn is over: all is said and stored, or someone stopped it."""

    reply: str
    timings: dict[str, int | None]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing has happened for a while; the turn goes on."""


TurnEvent = Heard | Said | Spoken | Failed | Done | Waiting
