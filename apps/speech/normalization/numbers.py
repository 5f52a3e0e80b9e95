"""Numbers in words, by the rules of Unicode's CLDR."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

from unicode_rbnf import RbnfEngine

COUNTING = "spellout-numbering"
"""The rules for a number that counts nothing: "eins", "uno"."""

CARDINALS = {"": COUNTING, "m": "spellout-cardinal-masculine", "f": "spellout-cardinal-feminine"}
ORDINALS = {
    "m": "spellout-ordinal-masculine",
    "f": "spellout-ordinal-feminine",
    "adjective": "spellout-ordinal-masculine-adjective",  # "primer", "tercer"
}
MAX_DIGITS = 15
YEARS = range(1100, 2100)
MIN_DIGITS_OF_A_CODE = 7


class Number(NamedTuple):
    """A number as it is written. `whole` and `fraction` are digits; `fraction` is "" if there is none."""

    whole: str
    fraction: str = ""
    is_grouped: bool = False

    @property
    def value(self) -> float:
        return float(f"{self.whole}.{self.fraction or 0}")

    @property
    def looks_like_a_code(self) -> bool:
        """Whether people say its digits: a telephone number, the number of an order, "007"."""
        if self.fraction or self.is_grouped:
            return False
        length = len(self.whole)
        has_leading_zero = length > 1 and self.whole[0] == "0"
        return has_leading_zero or length > MAX_DIGITS or (length >= MIN_DIGITS_OF_A_CODE and self.whole[-3:] != "000")

    @property
    def looks_like_a_year(self) -> bool:
        return not self.fraction and not self.is_grouped and len(self.whole) == 4 and int(self.whole) in YEARS


def cardinal(number: int, language: str, gender: str = "") -> str:
    """Return the number in words; with `gender`, as it stands before a noun of that gender."""
    return _spelled(number, language, CARDINALS[gender])


def ordinal(number: int, language: str, form: str = "m") -> str:
    """Return the ordinal number in words. `form` is a gender or, in German, an ending: "n", "r" or "" for "e"."""
    if language == "de":
        return _spelled(number, language, f"spellout-ordinal-{form}" if form in ("n", "r") else "spellout-ordinal")
    return _spelled(number, language, ORDINALS[form])


def year(number: int, language: str) -> str:
    """Return the year in words. French has an older way as well, which nobody says of a year of today."""
    return _spelled(number, language, COUNTING if language == "fr" else "spellout-numbering-year")


def digits(text: str, language: str) -> str:
    """Return each digit of `text` as a word."""
    return " ".join(cardinal(int(digit), language) for digit in text if digit.isdecimal())


def integer(number: Number, language: str, gender: str = "") -> str:
    """Return a number without a fraction in words: as a year or digit by digit if it looks like that."""
    if number.looks_like_a_code:
        return digits(number.whole, language)
    if number.looks_like_a_year:
        return year(int(number.whole), language)
    return cardinal(int(number.whole), language, gender)


@lru_cache(maxsize=2048)
def _spelled(number: int, language: str, ruleset: str) -> str:
    engine = rules(language)
    names = [name for name in (ruleset, ruleset.rpartition("-")[0], COUNTING) if name in engine.rulesets]
    return engine.format_number(number, ruleset_names=names[:1]).text


@cache
def rules(language: str) -> RbnfEngine:
    """Return the rules of `language`, which take some milliseconds to read."""
    return RbnfEngine.for_language(language)
