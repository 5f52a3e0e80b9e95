"""Divides text to speak so that the listener does not run out of sound.

Kokoro returns the sound of a text when all of it is synthesised. On a slow machine that takes nearly as long as the
sound lasts, and the segment before a long one is over too soon. So a segment that would come too late is divided where
speakers make a pause too, as far as the first part still comes in time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from apps.speech.local.processor import Playback

# In characters. Shorter parts sound torn off, and cost more time than their sound lasts.
MIN_PART = 24
# A text costs as much as if it had this many characters more.
FIXED_CHARACTERS = 20
# "384,401" is read as eight words.
CHARACTERS_PER_DIGIT = 5
# Silence that is not noticed as a stumble.
TOLERANCE_SECONDS = 0.3
# The ends of clauses, and the words with which English phrases begin. Other languages are divided at clauses only.
CLAUSE_END = re.compile(r"[,;:—]\s+|[，、；：]")
PHRASE_START = re.compile(
    r"\s+(?=(?:and|or|but|so|of|in|on|at|to|with|for|from|by|as|into|over|under|through|that|which|who|when|where|because"
    r"|until|while|than|if|is|are|was|were|has|have|had|can|could|will|would|should|may|might)\b)"
)


class Pace:
    """How long the synthesis of a character takes, from the latest ones."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def note(self, text: str, seconds: float) -> None:
        latest = seconds / (FIXED_CHARACTERS + spoken_characters(text))
        self._seconds = (self._seconds + latest) / 2 if self._seconds else latest

    def characters_within(self, seconds: float) -> float:
        """Return how many characters can be synthesised in `seconds`: any number before the first `note`."""
        return seconds / self._seconds - FIXED_CHARACTERS if self._seconds else float("inf")


def in_time(segments: Iterable[str], playback: Playback, pace: Pace) -> Iterator[str]:
    """Yield `segments`, divided if that avoids a silence. The sound of each part must be added before the next one."""
    for segment in segments:
        rest = segment
        while rest:
            seconds = playback.seconds_left()
            room = float("inf") if seconds is None else pace.characters_within(seconds + TOLERANCE_SECONDS)
            end = len(rest) if spoken_characters(rest) <= room else end_of_part(rest, room)
            yield rest[:end].rstrip()
            rest = rest[end:]


def end_of_part(text: str, room: float) -> int:
    """Return where to divide `text`: at latest within `room` characters or, if that is too early, as early as possible.

    It is the length of `text` if there is no good place.
    """
    ends = [[found.end() for found in breaks.finditer(text)] for breaks in (CLAUSE_END, PHRASE_START)]
    ends = [[end for end in each if MIN_PART <= end <= len(text) - MIN_PART] for each in ends]
    for each in ends:
        if in_room := [end for end in each if spoken_characters(text[:end]) <= room]:
            return in_room[-1]
    return min([len(text), *ends[0], *ends[1]])


def spoken_characters(text: str) -> int:
    """Return how many letters would take as long to say as `text`."""
    return len(text) + (CHARACTERS_PER_DIGIT - 1) * sum(map(str.isdigit, text))
