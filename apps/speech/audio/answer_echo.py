"""Answer echo: whether sound in the microphone may be the answer that the loudspeaker plays.

A browser removes most of the echo, other clients may not. The answer was sent from here, so its level over time is
known. How much of it the way through the air takes away, and how late it comes, is learned while it plays: only with
the true delay is the microphone never louder than the answer was by more than a constant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from apps.speech.audio.voice_activity import FRAME_MS, Frames, levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Levels = NDArray[np.float64]

# How late an echo may be, by network, buffers of the player, and the room; and how early, since the clock counts the
# sound that has arrived from the microphone.
LATEST_FRAMES, EARLIEST_FRAMES = 700 // FRAME_MS, 100 // FRAME_MS
DELAYS = LATEST_FRAMES + EARLIEST_FRAMES + 1
# A room makes a frame of the answer heard in several of the microphone.
SMEARED_FRAMES = 4
QUIET_ANSWER_DB = -60.0
# Before it is learned from so many frames, half a second more than the latest echo needs, an echo may be as loud as
# this, relative to the loudest answer of late.
FIRST_COUPLING_DB, LEARNED_FRAMES = -14.0, LATEST_FRAMES + 500 // FRAME_MS
LEAST_COUPLING_DB, MARGIN_DB = -50.0, 4.0
# Per frame: what was learned is forgotten where the answer is loud, and the noise of the room is followed.
FORGOTTEN_DB, LOUD_ANSWER_DB = 0.1, 20.0
RISING_NOISE_DB, ABOVE_NOISE_DB = 0.05, 8.0


class AnswerEcho:
    """The levels of the answer on the clock of the microphone's frames."""

    def __init__(self) -> None:
        self._levels: Levels = np.zeros(0)
        self._first = 0  # The frame of the first level.
        self._frames: Frames | None = None
        self._noise = 0.0
        self._learned = 0
        # For each delay, how loud the microphone was at most, relative to the answer.
        self._couplings: Levels = np.full(DELAYS, LEAST_COUPLING_DB)

    def sent(self, pcm: bytes, *, sample_rate: int, frame: int) -> None:
        """Take sound of the answer, which is played from `frame` on, or after what was sent before."""
        if not self.is_playing(frame):
            self._levels, self._first = np.zeros(0), frame
        if self._frames is None:
            self._frames = Frames(sample_rate)
        pause = np.full(max(0, frame - self._end), QUIET_ANSWER_DB)
        self._levels = np.concatenate([self._levels, pause, levels(self._frames.feed(pcm))])

    def stopped(self, frame: int) -> None:
        """The player plays nothing more from `frame` on."""
        self._levels = self._levels[: max(0, frame - self._first)]
        self._frames = None

    def is_playing(self, frame: int) -> bool:
        """Tell whether the answer may be heard at `frame`, its echo included."""
        return self._first <= frame < self._end + LATEST_FRAMES and len(self._levels) > 0

    def covers(self, frame: int, level: float) -> bool:
        """Tell whether sound of `level` (dBFS) at `frame` may be echo, and learn from it. Frames must come in order."""
        self._noise = min(level, self._noise + RISING_NOISE_DB)
        if not self.is_playing(frame):
            return False
        answer = self._answer(frame)
        loudest = float(answer.max())
        if loudest <= QUIET_ANSWER_DB:
            return False
        delay = int(np.argmin(self._couplings))
        bound = loudest + FIRST_COUPLING_DB
        if self._learned >= LEARNED_FRAMES:
            bound = float(answer[delay] + self._couplings[delay]) + MARGIN_DB
        if level > bound:
            return False
        self._learn(level, answer)
        return True

    @property
    def _end(self) -> int:
        return self._first + len(self._levels)

    def _answer(self, frame: int) -> Levels:
        """Return the level of the answer for each delay, the shortest first."""
        last = frame + EARLIEST_FRAMES - self._first
        padded = np.full(DELAYS + SMEARED_FRAMES - 1, QUIET_ANSWER_DB)
        start = last - len(padded) + 1
        known = np.maximum(self._levels[max(0, start) : last + 1], QUIET_ANSWER_DB)
        offset = max(0, -start)
        padded[offset : offset + len(known)] = known
        smeared: Levels = np.maximum.reduce([padded[shift : shift + DELAYS] for shift in range(SMEARED_FRAMES)])[::-1]
        return smeared

    def _learn(self, level: float, answer: Levels) -> None:
        self._learned += 1
        is_loud = answer > answer.max() - LOUD_ANSWER_DB
        forgotten = np.maximum(self._couplings - FORGOTTEN_DB * is_loud, LEAST_COUPLING_DB)
        is_heard = level > self._noise + ABOVE_NOISE_DB
        self._couplings = np.maximum(forgotten, level - answer) if is_heard else forgotten
