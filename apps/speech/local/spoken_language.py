"""Tells the language of a text that is read aloud, among those that the embedded voices speak.

The interface of the engines names no language, and one conversation can have several. So the language is told from
the text: by frequent words, by letters and endings, and by the script. The same text always has the same result.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

ENGLISH = "en"
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
WORD_PATTERN = re.compile(r"[^\W\d_]+|[¿¡]")


def _read_frequent_words() -> dict[str, list[str]]:
    """Return the languages of each frequent word."""
    lists = json.loads(Path(__file__).with_name("frequent_words.json").read_text(encoding="utf-8"))
    languages: dict[str, list[str]] = {}
    for language, lines in lists.items():
        for word in " ".join(lines).split():
            languages.setdefault(word, []).append(language)
    return languages


LANGUAGES_OF_WORD = _read_frequent_words()


def detect_language(text: str, previous_text: str = "") -> str:
    """Return the ISO 639-1 code of the language of `text`: en, es, fr, hi, it or pt; "en" if it cannot be told.

    `previous_text` is what the same voice said just before. It decides where `text` is too short to tell.
    """
    if HINDI.search(text):
        return "hi"
    evidence = _evidence(text)
    if before := _evidence(previous_text[-REMEMBERED_CHARACTERS:]):
        evidence[_best(before)] += PREVIOUS
    evidence[ENGLISH] += ENGLISH_LEAD
    return _best(evidence)


def _best(evidence: dict[str, float]) -> str:
    return max(sorted(evidence), key=lambda language: evidence[language])


def _evidence(text: str) -> defaultdict[str, float]:
    evidence: defaultdict[str, float] = defaultdict(float)
    for word in WORD_PATTERN.findall(text.lower()):
        languages = LANGUAGES_OF_WORD.get(word, [])
        for language in languages:
            evidence[language] += WORD / len(languages)
        for pattern, weights in MARKS:
            if pattern.search(word):
                for language, weight in weights.items():
                    evidence[language] += weight
    return evidence
