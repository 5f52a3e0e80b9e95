"""Puts numbers, money, dates, times, units, signs and abbreviations of a text in words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from apps.speech.normalization.numbers import rules
from apps.speech.normalization.patterns import abbreviations, written_forms
from apps.speech.normalization.reading import reader
from apps.speech.normalization.vocabulary import LANGUAGES, vocabulary

# Most sentences have nothing of that, and cost a search for these only.
MAY_HAVE_FORMS = re.compile(r"[\d½⅓⅔¼¾⅕⅛=+×÷≤≥≠≈<>&√∞π^€£$¥₹]|\b[IVXLC]+e?r?\b")
ENDS_A_SENTENCE = re.compile(r"\s*\Z")


def in_words(text: str, language: str) -> str:
    """Return `text` as a person would say it who reads it aloud; unchanged in a language without words for it.

    `language` is an ISO 639-1 code or "". Plain prose stays as it is.
    """
    if language not in LANGUAGES:
        return text
    text = abbreviations(language).sub(lambda found: _spell_out(found, language), text)
    if not MAY_HAVE_FORMS.search(text):
        return text
    return written_forms(language).sub(reader(language).read, text)


def _spell_out(found: re.Match[str], language: str) -> str:
    words = vocabulary(language)
    kind = found.lastgroup or ""
    known = {"title": words.titles, "before_number": words.before_number, "abbreviation": words.abbreviations}[kind]
    said = known.get(found[0]) or known.get(_with_spaces(found[0], known), found[0])
    ends_sentence = found[0].endswith(".") and ENDS_A_SENTENCE.match(found.string, found.end())
    return f"{said}." if ends_sentence else said


def _with_spaces(written: str, known: Mapping[str, str]) -> str:
    """Return the key of an abbreviation that was written without its spaces, or with hard ones."""
    plain = re.sub(r"\s", "", written)
    return next((key for key in known if key.replace(" ", "") == plain), written)


def warm_up() -> None:
    """Read the rules and compile the patterns of all languages, so that no reply has to wait for that."""
    for language in sorted(LANGUAGES):
        rules(language)
        in_words("1", language)
