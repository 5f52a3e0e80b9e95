"""What a person says for a number, a date or a sign that stands in a text."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from apps.speech.normalization import dates
from apps.speech.normalization.numbers import Number, cardinal, digits, integer, ordinal, year
from apps.speech.normalization.patterns import FRACTION_SIGNS, SUPERSCRIPTS
from apps.speech.normalization.quantities import Quantities, text_before
from apps.speech.normalization.vocabulary import Vocabulary, vocabulary

Match = re.Match[str]

VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
LARGEST_SPOKEN_POWER = {"²": "squared", "³": "cubed", "2": "squared", "3": "cubed"}
RATED_OUT_OF = {5, 10, 20, 100}


class Reader:
    """Says what `patterns.written_forms` finds in texts of one language. Each method is named after its group."""

    def __init__(self, words: Vocabulary) -> None:
        self._words = words
        self._language = words.language
        self._quantities = Quantities(words)

    def read(self, found: Match) -> str:
        """Return `found` as it is said; unchanged if it is something else after all."""
        method: Callable[[Match], str] = getattr(self, f"_{found.lastgroup}")
        return method(found)

    def _telephone(self, found: Match) -> str:
        text = found[0]
        plus = f"{self._words.signs['+']} " if text.startswith("+") else ""
        groups = re.findall(r"\d+", text)
        in_pairs = self._language == "fr" and all(len(group) == 2 for group in groups)
        said = (self._pair(group) if in_pairs else digits(group, self._language) for group in groups)
        trailing = text[len(text.rstrip(" ()./-")) :].replace(")", "")
        return plus + ", ".join(said) + trailing

    def _pair(self, pair: str) -> str:
        return digits(pair, self._language) if pair[0] == "0" else cardinal(int(pair), self._language)

    def _iso_date(self, found: Match) -> str:
        day, month, years = int(found["iso_day"]), int(found["iso_month"]), int(found["iso_year"])
        return dates.date(day, month, years, self._words, before=text_before(found))

    def _date(self, found: Match) -> str:
        first, second = int(found["first"]), int(found["second"])
        said = dates.numeric_date(first, second, found["year"], self._words, before=text_before(found))
        if said:
            return said
        return self._version(found) if found["mark"] == "." else " ".join(map(self._integer, _numbers(found[0])))

    def _month_date(self, found: Match) -> str:
        if self._language not in ("en", "de"):
            return self._words.words["first_day"]
        groups = found.groupdict()
        day = int(found["day_1"] or found["day_2"])
        if self._language == "de" and found["month_2"]:
            return dates.date(day, int(found["month_2"]), None, self._words, before=text_before(found)) + (
                _full_stop_after(found)
            )
        month = self._words.months[(found["month_1"] or found["month_2"]).lower()]
        if self._language == "de":
            return f"{ordinal(day, 'de', dates.german_form(text_before(found)))} {month}"
        years = groups["year_1"] or groups["year_2"]
        said_year = f", {dates.say_year(int(years), 'en')}" if years else ""
        if found["day_1"]:
            return f"{month} {ordinal(day, 'en')}{said_year}"
        article = "" if re.search(r"\b[Tt]he\s\Z", text_before(found)) else "the "
        return f"{article}{ordinal(day, 'en')} of {month}{said_year}"

    def _time_range(self, _found: Match) -> str:
        return f" {self._words.words['range']} "

    def _duration(self, found: Match) -> str:
        return " ".join(map(self._integer, _numbers(found[0])))

    def _time(self, found: Match) -> str:
        return dates.time_of_day(found[0], self._words) + _full_stop_after(found)

    def _version(self, found: Match) -> str:
        letter = found[0][0] if found[0][0] in "vV" else ""
        dot = f" {self._words.words['dot']} "
        return f"{letter} {dot.join(map(self._integer, _numbers(found[0])))}".strip()

    def _address(self, found: Match) -> str:
        return f" {self._words.words['address_dot']} ".join(map(self._integer, _numbers(found[0])))

    def _ordinal(self, found: Match) -> str:
        number = int(re.sub(r"\D", "", found[0]))
        match self._language:
            case "en":
                return ordinal(number, "en")
            case "de":
                return ordinal(number, "de", dates.german_form(text_before(found)))
            case _:
                if self._language == "es" and found[0].endswith("er"):
                    return ordinal(number, "es", "adjective")
                is_feminine = found[0].endswith(("ª", "a", "re", "res", "nde"))
                return ordinal(number, self._language, "f" if is_feminine else "m")

    def _decade(self, found: Match) -> str:
        number = int("".join(filter(str.isdecimal, found[0])))
        said = year(number, self._language) if number > 1000 else cardinal(number, self._language)
        if found[0].endswith("er"):
            return f"{said}er" if self._language == "de" else found[0]
        if self._language != "en" or not found[0].endswith("s"):
            return found[0] if found[0].endswith("s") else said
        return f"{said[:-1]}ies" if said.endswith("y") else f"{said}s"

    def _fraction(self, found: Match) -> str:
        said, unit = self._fraction_alone(found), found["fraction_unit"]
        if not unit:
            return said
        is_half = (found["over"], found["under"]) == ("1", "2") or found["sign"] == "½"
        joint = " " if is_half else self._words.words["of"]
        return f"{said}{joint}{self._words.units[unit].singular}"

    def _fraction_alone(self, found: Match) -> str:
        if found["sign"]:
            return self._mixed(found, found["whole"], FRACTION_SIGNS[found["sign"]])
        over, under = int(found["over"]), int(found["under"])
        if (over, under) == (1, 2):
            return self._half(found)
        if (spoken := self._words.fractions.get(f"{over}/{under}")) is not None:
            return spoken
        joint = f" {self._words.words['out_of']} " if over < under and under in RATED_OUT_OF else " "
        return joint.join((cardinal(over, self._language), cardinal(under, self._language)))

    def _half(self, found: Match) -> str:
        unit = found["fraction_unit"]
        gender = self._words.units[unit].gender if unit else self._quantities.gender_of_next_word(found)
        return self._words.words[f"half_{gender}"] if gender else self._words.fractions["1/2"]

    def _mixed(self, found: Match, whole: str, fraction: str) -> str:
        if not whole or not int(whole):
            return self._half(found) if fraction == "1/2" else self._words.fractions[fraction]
        said = cardinal(int(whole), self._language, "m" if self._language == "de" else "")
        if fraction == "1/2":
            return said + self._words.words["mixed_half"]
        return f"{said} {self._words.signs['&']} {self._words.fractions[fraction]}"

    def _ratio(self, found: Match) -> str:
        return f" {self._words.words['ratio']} ".join(map(self._integer, (found["left"], found["right"])))

    def _suffix(self, found: Match) -> str:
        return f" {self._integer(found[0][1:])}"

    def _dimension(self, found: Match) -> str:
        space = "" if found.string[found.end()] == " " else " "
        return f"{self._integer(found[0].rstrip('x').strip())} {self._words.words['by']}{space}"

    def _height(self, found: Match) -> str:
        feet, inches = _numbers(found[0])
        return f"{self._integer(feet)} foot {self._integer(inches)}" if self._language == "en" else found[0]

    def _currency_sign(self, found: Match) -> str:
        return self._words.currencies[found[0]].major.plural

    def _power(self, found: Match) -> str:
        exponent = found[0].strip("^{}()")
        name = LARGEST_SPOKEN_POWER.get(exponent)
        if name:
            return f" {self._words.words[name]}"
        exponent = "".join(str(SUPERSCRIPTS.find(sign)) if sign in SUPERSCRIPTS else sign for sign in exponent)
        minus = f"{self._words.signs['-']} " if exponent[0] in "⁻-" else ""
        exponent = exponent.lstrip("⁻-")
        said = self._integer(exponent) if exponent.isdecimal() else exponent
        return f" {self._words.words['power']} {minus}{said}"

    def _number_sign(self, _found: Match) -> str:
        return f"{self._words.words['number']} "

    def _roman(self, found: Match) -> str:
        return cardinal(_roman_value(found[0]), self._language)

    def _roman_ordinal(self, found: Match) -> str:
        return ordinal(_roman_value(re.sub(r"[^IVXLC]", "", found[0])), self._language)

    def _operator(self, found: Match) -> str:
        sign = {"−": "-", "–": "-"}.get(found[0], found[0])
        around = found.string[found.start() - 1 : found.end() + 1]
        said = self._words.signs[sign]
        return said if around.count(" ") == 2 else f" {said} ".replace("  ", " ")

    def _quantity(self, found: Match) -> str:
        return self._quantities.read(found)

    def _integer(self, text: str) -> str:
        return integer(Number(text), self._language)


def _numbers(text: str) -> list[str]:
    return re.findall(r"\d+", text)


def _full_stop_after(found: Match) -> str:
    """Return the full stop of a sentence that ends with the one of an abbreviation, as in "at 3 p.m."."""
    if not found[0].endswith("."):
        return ""
    return "." if re.match(r"\s*\Z|\s+[^\W\d_a-zß-ÿ]", found.string[found.end() :]) else ""


def _roman_value(numeral: str) -> int:
    values = [VALUES[letter] for letter in numeral]
    following = [*values[1:], 0]
    return sum(-value if value < after else value for value, after in zip(values, following, strict=True))


@cache
def reader(language: str) -> Reader:
    return Reader(vocabulary(language))
