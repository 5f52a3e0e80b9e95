"""Cuts a text that is still being written into segments that can already be spoken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from unicodedata import category, east_asian_width

from apps.conversations.pipeline.formulas import FORMULA
from apps.conversations.pipeline.scripts import AFTER, UNSPACED, begins_word
from apps.conversations.pipeline.speakable import (
    BRACKETS,
    CODE,
    ENTITY,
    IDEOGRAPHS,
    LINK,
    LINK_TARGET,
    LINK_TEXT,
    TAG,
    speakable,
)
from apps.speech.normalization.vocabulary import LANGUAGES, vocabulary
from apps.speech.reply_text import end_of_sentences


class Limits(NamedTuple):
    """How long a segment must be to end at a sentence, a clause or just a word, by `_spoken_length`."""

    sentence: int
    clause: int
    word: int


# Segments grow with the sound that the listener has still to hear. A first segment of five English words leaves 1.3
# seconds to synthesize the next, and does not sound like a shout, as a single word would. The second must be ready by
# then, even if a model writes only twenty tokens a second. Later segments are whole sentences: there is time for them.
FIRST = Limits(sentence=7, clause=12, word=20)
GROWING = (FIRST, Limits(sentence=20, clause=50, word=80), Limits(sentence=20, clause=120, word=190))
# An engine on this machine synthesizes little faster than the sound is played, and returns a segment as a whole.
GROWING_SLOWLY = (FIRST, *3 * [Limits(sentence=20, clause=24, word=32)], Limits(sentence=20, clause=50, word=100))
SHORTEST_SINGLE_WORD = 12
MAX_WORD_OVERRUN = 20
"""How far a segment may exceed its word limit while no pause can follow its last word."""

# Titles, initials as in "J. K.", "U.S." or "z. B.", what may stand before a noun with a capital, as "Mio. Euro", and
# numbers of a list or, as in German, of a day.
ABBREVIATION = re.compile(
    r"mr|mrs|ms|mx|dr|prof|st|jr|sr|gen|col|sgt|capt|lt|rev|hon|pres|gov|sen|rep|ft|mt|vs|av|mme|mlle|mgr|sig|dott"
    r"|sra|srta|dra|hr|fr|frl|ing|bzw|ca|vgl|inkl|evtl|mio|mrd|tsd|nr|std|tel|chr|ee|ud|uds|approx|aprox|(?:[^\W\d_]\.)*[^\W\d_]|\d{1,2}"
)
NO_PAUSE_AFTER = re.compile(
    r"[^\W\d_]|an|the|this|my|your|his|her|its|our|their|of|to|in|on|at|by|for|with|from|about|into|over|as|and|or|but"
    r"|nor|than|that|which|who|what|how|when|where|why|there|if|so|is|are|was|were|be|been|has|have|had|do|does|did"
    r"|can|could|will|would|should|may|might|must|not|no|very|der|die|das|den|dem|des|ein|eine[nmr]?|mein|dein|sein"
    r"|ihr|zu|im|am|von|mit|für|auf|aus|und|oder|ist|l[aeo]s?|un[aeo]?|d[ueai]|aux?|en|et|ou|je|il|ne|se|el|que|con"
    r"|por|para|gli|che|um|os|em|não|het|een|van"
)

# What belongs to the number before or after it: months and scales.
_SPOKEN_WITH_NUMBERS = {
    word.lower()
    for language in LANGUAGES
    for words in (vocabulary(language).months.values(), vocabulary(language).scales)
    for word in words
    if len(word) > 2
}
SIGNS_BEFORE_NUMBERS = "€$£¥₹~≈±§#№=+×÷≤≥"

CLOSERS = r"""[\"'”’»)\]}*_`~」』）】》]*(?:[^\S\n]»)?"""
SURE_ENDS = "。！？｡؟۔।॥။។៕"
"""These end a sentence whatever follows; a full stop may continue: "3." as "3.14"."""
SPACE = r"[^\S\n]"
ORDINAL_COMMA = r"(?<=\d[snrt][tdh]),"  # "March 3rd, 2025"
EARLY_CLAUSE = rf"(?P<early_clause>(?!{ORDINAL_COMMA})(?<=[^\W\d_{IDEOGRAPHS}])[,;،؛—]|(?<=\s)—|[，、；：၊])|"
"""If no quotation or address is open, these end a clause whatever follows: no look-ahead is needed."""


def _token(early_clause: str = "") -> re.Pattern[str]:
    """Return the pattern of the places where a segment may end, and of the units of Markdown within which it may not.

    `open` matches at the end of the text if the meaning depends on text that is not written yet.
    """
    return re.compile(
        rf"""
        (?P<fence>(?<=\n)[ \t]*+(?:```|~~~)[^\n`]*\n)
      | {early_clause}
        (?P<open>(?:
            (?<=\n)[ \t]*+(?:`{{1,2}}|~{{1,2}}|(?:```|~~~)[^\n`]*|\|[^\n]{{0,500}})
          | {LINK_TEXT}(?:\](?:{LINK_TARGET}(?:\([^()\n]{{0,100}})?)?)?
          | (?<!`)`[^`\n]{{0,300}}`?
          | <(?:[a-zA-Z/!][^<>\n]{{0,300}})?
          | &(?:\#?\w{{0,31}})?
          | \\(?:\((?:[^\\\n]|\\[^)\n]){{0,300}}\\?|\[(?:[^\\]|\\[^\[\]]){{0,500}}\\?)?
          | \$(?:\$[^$]{{0,300}}\$?|[^\s\d$][^$\n]{{0,100}}\$?|\d[^\s$]{{0,60}}\$?)?
          | (?:(?<=\d),|{ORDINAL_COMMA}){SPACE}*
          | [.!?…{SURE_ENDS}]+{CLOSERS}{SPACE}*
          | [,;:،؛—，、；：]{CLOSERS}
          | {SPACE}+(?:[–-]{SPACE}*)?
        )\Z)
      | (?P<unit>{FORMULA}|{ENTITY}|{LINK}|{CODE}|{TAG}|{BRACKETS}|(?<=\n)[ \t]*+\|[^\n]{{0,500}}(?=\n))
      | (?P<line>\n)
      | (?P<end>[.!?…]+{CLOSERS}(?={SPACE}))
      | (?P<sure_end>[{SURE_ENDS}][.!?…{SURE_ENDS}]*{CLOSERS})
      | (?P<clause>(?!(?:(?<=\d)|(?<=\d[snrt][tdh])),{SPACE}+\d)[,;:،؛—]{CLOSERS}(?=\s)|[，、；：၊]{CLOSERS}
          |(?<=\s)(?<!\d\s)[–-](?=\s))
      | (?P<opener>[\"“„«(\[{{*_`<「『（/@])
      | (?P<space>{SPACE}+(?=[^\s\d€$£¥.,;:!?…»”)\[\]=+×÷≤≥≈–—-]))
      | (?P<unspaced>[{UNSPACED}](?=[{UNSPACED}]{{{AFTER}}}))
        """,
        re.VERBOSE | re.DOTALL,
    )


HIRAGANA = re.compile("[\u3040-\u309f]")
LETTER_WITHOUT_SPACES = re.compile(f"[{UNSPACED}]")
PLAIN_TOKEN, TOKEN = _token(EARLY_CLAUSE), _token()
END_OF_CODE = re.compile(r"(?<=\n)[ \t]*+(?:```|~~~)[ \t]*\n")


class SpeechChunker:
    """Cuts a text into segments to speak while it is being written, each as early as it sounds natural.

    The segments are `speakable`, and do not depend on how the text was split into deltas. `limits` are those of the
    first segments in order; the last ones are those of all others.
    """

    def __init__(self, limits: Sequence[Limits] = GROWING) -> None:
        self._limits, *self._later_limits = limits
        self._in_code = False
        self._begin("\n")

    def feed(self, delta: str) -> list[str]:
        """Return the segments that `delta` completed, in order."""
        self._text += delta
        segments = []
        while end := self._find_end():
            segments += self._take(end)
        return segments

    def finish(self, *, only_sentences: bool = False) -> list[str]:
        """Return the rest, if there is any; with `only_sentences`, no sentence without its end."""
        end = end_of_sentences(self._text) if only_sentences else len(self._text)
        return [] if self._in_code else self._take(end)

    def _begin(self, text: str) -> None:
        """Start a new segment with `text`, which has a line break in front if it starts a line."""
        self._text = text
        self._scanned = self._length = 0
        self._token = PLAIN_TOKEN

    def _take(self, end: int) -> list[str]:
        """Remove the text up to `end` and return it as a segment; return none if nothing of it can be spoken."""
        written = self._text[:end]
        segment = speakable(written)
        self._begin(self._text[end - written.endswith("\n") :])
        if not segment:
            return []
        if self._later_limits:
            self._limits = self._later_limits.pop(0)
        return [segment]

    def _find_end(self) -> int:
        """Return the index at which the segment ends, or 0 while it is unknown."""
        if self._in_code:
            self._skip_code()
        while not self._in_code:
            token = self._token.search(self._text, self._scanned)
            if token is None or token.lastgroup == "open":
                # Scan the last characters again: a segment may end before a word of which more has to be known.
                self._scan(token.start() if token else len(self._text) - AFTER)
                return 0
            self._scan(token.end())
            if self._ends_at(token):
                return token.start() if token.lastgroup == "space" else token.end()
        return 0

    def _scan(self, end: int) -> None:
        """Add the text up to `end` to the length; it is not scanned again."""
        end = max(self._scanned, end)
        self._length += _spoken_length(self._text[self._scanned : end])
        self._scanned = end

    def _skip_code(self) -> None:
        end = END_OF_CODE.search(self._text)
        self._in_code = end is None
        self._text = self._text[end.end() - 1 if end else self._text.rfind("\n") :]

    def _ends_at(self, token: re.Match[str]) -> bool:
        """Update the state for `token`, and return whether the segment ends there."""
        match token.lastgroup:
            case "fence":
                self._in_code = True
                return True
            case "opener":
                self._token = TOKEN
                return False
            case "unit":
                self._length += _spoken_length(speakable(token[0])) - _spoken_length(token[0])
                return False
            case "line" | "sure_end":
                return self._is_sentence()
            case "end":
                return self._is_sentence() and _ends_sentence(self._text, token)
            case "clause" | "early_clause":
                return self._length >= self._limits.clause
            case "space":
                over = self._length - self._limits.word
                if self._length >= self._limits.clause and _is_between_clauses(self._text, token):
                    return True
                return over >= MAX_WORD_OVERRUN or (over >= 0 and not _has_no_pause_after(self._text[: token.start()]))
            case "unspaced":
                over = self._length - self._limits.word
                # In Japanese, a phrase seldom begins with Hiragana: these are endings and particles.
                overrun = 2 * MAX_WORD_OVERRUN if HIRAGANA.match(self._text, token.end()) else MAX_WORD_OVERRUN
                return over >= overrun and begins_word(self._text, token.end())
            case _:
                return False

    def _is_sentence(self) -> bool:
        if self._length < self._limits.sentence:
            return False
        return self._length >= SHORTEST_SINGLE_WORD or " " in speakable(self._text[: self._scanned])


def _spoken_length(text: str) -> int:
    """Return the number of letters and digits; a Chinese, Japanese or Korean one takes as long as three others."""
    return sum(3 if east_asian_width(character) in "WF" else 1 for character in text if category(character)[0] in "LMN")


def _ends_sentence(text: str, mark: re.Match[str]) -> bool:
    """Return whether `mark`, which more text follows, ends a sentence; if in doubt, return False.

    A missed end makes a segment longer, which is inaudible; a wrong one sounds like a stumble.
    """
    following = text[mark.end() :].lstrip()[:1]
    if following.islower():
        return False
    if not re.match(r"\.(?!\.)", mark[0]):
        return True
    word = text[: mark.start()].rsplit(maxsplit=1)[-1].lstrip('"“„«([{*_').lower()
    return not following.isdigit() and not ABBREVIATION.fullmatch(word)


def _has_no_pause_after(text: str) -> bool:
    """Return whether speakers make no pause after the last word of `text`: "the", a number, an abbreviation."""
    word = text.rsplit(maxsplit=1)[-1]
    if word[-1].isdigit() or word[-1] in f".!?…{SIGNS_BEFORE_NUMBERS}":
        return True
    return word.lower() in _SPOKEN_WITH_NUMBERS or bool(NO_PAUSE_AFTER.fullmatch(word.lower()))


def _is_between_clauses(text: str, space: re.Match[str]) -> bool:
    """Return whether `space` is in a script that has spaces between clauses only."""
    return bool(LETTER_WITHOUT_SPACES.match(text, space.start() - 1) and LETTER_WITHOUT_SPACES.match(text, space.end()))
