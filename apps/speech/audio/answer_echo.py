"""Answer echo: whether sound in the microphone may be the answer that the loudspeaker plays.

A browser removes most of the echo, other clients may not. The answer was sent from here, so its level over time is
known; the way through the air takes away some of it, and how much is learned while an answer plays.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from apps.speech.audio.voice_activity import FRAME_MS, Frames, levels

# How late an echo may be: network, buffers of the player, and the room.
LATEST_ECHO_FRAMES = 700 // FRAME_MS
# The player may be this much ahead of the clock, which counts the sound that has arrived from the microphone.
EARLIEST_ECHO_FRAMES = 100 // FRAME_MS
QUIET_ANSWER_DB = -60.0
# Until it is learned, an echo may be as loud as this, relative to the loudest answer of the last 0.7 seconds.
FIRST_COUPLING_DB = -14.0
# Echo is learned from this many frames, and may exceed the loudest of them by the margin.
LEARNED_FRAMES, FEWEST_FRAMES, MARGIN_DB = 47, 16, 6.0
LEAST_COUPLING_DB = -50.0


class AnswerEcho:
    """The levels of the answer on the clock of the microphone's frames."""

    def __init__(self) -> None:
        self._levels: deque[float] = deque()
        self._first = 0  # The frame of the first level.
        self._ratios: deque[float] = deque(maxlen=LEARNED_FRAMES)
        self._frames: Frames | None = None

    def sent(self, pcm: bytes, *, sample_rate: int, frame: int) -> None:
        """Take sound of the answer, which is played from `frame` on, or after what was sent before."""
        if frame > self._first + len(self._levels) + LATEST_ECHO_FRAMES:
            self._levels.clear()
        if not self._levels:
            self._first, self._frames = frame, Frames(sample_rate)
        gap = max(0, frame - self._first - len(self._levels))
        self._levels.extend([QUIET_ANSWER_DB] * gap)
        if self._frames is None:
            self._frames = Frames(sample_rate)
        self._levels.extend(levels(self._frames.feed(pcm)).tolist())

    def stopped(self, frame: int) -> None:
        """The player plays nothing more from `frame` on."""
        while self._levels and self._first + len(self._levels) > frame:
            self._levels.pop()
        self._frames = None

    def is_playing(self, frame: int) -> bool:
        """Tell whether the answer may be heard at `frame`, its echo included."""
        return bool(self._levels) and self._first <= frame < self._first + len(self._levels) + LATEST_ECHO_FRAMES

    def covers(self, frame: int, level: float) -> bool:
        """Tell whether sound of `level` (dBFS) at `frame` may be echo, and learn from it. Frames must come in order."""
        if not self.is_playing(frame):
            return False
        loudest = self._loudest(frame)
        if loudest <= QUIET_ANSWER_DB:
            return False
        may_be_echo = level <= loudest + self._coupling()
        if may_be_echo:
            self._ratios.append(level - loudest)
        return may_be_echo

    def _loudest(self, frame: int) -> float:
        while self._levels and self._first < frame - LATEST_ECHO_FRAMES:
            self._levels.popleft()
            self._first += 1
        return max(islice(self._levels, LATEST_ECHO_FRAMES + EARLIEST_ECHO_FRAMES + 1), default=QUIET_ANSWER_DB)

    def _coupling(self) -> float:
        if len(self._ratios) < FEWEST_FRAMES:
            return FIRST_COUPLING_DB
        return max(LEAST_COUPLING_DB, max(self._ratios) + MARGIN_DB)
