"""Dates and times of day in words."""

from __future__ import annotations

import re

from apps.speech.normalization.numbers import YEARS, cardinal, ordinal, year
from apps.speech.normalization.vocabulary import Vocabulary

CLOCK = re.compile(r"(\d{1,2})(?:\D{1,3}(\d\d))?")
HALF_OF_DAY = re.compile(r"([AaPp])\.?\s?[Mm]\.?\Z")
DAYS, MONTHS = range(1, 32), range(1, 13)
THIS_CENTURY = 2000
# German words after which the day of a date is not "der erste", but "ersten" or "erste".
GERMAN_DATIVE = re.compile(
    r"(?:\b(?:in|an|auf|aus|bei|mit|nach|seit|unter|von|vor|während|zu) der"
    r"|\b(?:[AaIi]m|[Vv]om|[Zz]um|[Dd]e[mns]|[Bb]eim|[Zz]ur|bis|seit|ab)|tag,?(?: dem)?)\s*\Z"
)
GERMAN_ARTICLE = re.compile(r"\b[Dd](?:er|ie|as)\s*\Z")


def german_form(before: str) -> str:
    """Return the ending of an ordinal after the text `before`: "n", "r" or "" for "e"."""
    if GERMAN_DATIVE.search(before):
        return "n"
    return "" if GERMAN_ARTICLE.search(before) else "r"


def numeric_date(first: int, second: int, year_digits: str, words: Vocabulary, *, before: str) -> str:
    """Return "12/25/2025" in words; "" if it is no date. Only English may have the month first."""
    month_is_first = words.language == "en" and first in MONTHS
    day, month = (second, first) if month_is_first else (first, second)
    if day not in DAYS or month not in MONTHS:
        return ""
    years = int(year_digits) + (THIS_CENTURY if len(year_digits) == 2 else 0)
    return date(day, month, years, words, before=before)


def date(day: int, month: int, years: int | None, words: Vocabulary, *, before: str) -> str:
    """Return the date in words. `before` is the text before it, on which a German ending depends."""
    name = list(dict.fromkeys(words.months.values()))[month - 1]
    template = words.words["day_month"] if years is None else words.words["date"]
    said = "" if years is None else say_year(years, words.language)
    return template.format(day=_day(day, words, before), month=name, year=said)


def say_year(number: int, language: str) -> str:
    return year(number, language) if number in YEARS else cardinal(number, language)


def _day(day: int, words: Vocabulary, before: str) -> str:
    match words.language:
        case "en":
            return ordinal(day, "en")
        case "de":
            return ordinal(day, "de", german_form(before))
        case _:
            return words.words["first_day"] if day == 1 else cardinal(day, words.language)


def time_of_day(written: str, words: Vocabulary) -> str:
    """Return "14:30" in words."""
    clock = CLOCK.match(written)
    if clock is None:
        return written
    half = HALF_OF_DAY.search(written)
    said = _clock(int(clock[1]), int(clock[2] or 0), words, has_half=half is not None)
    return f"{said} {half[1].upper()} M" if half else said


def _clock(hour: int, minute: int, words: Vocabulary, *, has_half: bool) -> str:
    language = words.language
    gender = {"de": "m", "es": "f", "fr": "f", "it": "f" if hour == 1 else "", "pt": "f"}.get(language, "")
    said_hour = cardinal(hour, language, gender)
    if minute:
        template = words.time["small_minute" if minute < 10 else "hour_minute"]
        said = template.format(h=said_hour, m=cardinal(minute, language))
    elif language == "en" and (has_half or hour > 12):
        said = said_hour if has_half else f"{said_hour} hundred"
    else:
        said = words.time["hour"].format(h=said_hour)
    return (
        said.replace("heures", "heure")
        if hour < 2
        else said.replace("una horas", "una hora").replace("uma horas", "uma hora")
    )
