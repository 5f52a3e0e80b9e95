"""Cuts a text that is still being written into sentences that can already be spoken."""

from __future__ import annotations

import re

ABBREVIATIONS = frozenset(
    {
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "vs",
        "etc",
        "e.g",
        "i.e",
        "no",
        "fig",
        "approx",
        "jr",
        "sr",
        "u.s",
        "a.m",
        "p.m",
    }
)
# An end mark, any closing quotes or brackets, and the white space that shows that the sentence is really over: without
# it "3." could go on as "3.14". Chinese and Japanese marks need no space.
SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s)|[。！？]+[」』”）]*|\n+")
LAST_WORD = re.compile(r"([\w.]+)\.$")


class SentenceSplitter:
    """Feed it text as it comes; it gives back whole sentences, and at the end what is left."""

    def __init__(self) -> None:
        self._text = ""

    def feed(self, delta: str) -> list[str]:
        """Return the sentences that `delta` completed, stripped, in order."""
        self._text += delta
        sentences = []
        start = 0
        for match in SENTENCE_END.finditer(self._text):
            sentence = self._text[start : match.end()]
            if _ends_with_abbreviation(sentence):
                continue
            if sentence.strip():
                sentences.append(sentence.strip())
            start = match.end()
        self._text = self._text[start:]
        return sentences

    def finish(self) -> list[str]:
        """Return the rest, if there is any."""
        rest, self._text = self._text.strip(), ""
        return [rest] if rest else []


def _ends_with_abbreviation(sentence: str) -> bool:
    word = LAST_WORD.search(sentence)
    # A single letter before the dot is an initial: "J. Austen".
    if word is None:
        return False
    return word[1].lower() in ABBREVIATIONS or (len(word[1]) == 1 and word[1].isalpha())
