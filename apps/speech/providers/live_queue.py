"""The sound of a live transcription that its service has not answered yet: what is sent when, and what belongs to what.

The segments are sent in order. The last one is being spoken; a commit follows each of the others. Not all services
number their commits, so only one at a time waits for its answer, that of the first segment. On a new connection all
segments are sent again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from apps.speech.audio.levels import is_silent
from apps.speech.base import LIVE_SAMPLE_RATE, Recording
from apps.speech.providers.faults import provider_error
from apps.speech.reply_text import longest_transcript, storable

if TYPE_CHECKING:
    from apps.speech.base import ProviderError
    from apps.speech.providers.live_dialect import Dialect

BYTES_PER_SECOND = 2 * LIVE_SAMPLE_RATE
_MAX_CHUNK_BYTES = BYTES_PER_SECOND // 2  # Usually sound is sent as it comes.
# Services refuse a commit of less than 0.1 s (OpenAI) or 0.3 s (ElevenLabs), so silence fills it up.
_MIN_COMMIT_BYTES = BYTES_PER_SECOND // 2
_PAUSE_BYTES = BYTES_PER_SECOND // 10 * 3


class Question:
    """What is said up to a commit. `texts` are those of its answered segments; `result` is there once it is committed.

    A question whose result nobody waits for any more, or that was cleared, is unwanted.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.result: asyncio.Future[str] | None = None
        self.is_cleared = False

    @property
    def is_unwanted(self) -> bool:
        return self.is_cleared or (self.result is not None and self.result.done())


@dataclass(slots=True, eq=False)
class _Segment:
    """A part of a question, and how far the present connection is with it.

    `text` is that of commits that the service made by itself.
    """

    question: Question
    sound: bytearray = field(default_factory=bytearray)
    is_closed: bool = False
    sent: int = 0
    is_committed: bool = False
    text: str = ""


class SoundQueue:
    """`sent_seconds` counts all sound that was sent, including silence and repetitions."""

    def __init__(self, max_seconds: float) -> None:
        self._max_bytes = round(max_seconds) * BYTES_PER_SECOND
        self._question = Question()
        self._segments = deque([_Segment(self._question)])
        self._uncommitted_bytes = 0  # That were sent on this connection.
        self._partial = ""
        self.sent_seconds = 0.0

    # What the listener does

    def add(self, pcm: bytes) -> None:
        """Add sound, and forget the oldest if there is too much of it."""
        self._segments[-1].sound += pcm
        excess = sum(len(segment.sound) for segment in self._segments) - self._max_bytes
        for segment in self._segments:
            size = min(max(0, excess), len(segment.sound))
            del segment.sound[:size]
            segment.sent = max(0, segment.sent - size)
            excess -= size

    def end_question(self) -> asyncio.Future[str] | None:
        """Return the text that the question will have; None if it has no sound."""
        question = self._next_question()
        if not question.texts and not self._has_segments(question):
            return None
        question.result = asyncio.get_running_loop().create_future()
        self._settle(question)
        return question.result

    def forget_question(self) -> None:
        if not self._segments[-1].sent:
            self._segments[-1].sound.clear()
        self._next_question().is_cleared = True

    def _next_question(self) -> Question:
        """Begin another question, and return the one that ends."""
        question, self._question, self._partial = self._question, Question(), ""
        self._close_last()
        return question

    def _close_last(self) -> None:
        """Let a commit follow the last segment, and begin another one, unless it is empty."""
        last = self._segments[-1]
        if last.sound:
            last.is_closed = True
            self._segments.append(_Segment(self._question))
        else:
            last.question = self._question

    def _has_segments(self, question: Question) -> bool:
        return any(segment.question is question for segment in self._segments)

    # What is sent

    @property
    def has_work(self) -> bool:
        return any(
            segment.sent < len(segment.sound) or (segment.is_closed and not segment.is_committed)
            for segment in self._segments
        )

    @property
    def has_sound(self) -> bool:
        return bool(self._segments[0].sound)

    @property
    def has_commits(self) -> bool:
        """Whether commits are to be sent or answered."""
        return self._segments[0].is_closed

    @property
    def awaits_answer(self) -> bool:
        return self._segments[0].is_committed

    def begin_again(self) -> None:
        """Begin with all that is wanted on a new connection."""
        *closed, last = self._segments
        self._segments = deque([segment for segment in closed if not segment.question.is_unwanted] + [last])
        for segment in self._segments:
            segment.sent, segment.is_committed, segment.text = 0, False, ""
        self._uncommitted_bytes = 0

    def next_message(self, dialect: Dialect) -> str | None:
        """Return the next message. While a commit waits for its answer, only the sound behind it is sent."""
        self._divide(dialect)
        first = self._segments[0]
        if first.is_closed and first.question.is_unwanted and not first.is_committed:
            return self._forget(first, dialect)
        for segment in islice(self._segments, 2):
            if segment.sent < len(segment.sound):
                pcm = bytes(segment.sound[segment.sent : segment.sent + _MAX_CHUNK_BYTES])
                segment.sent += len(pcm)
                return self._chunk(pcm, dialect)
            if segment is not first or not segment.is_closed:
                return None
            if not segment.is_committed:
                return self._commit(segment, dialect)
        return None

    def silence(self, seconds: float, dialect: Dialect) -> str:
        """Return a message with silence, which is not kept."""
        return self._chunk(bytes(round(seconds * LIVE_SAMPLE_RATE) * 2), dialect)

    def _divide(self, dialect: Dialect) -> None:
        """Close the last segment if it is so long that the service might commit it at a worse moment."""
        (last, *others), (at_pause, at_last) = reversed(self._segments), dialect.piece_seconds
        seconds = self._uncommitted_bytes / BYTES_PER_SECOND
        if seconds >= at_pause and not others and last.sent == len(last.sound):
            end = Recording(bytes(last.sound[-_PAUSE_BYTES:]), LIVE_SAMPLE_RATE)
            if seconds >= at_last or is_silent(end):
                self._close_last()

    def _forget(self, segment: _Segment, dialect: Dialect) -> str | None:
        """Let the service forget what it has got of the first segment, and forget the rest."""
        if not segment.sent:
            self._segments.popleft()
            return self.next_message(dialect)
        message = dialect.clear()
        if message is None:  # Then a commit does that.
            del segment.sound[segment.sent :]
            return self._commit(segment, dialect)
        self._segments.popleft()
        self._uncommitted_bytes = 0
        return message

    def _commit(self, segment: _Segment, dialect: Dialect) -> str:
        missing = _MIN_COMMIT_BYTES - self._uncommitted_bytes
        if missing > 0:
            return self._chunk(bytes(missing), dialect)
        segment.is_committed = True
        self._uncommitted_bytes = 0
        return dialect.commit()

    def _chunk(self, pcm: bytes, dialect: Dialect) -> str:
        self._uncommitted_bytes += len(pcm)
        self.sent_seconds += len(pcm) / BYTES_PER_SECOND
        return dialect.chunk(pcm)

    # What is answered

    def partial(self, text: str) -> str | None:
        """Return what was said of the question so far, or None if that is not news.

        While a commit waits for its answer, nobody knows to which question a partial belongs. Services also repeat
        them, and may send one late.
        """
        first = self._segments[0]
        if self.has_commits or _is_impossible(text, first):
            return None
        text = _joined(*self._question.texts, first.text, storable(text).strip())
        if text == self._partial:
            return None
        self._partial = text
        return text

    def final(self, text: str) -> None:
        """Take the text of the first segment. Raises ProviderError if it is impossible."""
        first = self._segments[0]
        if _is_impossible(text, first):
            raise provider_error("provider_answer_invalid", stage="hear")
        first.text = _joined(first.text, storable(text).strip())
        if not first.is_committed:  # The service has committed by itself, and more is to come.
            self._uncommitted_bytes = 0
            return
        self._segments.popleft()
        first.question.texts.append(first.text)
        self._settle(first.question)

    def fail(self, error: ProviderError) -> None:
        """Let all commits fail that wait for an answer. Sound of a question that goes on is kept."""
        for question in {segment.question for segment in self._segments}:
            if question.result is not None and not question.result.done():
                question.result.set_exception(error)
        self.begin_again()

    def _settle(self, question: Question) -> None:
        """Give the commit of `question` its text if all segments are answered."""
        if question.result is not None and not question.result.done() and not self._has_segments(question):
            question.result.set_result(_joined(*question.texts))


def _joined(*texts: str) -> str:
    return " ".join(filter(None, texts))


def _is_impossible(text: str, segment: _Segment) -> bool:
    """Tell whether nobody can have said so much in that time."""
    return len(text) > longest_transcript(len(segment.sound) / BYTES_PER_SECOND)
