"""Tells the language of a text that is read aloud.

The interface of the engines names no language, and one conversation can have several. So the language is told from
the text: by frequent words, by letters and endings, and by the script. The same text always has the same result.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from unicodedata import name

ENGLISH = "en"
SPOKEN_BY_EMBEDDED_VOICES = frozenset({"en", "es", "fr", "it", "pt"})
HINDI = re.compile(r"[\u0900-\u097f]")

# What a frequent word counts, divided among the languages that have it.
WORD = 1.0
# What the language of the text before counts. A clause without frequent words does not change the language, and one
# such word does.
PREVIOUS = 0.9
# What English is ahead by, as the language of a text in which nothing is found.
ENGLISH_LEAD = 0.2
REMEMBERED_CHARACTERS = 200

# Letters and endings, and what a word that has them counts for each language.
MARKS = (
    (re.compile(r"[ñ¿¡]"), {"es": 2.0}),
    (re.compile(r"ß"), {"de": 2.0}),
    (re.compile(r"[jkwxy]"), {"it": -0.5}),
    (re.compile(r"ó$"), {"es": 0.4}),
    (re.compile(r"^(der|das|und)$"), {"de": 0.5}),
    (re.compile(r"[äöü]"), {"de": 0.5, "fi": 0.3, "sv": 0.3}),
    (re.compile(r"(lich|isch|ung|ungen|heit|keit|chen|schaft)$|^ge.+t$|sch"), {"de": 0.5}),
    (re.compile(r"[åø]|æ"), {"da": 0.7, "no": 0.7, "sv": 0.5}),
    (re.compile(r"[ąęłżźćńś]"), {"pl": 1.0}),
    (re.compile(r"[ășțîâ]"), {"ro": 0.7}),
    (re.compile(r"[ěščřžůď]"), {"cs": 0.7, "sk": 0.5, "hr": 0.4}),
    (re.compile(r"[ğışİ]"), {"tr": 1.0}),
    (re.compile(r"[őű]"), {"hu": 1.5}),
    (re.compile(r"ij|oe|uu|aa"), {"nl": 0.3}),
    (re.compile(r"[ạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹđơư]"), {"vi": 1.0}),
    (re.compile(r"[ãõ]"), {"pt": 2.0}),
    (re.compile(r"ç"), {"fr": 0.7, "pt": 0.7}),
    (re.compile(r"[œëïûî]"), {"fr": 1.0}),
    (re.compile(r"[êôâ]"), {"fr": 0.5, "pt": 0.5}),
    (re.compile(r"è"), {"fr": 0.5, "it": 0.5}),
    (re.compile(r"[àù]"), {"fr": 0.4, "it": 0.4, "pt": 0.1}),
    (re.compile(r"[ìò]"), {"it": 1.0}),
    (re.compile(r"[áíóú]"), {"es": 0.5, "pt": 0.5}),
    (re.compile(r"é"), {"fr": 0.5, "es": 0.3, "pt": 0.3}),
    (re.compile(r"(ción|siones|ciones|dad|dades)$"), {"es": 0.8}),
    (re.compile(r"(ção|ções|dade|inho|inha|nh[ao]s?|lh[ao]s?)$"), {"pt": 0.8}),
    (re.compile(r"(zione|zioni|ità|gli[ao]|cchi[oa]|ett[oaie]|ll[oaie]|zz[aoe]|ssimo)$"), {"it": 0.5}),
    (re.compile(r"(eux|euse|aient|eau|eaux|oir|oire|ique|elle|ette|ez)$"), {"fr": 0.6}),
    (re.compile(r"(ing|ings|ed|ly|ness|ght|ow|th|ck|ee|ould)$|^kn|sh|w"), {"en": 0.5}),
    (re.compile(r"mente$"), {"es": 0.2, "it": 0.2, "pt": 0.2}),
)
WORD_PATTERN = re.compile(r"(?!\b[^\W\d_]\.)[^\W\d_]+|[¿¡]")


FREQUENT_WORDS: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("frequent_words.json").read_text(encoding="utf-8")
)
"""Lines of words for each language. Those that no embedded voice speaks have only what tells them apart."""


def _languages_of_words() -> dict[str, list[str]]:
    languages: dict[str, list[str]] = {}
    for language, lines in FREQUENT_WORDS.items():
        for word in " ".join(lines).split():
            languages.setdefault(word, []).append(language)
    return languages


LANGUAGES_OF_WORD = _languages_of_words()


def detect_language(text: str, previous_text: str = "") -> str:
    """Return the ISO 639-1 code of the language of `text`: en, es, fr, hi, it or pt; "en" if it cannot be told.

    `previous_text` is what the same voice said just before. It decides where `text` is too short to tell.
    """
    if HINDI.search(text):
        return "hi"
    evidence = _evidence(text, SPOKEN_BY_EMBEDDED_VOICES)
    _add_previous(evidence, previous_text, SPOKEN_BY_EMBEDDED_VOICES)
    evidence[ENGLISH] += ENGLISH_LEAD
    return _best(evidence)


def likely_language(text: str, *, expected: str = "", previous_text: str = "") -> str:
    """Return the ISO 639-1 code of the language of `text`, which may be any; "" if it has no Latin letters.

    `expected` is the language in which the text should be, or "". It decides where `text` is too short to tell, as
    `previous_text` does, which was said just before; without either, such a text is English.
    """
    if not _is_latin(text):
        return ""
    evidence = _evidence(text, FREQUENT_WORDS)
    _add_previous(evidence, previous_text, FREQUENT_WORDS)
    if expected:
        evidence[expected] += PREVIOUS
    else:
        evidence[ENGLISH] += ENGLISH_LEAD
    return _best(evidence)


def _is_latin(text: str) -> bool:
    """Return whether most letters of `text` are Latin. A text without letters counts as such."""
    letters = [letter for letter in text if letter.isalpha()]
    return 2 * sum(letter < "\u0250" or name(letter, "").startswith("LATIN") for letter in letters) >= len(letters)


def _add_previous(evidence: defaultdict[str, float], previous_text: str, among: Collection[str]) -> None:
    if before := _evidence(previous_text[-REMEMBERED_CHARACTERS:], among):
        evidence[_best(before)] += PREVIOUS


def _best(evidence: dict[str, float]) -> str:
    return max(sorted(evidence), key=lambda language: evidence[language])


def _evidence(text: str, among: Collection[str]) -> defaultdict[str, float]:
    evidence: defaultdict[str, float] = defaultdict(float)
    for word in WORD_PATTERN.findall(text.lower()):
        languages = [language for language in LANGUAGES_OF_WORD.get(word, []) if language in among]
        for language in languages:
            evidence[language] += WORD / len(languages)
        for language, weight in _weights_of_marks(word):
            if language in among:
                evidence[language] += weight
    return evidence


@lru_cache(maxsize=4096)
def _weights_of_marks(word: str) -> list[tuple[str, float]]:
    return [weight for pattern, weights in MARKS if pattern.search(word) for weight in weights.items()]
