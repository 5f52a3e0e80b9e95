"""The patterns of what is not written in words: one alternation for each language, so that nothing is read twice."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from apps.speech.normalization.vocabulary import Vocabulary, vocabulary

SPACE = "[ \u00a0\u2009\u202f]"
GAP = f"{SPACE}?"
SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
GERMAN_BEFORE_DATES = "am vom zum bis ab seit dem den der"
GERMAN_BEFORE_ORDINALS = "der die das dem den des als im am zum zur beim vom"
FRACTION_SIGNS = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅛": "1/8"}
# Languages that also group thousands with a plain space.
WITH_SPACED_THOUSANDS = {"es", "fr", "pt"}

TELEPHONE = r"""
    \+(?=(?:[ ()./-]?\d){7,15}(?![\d]))\d[\d ()./-]*\d
  | \(\d{2,5}\)[ ]?\d{3,4}[ -]?\d{3,4}
  | (?:1[-. ])?\d{3}[-.]\d{3}[-.]\d{4}
  | \d{3}-(?!\d[05]00)\d{4} | \d{3}[ ](?!19|20|\d[05]00)\d{4}
  | 0\d{1,4}(?:[ /-]\d{2,})+
  | \d{4}(?:[ ]\d{4}){2,3}
"""
ADDRESS = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}(?!\.?\d)"
VERSION = r"(?!\d{1,3}(?:\.\d{3})+(?![.\d]))\d+(?:\.\d+){2,}|[vV]\d+(?:\.\d+)+"


def _after_one_of(words: str) -> str:
    """Return a pattern for the place after one of `words` and a space."""
    return "|".join(rf"(?<=\b[{word[0].upper()}{word[0]}]{word[1:]}[ ])" for word in words.split())


# Where º is often written as °. Elsewhere that is a degree.
_DEGREE_AS_ORDINAL = (
    r"\d{1,2}°(?=[ ](?:piano|posto|anno|grado|capitolo|premio|livello|giorno|tempo|atto|turno|piso|lugar|puesto|año|día"
    r"|capítulo|andar|ano|dia|volume|tomo)\b)"
)

# Of one language: the ordinals, the dates with a month's name, and the times that are not written with a colon.
ORDINALS = {
    "en": r"\d+(?:,\d{3})*(?:st|nd|rd|th)\b",
    "de": rf"(?:{_after_one_of(GERMAN_BEFORE_ORDINALS)})\d{{1,3}}\.(?=[ ][^\W\d_])",
    "es": rf"{_DEGREE_AS_ORDINAL}|\d+\.?[ºª](?!C)|\d+\.?(?:er|ro|do|to|mo|vo|no|ra|da|ta|ma|va|na)\b",
    "fr": r"\d+(?:er|re|ère|e|ème|nd|nde)s?\b",
    "it": rf"{_DEGREE_AS_ORDINAL}|\d+\.?[ºª](?!C)",
    "pt": rf"{_DEGREE_AS_ORDINAL}|\d+\.?[ºª](?!C)",
}
TIMES = {
    "en": rf"(?P<hour_before_noon>1[0-2]|[1-9]){GAP}(?:[AaPp]\.{GAP}[Mm]\.|[AaPp][Mm]\b)",
    "de": rf"(?:[01]?\d|2[0-4])[.:][0-5]\d{GAP}Uhr\b",
    "es": rf"(?:[01]?\d|2[0-4])[.:][0-5]\d{GAP}h\b",
    "fr": rf"(?:[01]?\d|2[0-4]){GAP}h{GAP}[0-5]\d(?!\w)",
    "it": r"(?:(?<=\bore[ ])|(?<=\balle[ ])|(?<=\bdalle[ ])|(?<=\ble[ ]))(?:[01]?\d|2[0-4])\.[0-5]\d(?!\d)",
    "pt": r"(?:[01]?\d|2[0-4])h[0-5]\d(?:min)?(?!\w)",
}


def _any_of(texts: Iterable[str]) -> str:
    """Return a pattern for one of `texts`, the longest first, where a space may also be missing or a hard one."""
    ordered = sorted(texts, key=len, reverse=True)
    return "|".join(re.escape(text).replace(r"\ ", GAP) for text in ordered)


def _number(words: Vocabulary) -> str:
    if words.has_decimal_point:
        return r"(?:\d{1,3}(?:[,\u00a0\u202f]\d{3})+(?!\d)|\d+)(?:\.\d+)?"
    space = " " if words.language in WITH_SPACED_THOUSANDS else ""
    return (
        rf"(?:\d{{1,3}}(?:,\d{{3}}){{2,}}(?!\d)|"
        rf"(?:\d{{1,3}}(?:[.{space}\u00a0\u2009\u202f’']\d{{3}})+(?!\d)|\d+)(?:,\d+|\.\d+)?)"
    )


def _month_date(words: Vocabulary, months: str) -> str:
    """Return the pattern of a date in which the month has its name."""
    match words.language:
        case "en":
            end = r"(?:st|nd|rd|th)?(?![\d:]|[.,]\d)"
            year = r"(?:,?[ ](?P<{}>[12]\d{{3}})(?![\d,.]?\d))?"
            month_first = rf"(?P<month_1>{months})\.?[ ](?P<day_1>\d{{1,2}}){end}{year.format('year_1')}"
            return rf"{month_first}|(?P<day_2>\d{{1,2}})(?:st|nd|rd|th)?(?:[ ]of)?[ ](?P<month_2>{months})\b" + (
                year.format("year_2")
            )
        case "de":
            return (
                rf"(?P<day_1>\d{{1,2}})\.{GAP}(?P<month_1>{months})\b"
                rf"|(?:{_after_one_of(GERMAN_BEFORE_DATES)})(?P<day_2>\d{{1,2}})\.{GAP}(?P<month_2>1[0-2]|0?[1-9])\.(?!\d)"
            )
        case _:
            return rf"(?P<day_1>1)(?:º|°|er)?(?=[ ](?:de[ ])?(?:{months})\b)"


def _units(words: Vocabulary) -> str:
    """Return the pattern of units; a bare "s" after digits may also be a plural."""
    return _any_of(sign for sign in words.units if sign != "s")


def _quantity(words: Vocabulary) -> str:
    number, currency = _number(words), _any_of(words.currencies)
    short = _any_of(sign for sign in words.scales if len(sign) <= 2)
    long = _any_of(sign for sign in words.scales if len(sign) > 2)
    units = _units(words)
    return rf"""
        (?P<about>[~≈±]{GAP})?
        (?P<minus>(?<![^\s(~≈±])[-−](?={currency}|\d))?
        (?:(?P<currency_before>{currency}){GAP})?
        (?P<low>{number})
        (?:(?P<dash>-|{GAP}[–—]{GAP})(?:(?:{currency}){GAP})?(?P<high>{number})(?!{GAP}[=-]))?
        (?:{GAP}(?:(?P<scale>{long})|(?P<short_scale>{short})(?(currency_before)|(?={GAP}(?:{currency}))))(?![^\W\d_]))?
        (?:{GAP}(?P<currency_after>{currency})(?!\w)
          |{GAP}(?P<percent>[%‰])
          |{GAP}(?P<unit>{units}|(?<={SPACE})s)(?:/(?P<unit_below>{units}|s))?(?![\w²³º/])
        )?
        (?:/(?P<per>[^\W\d_]{{2,}}))?
        (?P<plus>\+(?![\w+]))?
    """


def _signs(words: Vocabulary) -> str:
    """Return the pattern of signs between numbers, letters of formulas and words."""
    spaced = r"(?<=[\w)²³]\ )[=+×÷≤≥≠≈<>](?=\ [\w(√π-])|(?<=\d\ )[-−–](?=\ [\d(])|(?<=[\w.]\ )&(?=\ \w)"
    tight = r"(?<=[\w)²³])[=×÷≤≥≠](?=[\w(√π-])|(?<=[\d²³])\+(?=[\w(])|(?<=\b\w)\+(?=\w\b)|√|∞|\bπ\b"
    return f"{spaced}|{tight}"


@cache
def written_forms(language: str) -> re.Pattern[str]:
    """Return the pattern of everything that has to be put in words. The name of its last group tells what it is."""
    words = vocabulary(language)
    months = _any_of(words.months) if language != "en" else _any_of(month.title() for month in words.months)
    if language == "de":
        months = _any_of(month.title() for month in words.months)
    roman, roman_ordinal = (words.words[name].replace(" ", "[ ]") for name in ("roman_numbers", "roman_ordinals"))
    return re.compile(
        rf"""
        (?<!\w)(?P<iso_date>(?P<iso_year>[12]\d{{3}})-(?P<iso_month>0[1-9]|1[0-2])
            -(?P<iso_day>0[1-9]|[12]\d|3[01]))(?![\w-])
      | (?<![\w.])(?P<date>(?P<first>\d{{1,2}})(?P<mark>[/.-])(?P<second>\d{{1,2}})(?P=mark)
            (?P<year>[12]\d{{3}}|\d\d))(?!\w|[./-]\d)
      | (?<![\w.,])(?P<telephone>{TELEPHONE})(?![\w-])
      | (?<![\w.])(?P<address>{ADDRESS})(?!\w)
      | (?<![\w.])(?P<month_date>{_month_date(words, months)})
      | (?<![\w.:])(?P<duration>\d{{1,2}}:[0-5]\d:[0-5]\d)(?![\w:])
      | (?<![\w.:])(?P<time>(?:[01]?\d|2[0-4]):[0-5]\d(?![\d:])
            (?:{GAP}(?:[AaPp]\.{GAP}[Mm]\.|[AaPp][Mm]\b|Uhr\b|h\b))?|{TIMES[language]})
      | (?P<time_range>(?<=:\d\d){GAP}[–-]{GAP}(?=\d?\d:\d\d))
      | (?<![\w.])(?P<version>{VERSION})(?!\w)
      | (?<![\w.,])(?P<ordinal>{ORDINALS[language]})
      | (?<!\w)(?P<decade>['’]?\d{{1,3}}0(?:s|er)\b|['’]\d0(?![\w'’]))
      | (?<![\w.,])(?P<fraction>(?:(?P<whole>\d*){GAP}(?P<sign>[{"".join(FRACTION_SIGNS)}])
            |(?P<over>[1-9]\d?)/(?P<under>[1-9]\d{{0,2}})(?![\d/.,]\d|\w))
            (?:{GAP}(?P<fraction_unit>{_units(words)})(?![\w²³º/]))?)
      | (?<![\w:])(?P<ratio>(?P<left>\d{{1,3}}):(?P<right>\d{{1,3}}))(?![\w:])
      | (?<!\w)(?P<dimension>\d+{GAP}x(?={GAP}\d))
      | (?P<height>(?<!\w)[3-8]['’′]1?\d["”″])
      | (?:(?<![\w.])|(?<=\dx))(?P<quantity>{_quantity(words)})(?![^\W{SUPERSCRIPTS}])
      | (?<=[^\W\d_])(?P<suffix>-\d{{1,4}})(?!\w|[.,-]\w)
      | (?P<power>(?<=[\w)])(?:\^(?:\{{[^{{}}]{{1,20}}\}}|\([^()]{{1,20}}\)|-?\w+)|⁻?[{SUPERSCRIPTS}]+))
      | (?P<number_sign>\#(?=\d))
      | (?P<roman>(?:{roman})[IVXLC]+\b)
      | (?P<roman_ordinal>\b[IVXLC]+(?:{roman_ordinal or "(?!)"}))
      | (?<=[^\W\d_]\ )(?P<currency_sign>[€£$¥₹])(?![\w-]|{GAP}\d)
      | (?P<operator>{_signs(words)})
        """,
        re.VERBOSE,
    )


@cache
def abbreviations(language: str) -> re.Pattern[str]:
    """Return the pattern of abbreviations: titles before a name, words before a number, and the others."""
    words = vocabulary(language)
    return re.compile(
        rf"(?<![\w.])(?:(?P<title>{_any_of(words.titles)})(?={GAP}(?:&|[^\W\d_a-zß-ÿ]))"
        rf"|(?P<before_number>{_any_of(words.before_number)})(?={GAP}\d)"
        rf"|(?P<abbreviation>{_any_of(words.abbreviations)})(?![\w.-]))"
    )
