"""The words that numbers, dates and signs have in each language: `words/`, one file for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).with_name("words")
LANGUAGES = frozenset(path.stem for path in FOLDER.glob("*.json"))


class Noun(NamedTuple):
    """What is counted. `gender` is "m" (or neuter) or "f"."""

    singular: str
    plural: str
    gender: str = "m"


class Currency(NamedTuple):
    major: Noun
    minor: Noun


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of one language. The keys of the mappings are as written, the values as spoken.

    `words` has the single words and templates by their names in the file. `months` has full names and abbreviations
    as keys, in lower case.
    """

    language: str
    words: Mapping[str, str]
    time: Mapping[str, str]
    signs: Mapping[str, str]
    fractions: Mapping[str, str]
    months: Mapping[str, str]
    currencies: Mapping[str, Currency]
    scales: Mapping[str, str]
    units: Mapping[str, Noun]
    titles: Mapping[str, str]
    abbreviations: Mapping[str, str]
    before_number: Mapping[str, str]

    @property
    def has_decimal_point(self) -> bool:
        return self.words["decimal_sign"] == "."


@cache
def vocabulary(language: str) -> Vocabulary:
    """Return the words of `language`, one of LANGUAGES."""
    read: dict[str, Any] = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return Vocabulary(
        language=language,
        words={name: value for name, value in read.items() if isinstance(value, str)},
        time=read["time"],
        signs=read["signs"],
        fractions=read["fractions"],
        months=_months(read["months"].split(), read["short_months"].split()),
        currencies={
            sign: _currency(names.split("|")) for signs, names in read["currencies"].items() for sign in signs.split()
        },
        scales=read["scales"],
        units={sign: Noun(*names.split("|")) for sign, names in read["units"].items()},
        titles=read["titles"],
        abbreviations=read["abbreviations"] | _capitalised(read["abbreviations"]),
        before_number=read["before_number"] | _short_months(read["months"].split(), read["short_months"].split()),
    )


def _months(names: list[str], short: list[str]) -> dict[str, str]:
    spellings = {name.lower(): name for name in names}
    return spellings | {abbreviation.lower(): name for abbreviation, name in zip(short, names, strict=True)}


def _short_months(names: list[str], short: list[str]) -> dict[str, str]:
    """Return the abbreviations of months with their full stop."""
    return {f"{abbreviation}.": name for abbreviation, name in zip(short, names, strict=True) if abbreviation != name}


def _currency(names: list[str]) -> Currency:
    singular, plural, minor_singular, minor_plural, *gender = names
    return Currency(Noun(singular, plural, *gender), Noun(minor_singular, minor_plural))


def _capitalised(abbreviations: Mapping[str, str]) -> dict[str, str]:
    """Return the abbreviations as they stand at the beginning of a sentence."""
    return {
        written[0].upper() + written[1:]: spoken[0].upper() + spoken[1:]
        for written, spoken in abbreviations.items()
        if written[0].islower()
    }
