"""Who computes when: on two cores, two models at once each take longer than one after the other.

A person waits for the first words of an answer, then for its sound. So the language model writes the beginning of a
reply with all cores, and pauses while the voice speaks it with all cores. The rest is written while that is heard.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager

# While more sound than this is left to play, the voice does not need the processor for itself.
AMPLE_SECONDS = 4.0
# The model does not pause for longer, and then writes for this long: answers of others may leave no gap.
MAX_PAUSE_SECONDS, MIN_WRITING_SECONDS = 8.0, 3.0
# How long the voice waits at most for the model to stop. Threads of the voice that begin beside those of the model are
# put on one core, and stay there: that costs 0.1 to 0.3 s.
MAX_STOPPING_SECONDS = 0.3
# The number of answers that are followed at the same time.
MAX_PLAYBACKS = 100


class Playback:
    """The sound of one answer. Each part of it is played after the parts before it, as soon as it is there."""

    def __init__(self) -> None:
        self._end = 0.0

    def add(self, seconds: float) -> None:
        self._end = max(self._end, time.monotonic()) + seconds

    def seconds_left(self) -> float | None:
        """Return how long the sound still plays; None before its first part is there."""
        return max(0.0, self._end - time.monotonic()) if self._end else None

    def is_ample(self) -> bool:
        return (self.seconds_left() or 0) > AMPLE_SECONDS


class Processor:
    """Tells the language model when to pause, because somebody waits for another engine. For all threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._needs: list[Playback | None] = []
        self._writing = 0
        self._token_came = self._token_seconds = 0.0
        self._playbacks: OrderedDict[tuple[str, str], Playback] = OrderedDict()

    def playback(self, text: str, *, voice_id: str, previous_text: str) -> Playback:
        """Return the answer that `text` continues: the one of which `previous_text` was spoken before."""
        with self._changed:
            playback = self._playbacks.pop((voice_id, previous_text), None) if previous_text else None
            playback = playback or Playback()
            self._playbacks[voice_id, f"{previous_text} {text}".strip()] = playback
            if len(self._playbacks) > MAX_PLAYBACKS:
                self._playbacks.popitem(last=False)
            return playback

    async def speaking(self, sound: AsyncGenerator[bytes], playback: Playback) -> AsyncGenerator[bytes]:
        """Yield `sound`, a part of `playback`. Until its end the voice needs the processor."""
        with self.needed(playback):
            async with aclosing(sound):
                async for pcm in sound:
                    yield pcm

    @contextmanager
    def needed(self, playback: Playback | None = None) -> Iterator[None]:
        """Let the language model pause meanwhile; with `playback`, only as long as little of that is left to play."""
        with self._changed:
            self._needs.append(playback)
        try:
            yield
        finally:
            with self._changed:
                self._needs.remove(playback)
                self._changed.notify_all()

    def add_sound(self, playback: Playback, seconds: float) -> None:
        with self._changed:
            playback.add(seconds)
            self._changed.notify_all()

    def is_needed(self) -> bool:
        with self._changed:
            return self._is_needed()

    def wait_until_free(self, seconds: float) -> bool:
        """Wait until nobody needs the processor, at most for `seconds`. Return whether it is free."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._is_needed(), timeout=seconds)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Tell that the language model computes in the block."""
        with self._changed:
            self._writing += 1
        try:
            yield
        finally:
            with self._changed:
                self._writing -= 1
                self._changed.notify_all()

    def note_token(self) -> None:
        """Tell that the language model has written a token."""
        now = time.monotonic()
        self._token_seconds, self._token_came = min(now - self._token_came, MAX_STOPPING_SECONDS), now

    def wait_until_still(self, playback: Playback) -> None:
        """Wait until the language model has stopped computing for `playback`; return at once if it need not stop."""
        with self._changed:
            if not self._writing or playback.is_ample():
                return
            self._changed.wait_for(lambda: not self._writing, timeout=MAX_STOPPING_SECONDS)
        time.sleep(self._token_seconds)  # The library computes one more token after its call has returned.

    def _is_needed(self) -> bool:
        return any(playback is None or not playback.is_ample() for playback in self._needs)


class Pauses:
    """The pauses of one reply of the language model."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._writes_until = 0.0

    def is_due(self) -> bool:
        return time.monotonic() >= self._writes_until and self._processor.is_needed()

    def make(self) -> None:
        """Wait while somebody else needs the processor, but not for too long."""
        if self.is_due() and not self._processor.wait_until_free(MAX_PAUSE_SECONDS):
            self._writes_until = time.monotonic() + MIN_WRITING_SECONDS


PROCESSOR = Processor()
"""That of this process, for all its engines."""
