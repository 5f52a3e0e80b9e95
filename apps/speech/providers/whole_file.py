"""Hears while it is spoken with an engine that only hears whole recordings: it begins anew at each likely end."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from apps.speech.base import LIVE_SAMPLE_RATE, ProviderError, Recording, Transcript

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from apps.speech.base import SpeechToText

# Whoever calls `likely_end` has just heard so much silence. It tells how loud the room is.
_SILENCE_SECONDS = 0.2
_FRAME_SECONDS = 0.05
_MIN_SPEECH_RMS = 100.0  # About -50 dBFS, as in levels.py.
_SPEECH_ABOVE_SILENCE = 2.5  # 8 dB.


class WholeFileSpeechToText:
    """A LiveSpeechToText. `create_engine` returns an engine for one call."""

    def __init__(self, create_engine: Callable[[], SpeechToText], *, max_seconds: float) -> None:
        self._create_engine = create_engine
        self._max_seconds = max_seconds
        self.name = create_engine().name

    @asynccontextmanager
    async def listen(
        self, *, language: str, on_partial: Callable[[str], None]
    ) -> AsyncIterator[WholeFileTranscription]:
        transcription = WholeFileTranscription(self._create_engine, language, on_partial, self._max_seconds)
        try:
            yield transcription
        finally:
            transcription.clear()


@dataclass(frozen=True, slots=True)
class _Guess:
    """A transcription that began at a likely end, of the first `size` bytes of the question.

    `speech_rms` is the level above which later sound is speech.
    """

    task: asyncio.Task[Transcript | None]
    size: int
    speech_rms: float


class WholeFileTranscription:
    """A LiveTranscription."""

    def __init__(
        self,
        create_engine: Callable[[], SpeechToText],
        language: str,
        on_partial: Callable[[str], None],
        max_seconds: float,
    ) -> None:
        self._create_engine = create_engine
        self._language = language
        self._on_partial = on_partial
        self._max_bytes = _size(max_seconds)
        self._sound = bytearray()
        self._dropped = 0
        self._guess: _Guess | None = None
        self.name = create_engine().name
        self.sent_seconds = 0.0

    def hear(self, pcm: bytes) -> None:
        self._sound += pcm
        excess = len(self._sound) - self._max_bytes
        if excess > 0:
            del self._sound[:excess]
            self._dropped += excess

    def likely_end(self) -> None:
        if self._sound and self._current_guess() is None:
            self._drop_guess()
            sound = bytes(self._sound)
            quietest = min(_levels(sound[-_size(_SILENCE_SECONDS) :]), default=0.0)
            self._guess = _Guess(
                asyncio.ensure_future(self._begin(sound)),
                self._dropped + len(sound),
                max(_MIN_SPEECH_RMS, quietest * _SPEECH_ABOVE_SILENCE),
            )

    async def commit(self) -> Transcript:
        sound, guess = bytes(self._sound), self._current_guess()
        if guess is not None:
            self._guess = None
        self.clear()
        if not sound:
            return Transcript("")
        heard = await guess.task if guess else None
        return heard or await self._transcribe(sound)

    def clear(self) -> None:
        self._drop_guess()
        self._sound.clear()
        self._dropped = 0

    def _current_guess(self) -> _Guess | None:
        """Return the last guess if nothing was said since it began."""
        guess = self._guess
        if guess is None:
            return None
        rest = bytes(self._sound[max(0, guess.size - self._dropped) :])
        return guess if max(_levels(rest), default=0.0) <= guess.speech_rms else None

    def _drop_guess(self) -> None:
        if self._guess is not None:
            self._guess.task.cancel()
            self._guess = None

    async def _begin(self, sound: bytes) -> Transcript | None:
        """Return the transcript of `sound` and tell its text, or None if the engine fails: then the commit retries."""
        try:
            transcript = await self._transcribe(sound)
        except ProviderError:
            return None
        if self._guess is not None and self._guess.task is asyncio.current_task():
            self._on_partial(transcript.text)
        return transcript

    async def _transcribe(self, sound: bytes) -> Transcript:
        recording = Recording(sound, LIVE_SAMPLE_RATE)
        engine = self._create_engine()
        self.sent_seconds += recording.seconds
        try:
            return await engine.transcribe(recording, language=self._language)
        finally:
            self.name = engine.name


def _size(seconds: float) -> int:
    """Return the number of bytes of `seconds` of sound."""
    return 2 * round(seconds * LIVE_SAMPLE_RATE)


def _levels(pcm: bytes) -> list[float]:
    """Return the level (RMS without the DC offset) of each whole frame."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    length = round(_FRAME_SECONDS * LIVE_SAMPLE_RATE)
    frames = samples[: samples.size // length * length].reshape(-1, length)
    return [float(level) for level in frames.std(axis=1)]
