"""Small models repeat themselves without end, and are cut off in the middle of a sentence. Neither is for reading."""

from __future__ import annotations

import re

# The end of a sentence is known once the next character is there. A number in front of the mark counts a list.
SENTENCE_END = re.compile(r"(?<!^\d)(?<!\s\d)(?<!\s\d\d)[.!?…][\"'”’)\]*]*(?=\s)|[。！？]|(?<=\S)(?=\n)")
WHOLE_SENTENCE = re.compile(r"[.!?…。！？][\"'”’)\]*]*\s*\Z")
WORD = re.compile(r"[^\W\d_]+")

SHORTEST_REPEATED_SENTENCE = 3
"""In words. People too say "I see." twice."""
LONGEST_LOOP = 12
"""In words: how far apart repetitions within a sentence are looked for."""
LOOP_ROUNDS = 3
SHORTEST_LOOP = 6
"""In words, with all its rounds, so that "very, very, very" is none."""


class ReplyGuard:
    """Passes on a reply as it is written, in whole sentences, until it goes round in circles.

    The first sentence passes at once, piece by piece: someone waits for it. Each later one waits until it is whole, and
    is dropped where it was said before or remains a half. `looping` says that nothing more will come.
    """

    def __init__(self) -> None:
        self.looping = False
        self._said: set[tuple[str, ...]] = set()
        self._first_is_whole = False
        self._held = ""
        self._passed_on = 0

    def add(self, delta: str) -> str:
        """Take what was written next, and return what may be spoken now."""
        self._held += delta if self._held or self._first_is_whole else delta.lstrip()
        ready = ""
        while not self.looping and (end := SENTENCE_END.search(self._held)):
            ready += self._take(end.end())
        if not self._first_is_whole:
            ready += self._held[self._passed_on :]
            self._passed_on = len(self._held)
        self.looping = self.looping or goes_round(words_of(self._held))
        return ready

    def finish(self, *, cut: bool) -> str:
        """Return what may be spoken of the end; `cut` says that the model was stopped before it was done."""
        if self.looping or (cut and self._first_is_whole and not WHOLE_SENTENCE.search(self._held)):
            return ""
        return self._take(len(self._held)).rstrip()

    def _take(self, length: int) -> str:
        """Return the sentence that ends at `length`, but for what was passed on; nothing where it was said before."""
        sentence, self._held = self._held[:length], self._held[length:]
        ready, self._passed_on = sentence[self._passed_on :], 0
        words = tuple(words_of(sentence))
        if len(words) >= SHORTEST_REPEATED_SENTENCE and words in self._said:
            self.looping = True
            return ""
        self._said.add(words)
        self._first_is_whole = self._first_is_whole or bool(words)
        return ready


def words_of(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def goes_round(words: list[str]) -> bool:
    """Tell whether the last words say the same again and again."""
    for period in range(1, LONGEST_LOOP + 1):
        length = max(LOOP_ROUNDS * period, SHORTEST_LOOP)
        tail = words[-length:]
        if len(tail) == length and tail[period:] == tail[:-period]:
            return True
    return False
