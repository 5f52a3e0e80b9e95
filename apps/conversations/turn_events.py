"""The events of a turn, for its listener."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heard:
    """The question is transcribed."""

    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Said:
    """`delta` is the next part of the reply."""

    delta: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """A chunk of the answer's sound (mono s16le), which belongs to segment `index` of the reply, `text`.

    `spoken` is what the voice says for `text`; "" for the same.
    """

    index: int
    text: str
    pcm: bytes
    sample_rate: int
    spoken: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The turn is over: a stage failed. The results of earlier stages are kept."""

    stage: str
    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Done:
    """The turn is over: its answer is complete and stored, or it was stopped."""

    reply: str
    timings: dict[str, int | None]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing has happened for a while; the turn is still running."""


TurnEvent = Heard | Said | Spoken | Failed | Done | Waiting
