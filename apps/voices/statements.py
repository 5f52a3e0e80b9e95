"""The statements of consent, and their comparison with a transcript.

The texts are fixed for each language and version, and are not translated with the pages: a record has to hold the exact
words that were said. A new wording needs a new VERSION.
"""

from __future__ import annotations

import datetime
import re
import secrets
import unicodedata
from dataclasses import asdict, dataclass

import jiwer
from django.utils.dateformat import format as format_date
from django.utils.translation import override

VERSION = "2026-11"
CODE_WORD_COUNT = 4


@dataclass(frozen=True, slots=True)
class Wording:
    """The statement in one language. `code_words` are common words that neither people nor machines mishear."""

    title: str
    purpose: str
    opening: str
    ending: str
    attestation: str
    and_: str
    date: str
    code_words: tuple[str, ...]


# fmt: off
WORDINGS = {
    "en": Wording(
        title="English",
        purpose="to make an artificial copy of my voice and let it speak what I ask for",
        opening="My name is {name}. Today is the {date}. I allow this service {purpose}.",
        ending="I can take this back at any time. My code words are {words}.",
        attestation="My name is {name}. I record my own voice. I allow this service {purpose}. I can take this back at "
        "any time.",
        and_="and",
        date="jS \\o\\f F Y",
        code_words=(
            "animal", "apple", "balcony", "banana", "basket", "blanket", "bottle", "bridge", "butter", "button",
            "camera", "candle", "carpet", "castle", "chicken", "chocolate", "cinema", "coffee", "diamond", "doctor",
            "dolphin", "dragon", "elephant", "engine", "family", "finger", "forest", "garden", "giraffe", "guitar",
            "hammer", "history", "holiday", "hospital", "island", "jacket", "kitchen", "ladder", "lemon", "library",
            "lion", "magic", "market", "medicine", "melody", "mirror", "monkey", "mountain", "museum", "music",
            "number", "ocean", "office", "orange", "painting", "paper", "pencil", "pepper", "piano", "picture",
            "planet", "pocket", "potato", "problem", "rabbit", "river", "rocket", "salad", "school", "shadow",
            "silver", "spider", "station", "summer", "table", "teacher", "telephone", "tiger", "tomato",
            "tractor", "turtle", "umbrella", "universe", "valley", "vanilla", "violin", "volcano", "wagon", "window",
            "winter", "wizard", "yellow", "zebra",
        ),
    ),
}
# fmt: on


def new_code_words(language: str) -> list[str]:
    """Return CODE_WORD_COUNT different words, chosen at random so that nobody can guess them."""
    return secrets.SystemRandom().sample(WORDINGS[language].code_words, CODE_WORD_COUNT)


def spoken_statement(*, name: str, day: datetime.date, language: str, code_words: list[str]) -> str:
    """Return the statement that a person called `name` has to read aloud on `day`."""
    wording = WORDINGS[language]
    with override(language):
        date = format_date(day, wording.date)
    words = f"{', '.join(code_words[:-1])} {wording.and_} {code_words[-1]}"
    text = f"{wording.opening} {wording.ending}"
    return text.format(name=name, date=date, purpose=wording.purpose, words=words)


def attested_statement(*, name: str, language: str) -> str:
    """Return the statement that a person called `name` confirms on a site that requires no recording."""
    wording = WORDINGS[language]
    return wording.attestation.format(name=name, purpose=wording.purpose)


def word_error(statement: str, transcript: str) -> float:
    """Return the word error rate of `transcript` against `statement`, at most 1."""
    heard = normalise(transcript)
    return min(1.0, jiwer.wer(normalise(statement), heard)) if heard else 1.0


@dataclass(frozen=True, slots=True)
class Passage:
    """Words of a statement, and the words of a transcript in their place. Either may be empty, but not both."""

    same: bool
    statement: str
    heard: str


def compare(statement: str, transcript: str) -> list[Passage]:
    """Return `statement` and `transcript` side by side, in passages whose words are the same or differ."""
    words, heard = _shown_words(statement), _shown_words(transcript)
    aligned = jiwer.process_words(normalise(statement), normalise(transcript)).alignments[0] if heard else []
    passages: list[Passage] = [] if aligned else [Passage(same=False, statement=" ".join(words), heard="")]
    for part in aligned:
        passage = Passage(
            same=part.type == "equal",
            statement=" ".join(filter(None, words[part.ref_start_idx : part.ref_end_idx])),
            heard=" ".join(filter(None, heard[part.hyp_start_idx : part.hyp_end_idx])),
        )
        if passages and not passages[-1].same and not passage.same:
            before = passages.pop()
            passage = Passage(
                same=False,
                statement=f"{before.statement} {passage.statement}".strip(),
                heard=f"{before.heard} {passage.heard}".strip(),
            )
        passages.append(passage)
    return passages


def comparison_details(statement: str, transcript: str) -> dict[str, list[dict[str, str | bool]]]:
    """Return what `compare` finds as the `details` of an error."""
    return {"words": [asdict(passage) for passage in compare(statement, transcript)]}


def _shown_words(text: str) -> list[str]:
    """Return for each word that `normalise` makes of `text` how it is written there, "" if the word before shows it.

    Where numbers of several words become one, the words are shown as `normalise` writes them.
    """
    normal = normalise(text).split()
    shown = []
    for word in text.split():
        parts = len(normalise(word).split())
        shown += [word, *[""] * (parts - 1)] if parts else []
    return shown if len(shown) == len(normal) else normal


def missing_words(code_words: list[str], transcript: str) -> list[str]:
    """Return the code words that do not occur in `transcript`."""
    heard = set(normalise(transcript).split())
    return [word for word in code_words if normalise(word) not in heard]


# fmt: off
CARDINALS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
ORDINALS = (
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth",
)
# fmt: on
UNITS = {word: number for words in (CARDINALS, ORDINALS) for number, word in enumerate(words)}
TENS = {"twenty": 20, "twentieth": 20, "thirty": 30, "thirtieth": 30}
ORDINAL = re.compile(r"\b(\d+)(?:st|nd|rd|th)\b")
TWO_THOUSAND = re.compile(r"\b2 thousand (?:and )?(\d\d?)\b")
YEAR_IN_HALVES = re.compile(r"\b20 (\d\d)\b")


def normalise(text: str) -> str:
    """Return `text` in lower case, without punctuation and with numbers as digits, so that spellings compare equal."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "").replace("'", "")
    words = re.findall(r"\w+", ORDINAL.sub(r"\1", text))
    text = " ".join(_with_digits(words))
    text = TWO_THOUSAND.sub(lambda match: str(2000 + int(match[1])), text)
    return YEAR_IN_HALVES.sub(r"20\1", text)


def _with_digits(words: list[str]) -> list[str]:
    """Return `words` with the English numbers of dates as digits: "twenty", "third" become "23"."""
    digits: list[str] = []
    tens = 0
    for word in [*words, ""]:
        unit = UNITS.get(word, -1)
        if tens and 0 < unit < 10:
            digits.append(str(tens + unit))
            tens = 0
            continue
        if tens:
            digits.append(str(tens))
        tens = TENS.get(word, 0)
        if not tens and word:
            digits.append(str(unit) if unit >= 0 else word)
    return digits
