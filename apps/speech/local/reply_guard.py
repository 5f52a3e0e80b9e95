"""Removes repetitions from the replies of small language models."""

from __future__ import annotations

import re

from apps.speech.reply_text import COMPLETE_SENTENCE, SENTENCE_END

WORD = re.compile(r"[^\W\d_]+")

# In words. Shorter sentences such as "I see." may be repeated.
MIN_REPEATED_SENTENCE_WORDS = 3
# The maximum number of words that are repeated within a sentence.
MAX_LOOP_WORDS = 12
LOOP_ROUNDS = 3
# The minimum number of words in all rounds of a loop, so that "very, very, very" does not count.
MIN_LOOP_WORDS = 6


class ReplyGuard:
    """Passes on a reply while it is written, in complete sentences, until it repeats itself.

    The first sentence passes at once, delta by delta, because the user is waiting for it. Each later sentence passes
    as soon as it differs from all earlier ones: the voice that speaks it has little time to spare. It is dropped if it
    repeats an earlier sentence. `is_over` is set when the reply repeats itself or has `max_sentences`; after that,
    nothing more passes.
    """

    def __init__(self, *, max_sentences: int | None = None) -> None:
        self.is_over = False
        self._max_sentences = max_sentences
        self._sentences = 0
        self._said: set[tuple[str, ...]] = set()
        self._first_is_complete = False
        self._buffer = ""
        self._passed = 0

    def add(self, delta: str) -> str:
        """Add the next delta, and return the text that may be spoken now."""
        self._buffer += delta if self._buffer or self._first_is_complete else delta.lstrip()
        ready = ""
        while not self.is_over and (end := SENTENCE_END.search(self._buffer)):
            ready += self._take(end.end())
        if not self.is_over and self._may_pass():
            ready += self._buffer[self._passed :]
            self._passed = len(self._buffer)
        self.is_over = self.is_over or is_loop(words_of(self._buffer))
        return ready

    def _may_pass(self) -> bool:
        """Tell whether the incomplete sentence in the buffer may already pass."""
        if not self._first_is_complete:
            return True
        *words, _incomplete = words_of(self._buffer) or [""]
        return not any(said[: len(words)] == tuple(words) for said in self._said)

    def finish(self, *, cut: bool) -> str:
        """Return the rest of the text that may be spoken. `cut`: the model was stopped before it had finished."""
        if self.is_over or (cut and self._first_is_complete and not COMPLETE_SENTENCE.search(self._buffer)):
            return ""
        return self._take(len(self._buffer)).rstrip()

    def _take(self, length: int) -> str:
        """Remove a sentence of `length` characters from the buffer. Return its new part; "" for a repeated sentence."""
        sentence, self._buffer = self._buffer[:length], self._buffer[length:]
        ready, self._passed = sentence[self._passed :], 0
        words = tuple(words_of(sentence))
        if len(words) >= MIN_REPEATED_SENTENCE_WORDS and words in self._said:
            self.is_over = True
            return ""
        self._said.add(words)
        self._sentences += bool(words)
        self.is_over = self._sentences == self._max_sentences
        self._first_is_complete = self._first_is_complete or bool(words)
        return ready


def words_of(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def is_loop(words: list[str]) -> bool:
    """Tell whether the last words repeat a group of words LOOP_ROUNDS times."""
    for period in range(1, MAX_LOOP_WORDS + 1):
        length = max(LOOP_ROUNDS * period, MIN_LOOP_WORDS)
        tail = words[-length:]
        if len(tail) == length and tail[period:] == tail[:-period]:
            return True
    return False
