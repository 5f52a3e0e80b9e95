"""Shows the words that a search has found in a text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from django.utils.html import conditional_escape, format_html_join
from django.utils.safestring import SafeString

LEAD_CHARACTERS = 40  # Before the first hit, so that it is on the first two lines of a telephone.
SNIPPET_CHARACTERS = 240


def highlighted(text: str, words: Sequence[str]) -> SafeString:
    """Return `text`, escaped, with each occurrence of the words in a `<mark>`, as a search for them matches."""
    if not words:
        return conditional_escape(text)
    *before_hits, rest = _pieces(text, words)
    pairs = zip(before_hits[::2], before_hits[1::2], strict=True)
    return format_html_join("", "{}<mark>{}</mark>", pairs) + conditional_escape(rest)


def snippet(text: str, words: Sequence[str]) -> str:
    """Return the part of `text` around the first of the words in it, or its beginning."""
    start = _start(text, words)
    end = start + SNIPPET_CHARACTERS
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def _start(text: str, words: Sequence[str]) -> int:
    first_hit = len(_pieces(text, words)[0]) if words else 0
    if first_hit <= LEAD_CHARACTERS or first_hit == len(text):
        return 0
    space = text.find(" ", first_hit - LEAD_CHARACTERS, first_hit)
    return first_hit if space < 0 else space + 1


def _pieces(text: str, words: Sequence[str]) -> list[str]:
    """Return the texts between the hits, with the hits between them: an odd number of pieces."""
    longest_first = sorted(words, key=len, reverse=True)
    return re.split(f"({'|'.join(map(re.escape, longest_first))})", text, flags=re.IGNORECASE)
