"""Amounts in words: plain numbers and ranges, with a currency, a unit or a per cent sign."""

from __future__ import annotations

import re

from apps.speech.normalization.numbers import MAX_DIGITS, Number, cardinal, digits, integer
from apps.speech.normalization.vocabulary import Noun, Vocabulary

Match = re.Match[str]

VERSION_BEFORE = re.compile(
    r"\b(?:[Vv]ersi[oóã]\w*|[Rr]elease|Python|Django|Node|PHP|Java|Ruby|Go|iOS|macOS|Android|Windows|Ubuntu|Debian"
    r"|Firefox|Chrome|PostgreSQL|GPT|Claude|Gemini|Llama|Bluetooth|USB|HTTP|TLS)[ -]\Z"
)
CODE_BEFORE = re.compile(
    r"\b(?:[Cc]all|[Dd]ial|[Nn]otruf|[Ww]ähle|[Mm]arque el|[Ll]lame al|[Cc]omposez le|[Aa]ppelez le|[Cc]hiama il"
    r"|PIN|ZIP|[Cc]ode|[Cc]ódigo|[Cc]odice) \Z"
)
NEXT_WORD = re.compile(r"[ \u00a0]([^\W\d_]+)")
AMERICAN_THOUSANDS = re.compile(r"\d{1,3},\d{3}")
ENGLISH_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3}){2,}(?:\.\d+)?")
DECIMAL_POINT = re.compile(r"\d+\.(?:\d\d?|\d{4,})|\d{4,}\.\d+")
SINGULAR_BELOW_TWO = {"fr", "pt"}
# These are nouns, with "of" before what is counted: "millones de euros", but "mil euros".
SHORTEST_NOUN_OF_SCALE = 6
VOWELS = "aeiouyhé"


class Quantities:
    """Says amounts in one language."""

    def __init__(self, words: Vocabulary) -> None:
        self._words = words
        self._language = words.language
        self._feminine = re.compile(words.words["feminine"] or r"(?!)")
        self._no_noun = re.compile(words.words["no_noun"] or r"(?!)")

    def read(self, found: Match) -> str:
        """Return the group "quantity" of `patterns.written_forms` in words."""
        about = found["about"]
        parts = [
            self._words.signs[about[0].replace("~", "≈")] if about else "",
            self._words.signs["-"] if found["minus"] else "",
            *self._numbers(found),
            self._per(found["per"] or found["unit_below"]),
            self._words.signs["+"] if found["plus"] else "",
        ]
        return " ".join(filter(None, parts)) + self._full_stop(found)

    def _per(self, written: str | None) -> str:
        if not written:
            return ""
        unit = self._words.units.get(written)
        return f"{self._words.words['per']} {unit.singular if unit else written}"

    @staticmethod
    def _full_stop(found: Match) -> str:
        """Return the full stop of a text that ends with the one of an abbreviation."""
        return "." if found[0].endswith(".") and found.end() == len(found.string) else ""

    def _numbers(self, found: Match) -> list[str]:
        """Return the number or the range, and what is counted."""
        currency = found["currency_before"] or found["currency_after"]
        low = self._parse(found["low"], currency)
        if not found["high"]:
            return self._counted(low, found, currency)
        high = self._parse(found["high"], currency)
        is_ratio = found["dash"] == "-" and low.value >= high.value and not currency and not low.looks_like_a_year
        first = self._plain(low, found, self._gender(self._noun(found, currency)))
        return [first, self._words.words["ratio" if is_ratio else "range"], *self._counted(high, found, currency)]

    def _counted(self, number: Number, found: Match, currency: str | None) -> list[str]:
        scale = self._words.scales.get(found["scale"] or found["short_scale"] or "", "")
        noun = self._noun(found, currency)
        if scale:
            return self._scaled(number, scale, noun, found["percent"])
        if currency:
            return [self._money(number, currency)]
        if found["percent"]:
            gender = "m" if self._language == "de" else ""
            return [self._amount(number, gender), self._words.signs[found["percent"]]]
        if noun:
            return [self._amount(number, noun.gender), self._name(noun, number)]
        return [self._plain(number, found, self._gender_before_noun(found, number))]

    def _noun(self, found: Match, currency: str | None) -> Noun | None:
        if currency:
            return self._words.currencies[currency].major
        written = found["unit"]
        return self._words.units[re.sub(r"\s", " ", written)] if written else None

    def _gender(self, noun: Noun | None) -> str:
        """Return the gender of the first number of a range, which no noun follows."""
        return noun.gender if noun and self._language not in ("de", "en") else ""

    def _scaled(self, number: Number, scale: str, noun: Noun | None, percent: str | None) -> list[str]:
        said = [self._amount(number, "f" if self._language == "de" and scale[0].isupper() else "m"), scale]
        if number.value == 1 and scale in ("Millionen", "Milliarden"):
            said = ["eine", scale[:-2] if scale == "Millionen" else scale[:-1]]
        if noun is None:
            return [*said, self._words.signs[percent]] if percent else said
        of = self._words.words["of"].strip() if len(scale) >= SHORTEST_NOUN_OF_SCALE else ""
        if self._language == "fr" and of and noun.plural[0] in VOWELS:
            return [*said, f"d'{noun.plural}"]
        return [*said, of, noun.plural]

    def _money(self, number: Number, currency: str) -> str:
        major, minor = self._words.currencies[currency]
        if len(number.fraction) != 2:
            return f"{self._amount(number, major.gender)} {self._name(major, number)}"
        cents = Number(str(int(number.fraction)))
        coins = f"{self._amount(cents, minor.gender)} {self._name(minor, cents)}"
        whole = Number(number.whole)
        said = f"{self._amount(whole, major.gender)} {self._name(major, whole)}"
        if not cents.value:
            return said
        if not whole.value:
            return coins
        joint = self._words.words["and"]
        return f"{said} {joint} {coins}" if joint else f"{said} {self._amount(cents, '')}"

    def _name(self, noun: Noun, number: Number) -> str:
        if self._language in SINGULAR_BELOW_TWO:
            return noun.singular if number.value < 2 else noun.plural
        return noun.singular if number.whole == "1" and not number.fraction else noun.plural

    def _amount(self, number: Number, gender: str) -> str:
        """Return a number that is no year and no code."""
        if number.fraction:
            point = self._words.words["point"]
            return f"{cardinal(int(number.whole), self._language)} {point} {digits(number.fraction, self._language)}"
        if len(number.whole) > MAX_DIGITS:
            return digits(number.whole, self._language)
        return cardinal(int(number.whole), self._language, gender)

    def _plain(self, number: Number, found: Match, gender: str) -> str:
        if not number.fraction and CODE_BEFORE.search(text_before(found)):
            return digits(number.whole, self._language)
        if number.fraction and VERSION_BEFORE.search(text_before(found)):
            parts = (integer(Number(part), self._language) for part in (number.whole, number.fraction))
            return f" {self._words.words['dot']} ".join(parts)
        if number.fraction or found["about"] or found["minus"]:
            return self._amount(number, gender)
        return integer(number, self._language, gender)

    def _gender_before_noun(self, found: Match, number: Number) -> str:
        if number.fraction or (self._language == "it" and number.value != 1):
            return ""
        if self._language == "es" and re.search(r"\b[Ll]a \Z", text_before(found)):  # "a la 1"
            return "f"
        return self.gender_of_next_word(found)

    def gender_of_next_word(self, found: Match) -> str:
        """Return the gender of the noun that follows `found`, or "" if none does."""
        following = NEXT_WORD.match(found.string, found.end())
        if following is None or self._language == "en":
            return ""
        word = following[1]
        if word in self._words.months.values() or self._no_noun.fullmatch(word):
            return ""
        return "f" if self._feminine.fullmatch(word) else "m"

    def _parse(self, text: str, currency: str | None) -> Number:
        whole, fraction = text, ""
        if self._words.has_decimal_point or ENGLISH_THOUSANDS.fullmatch(text) or DECIMAL_POINT.fullmatch(text):
            whole, _, fraction = text.partition(".")
        elif not (currency and "$" in currency and AMERICAN_THOUSANDS.fullmatch(text)):
            whole, _, fraction = text.partition(",")
        plain = re.sub(r"\D", "", whole)
        return Number(plain, fraction, is_grouped=plain != whole)


def text_before(found: Match) -> str:
    """Return the end of the text before `found`."""
    return found.string[max(0, found.start() - 20) : found.start()]
