"""Scripts that are written without spaces between words: where a word begins."""

from __future__ import annotations

from icu4py.breakers import WordBreaker

from apps.conversations.pipeline.speakable import IDEOGRAPHS

UNSPACED = f"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff{IDEOGRAPHS}"
"""The letters of Thai, Lao, Burmese, Khmer, Japanese and Chinese, for a set of a regular expression."""

BEFORE, AFTER = 24, 8
"""In letters: more of the text around a place does not change whether a word begins there."""


def begins_word(text: str, position: int) -> bool:
    """Return whether a word begins at `position` of `text`, by the letters around it: no later text changes that."""
    start = max(0, position - BEFORE)
    end = start
    for word in WordBreaker(text[start : position + AFTER], "th"):
        end += len(str(word))
        if end >= position:
            break
    return end == position
