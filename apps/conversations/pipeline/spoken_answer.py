"""The spoken answer of a turn, as far as it is synthesized."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from apps.conversations.turn_events import Spoken
from apps.speech.base import Recording

CHARACTERS_PER_SECOND = 15  # of English speech; estimates how long a segment is that is not complete yet


@dataclass(slots=True)
class SpokenSegment:
    """A segment of the reply; `seconds` is how much of its sound is synthesized by now.

    `spoken` is what the voice says for `text`.
    """

    index: int
    text: str
    spoken: str
    seconds: float = 0.0
    complete: bool = False


@dataclass(slots=True)
class SpokenAnswer:
    """The sound of a reply, mono s16le of `sample_rate` hertz, and the segments that it belongs to."""

    sample_rate: int = 0
    segments: list[SpokenSegment] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    # When the first chunk arrived, by `time.monotonic`; 0 before that.
    began_at: float = 0.0

    def begin_segment(self, text: str, spoken: str) -> SpokenSegment:
        self.segments.append(SpokenSegment(len(self.segments), text, spoken))
        return self.segments[-1]

    def add(self, segment: SpokenSegment, pcm: bytes) -> Spoken:
        """Add a chunk to the sound of `segment`; return its event."""
        self.began_at = self.began_at or time.monotonic()
        self.chunks.append(pcm)
        segment.seconds += Recording(pcm, self.sample_rate).seconds
        return Spoken(segment.index, segment.text, pcm, self.sample_rate, segment.spoken)

    def recording(self, *, seconds: float | None = None) -> Recording | None:
        """Return the sound, or its first `seconds`; None if there is none."""
        end = None if seconds is None else 2 * int(seconds * self.sample_rate)
        return Recording(b"".join(self.chunks)[:end], self.sample_rate) if self.chunks and end != 0 else None

    def heard_seconds(self, *, not_before: float = 0.0) -> float:
        """Return the most seconds that the listener can have heard by now: playback starts with the first chunk.

        `not_before` is the time, by `time.monotonic`, before which the sound was held back.
        """
        return time.monotonic() - max(self.began_at, not_before) if self.began_at else 0.0

    @property
    def seconds(self) -> float:
        """The length of the sound so far."""
        return sum(segment.seconds for segment in self.segments)

    def complete_segments(self) -> list[SpokenSegment]:
        return [segment for segment in self.segments if segment.complete]


def text_within(segments: Sequence[SpokenSegment], seconds: float) -> str:
    """Return the text that is heard in the first `seconds` of its sound, cut at a word."""
    texts = []
    for segment in segments:
        if seconds <= 0:
            break
        estimated = len(segment.spoken) / CHARACTERS_PER_SECOND
        whole = segment.seconds if segment.complete else max(segment.seconds, estimated)
        share = min(seconds / whole, 1) if whole else 0
        texts.append(heard_text(segment.text, segment.spoken, share))
        seconds -= whole
    return " ".join(text for text in texts if text)


def heard_text(text: str, spoken: str, share: float) -> str:
    """Return the words of `text` that are heard in the first `share` of its sound, in which `spoken` is said."""
    if share >= 1:
        return text
    heard = spoken[: round(share * len(spoken))]
    if " " in spoken:
        heard = heard.rpartition(" ")[0]
    return heard if spoken == text else _written(heard.split(), text.split(), spoken.split())


def _written(heard: list[str], words: list[str], spoken: list[str]) -> str:
    """Return the `words` of which everything is in `heard`, the beginning of `spoken`."""
    count = 0
    for kind, start, end, spoken_start, spoken_end in SequenceMatcher(
        None, words, spoken, autojunk=False
    ).get_opcodes():
        if spoken_end > len(heard):
            count = start + len(heard) - spoken_start if kind == "equal" else start
            break
        count = end
    return " ".join(words[:count])
