"""Numbers, money, dates and abbreviations in words."""

from __future__ import annotations

import json
import re
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.speech.normalization.spoken_form import spoken_form
from apps.speech.normalization.text import in_words, warm_up
from apps.speech.normalization.vocabulary import LANGUAGES, vocabulary
from apps.speech.spoken_language import likely_language

# Fifty sentences in five languages, each with what a person says who reads it aloud.
SENTENCES: dict[str, dict[str, str]] = json.loads(
    (Path(__file__).parents[1] / "data" / "spoken_numbers.json").read_text(encoding="utf-8")
)
EACH_SENTENCE = [(language, written) for language, sentences in SENTENCES.items() for written in sentences]

FORMS = {
    "en": {
        "$1, $1.01, $0.99 and -$5": "one dollar, one dollar and one cent, ninety-nine cents and minus five dollars",
        "€3.5 billion, £2m, $10k, US$ 20, 100 USD": (
            "three point five billion euros, two million pounds, ten thousand dollars, twenty dollars, "
            "one hundred dollars"
        ),
        "$5-$10, $5–10, $5/month": "five to ten dollars, five to ten dollars, five dollars per month",
        "the 21st of March, on July 4th, 4 July 2020, Dec. 2023": (
            "the twenty-first of March, on July fourth, the fourth of July, twenty twenty, December twenty twenty-three"
        ),
        "2025-12-25, 12/25/2025 and 31/12/1999": (
            "December twenty-fifth, twenty twenty-five, December twenty-fifth, twenty twenty-five and December "
            "thirty-first, nineteen ninety-nine"
        ),
        "in 1905, in 2007, the 1990s, the '90s": (
            "in nineteen oh-five, in two thousand seven, the nineteen nineties, the nineties"
        ),
        "at 12 am, 3:05 p.m., 15:00 or 10:30:15": (
            "at twelve A M, three oh five P M, fifteen hundred or ten thirty fifteen"
        ),
        "I left at 3 p.m. Then I ate.": "I left at three P M. Then I ate.",
        "555-0100, (555) 123-4567, +49 30 1234567": (
            "five five five, zero one zero zero, five five five, one two three, four five six seven, "
            "plus four nine, three zero, one two three four five six seven"
        ),
        "007, 12345678 and 1000000": "zero zero seven, one two three four five six seven eight and one million",
        "Python 3.11, v2.0.1, 2.0.1 and 10.0.0.1": (
            "Python three point eleven, v two point zero point one, two point zero point one and ten dot zero dot zero "
            "dot one"
        ),
        "COVID-19, F-16 and mid-1990s": "COVID nineteen, F sixteen and mid-nineteen nineties",
        "5–10 km/h, 20 °C, 5°, 10-20%, 0.5 %": (
            "five to ten kilometers per hour, twenty degrees Celsius, five degrees, ten to twenty percent, "
            "zero point five percent"
        ),
        "won 3-1 or 3:2, 2019-2023, a 5-year plan": (
            "won three to one or three to two, twenty nineteen to twenty twenty-three, a five-year plan"
        ),
        "1/2, 2/3, 1½ cups, 8/10, 24/7": (
            "one half, two thirds, one and a half cups, eight out of ten, twenty-four seven"
        ),
        "10 - 3 = 7, 2 × 3, 5 < 6, 2^3, x² + 10^-6": (
            "ten minus three equals seven, two times three, five is less than six, two cubed, x squared plus ten to "
            "the power of minus six"
        ),
        "1920x1080, 100 m², 5'10\", ~5, 18+, #1": (
            "nineteen twenty by one thousand eighty, one hundred square meters, five foot ten, about five, "
            "eighteen plus, number one"
        ),
        "30 km/s, $0.05/min, call 911, from 9:00–17:30, 20/20": (
            "thirty kilometers per second, five cents per minute, call nine one one, from nine o'clock to seventeen "
            "thirty, twenty twenty"
        ),
        "Mr. & Mrs. Lee, e.g. here, etc.": "Mister and Missus Lee, for example here, et cetera.",
    },
    "de": {
        "1 Tag, 1 Stunde, 1 Uhr, 1 %, 1 €, 1 Mio. €": (
            "ein Tag, eine Stunde, ein Uhr, ein Prozent, ein Euro, eine Million Euro"
        ),
        "€ 12,50, 12.50 CHF, 12.000,50 €": ("zwölf Euro fünfzig, zwölf Franken fünfzig, zwölftausend Euro fünfzig"),
        "der 3. Oktober, am 3. Oktober, 3. Oktober 1990, am 3.11.": (
            "der dritte Oktober, am dritten Oktober, dritter Oktober neunzehnhundertneunzig, am dritten November."
        ),
        "im 21. Jahrhundert, das 1. Mal, die 90er": "im einundzwanzigsten Jahrhundert, das erste Mal, die neunziger",
        "in der 2. Auflage, die 2. Auflage, 1/4 l Milch, 1 Mrd.": (
            "in der zweiten Auflage, die zweite Auflage, ein Viertel Liter Milch, eine Milliarde."
        ),
        "Das war 1. Dann kam 2.": "Das war eins. Dann kam zwei.",
        "Version 3.11, 3,14, 1½ Liter, 2³": (
            "Version drei Punkt elf, drei Komma eins vier, eineinhalb Liter, zwei hoch drei"
        ),
        "08:05 Uhr, 20.15 Uhr": "acht Uhr fünf, zwanzig Uhr fünfzehn",
        "u.a. Dr. Alt, bzw. Nr. 7, usw.": "unter anderem Doktor Alt, beziehungsweise Nummer sieben, und so weiter.",
    },
    "es": {
        "1 libra, 21 personas, 200 casas, 31 días": (
            "una libra, veintiuna personas, doscientas casas, treinta y un días"
        ),
        "$1.500, $1,500 y 1,5 millones de €": (
            "mil quinientos dólares, mil quinientos dólares y uno coma cinco millones de euros"
        ),
        "El 3er piso, la 2.ª vez, a la 1": "El tercer piso, la segunda vez, a la una",
        "a las 9:05, a las 13:00, a las 3:30 p. m.": (
            "a las nueve y cinco, a las trece, a las tres treinta de la tarde."
        ),
    },
    "fr": {
        "1 personne, 21 h, 80 %, 200 €": "une personne, vingt-et-une heures, quatre-vingts pour cent, deux cents euros",
        "2 M€, 1,50 €, 10 000 fois": "deux millions d'euros, un euro cinquante, dix mille fois",
        "le 1er mai, la 2e fois, 0h30, 14/07/1789": (
            "le premier mai, la deuxième fois, zéro heure trente, quatorze juillet mille sept cent quatre-vingt-neuf"
        ),
    },
    "it": {
        "1 persona, 21 persone, 1° maggio, 3ª volta": "una persona, ventuno persone, primo maggio, terza volta",
        "3° piano, 25° fuori, 1/4 kg, ½ l": "terzo piano, venticinque gradi fuori, un quarto di chilo, mezzo litro",
        "3,5%, 100.000 euro, gli anni '90": "tre virgola cinque per cento, centomila euro, gli anni novanta",
    },
    "pt": {
        "2 pessoas, 1 hora, 2 dias": "duas pessoas, uma hora, dois dias",
        "R$ 1.234,56 às 14h30 de 1 de maio": (
            "mil duzentos e trinta e quatro reais e cinquenta e seis centavos às catorze e trinta de primeiro de maio"
        ),
        "o século XIX, a 2ª, 1/2 xícara": "o século dezenove, a segunda, meia xícara",
    },
}

UNCHANGED = [
    "MP3, H2O, A4, 5G, B2B, GPT-4o and IPv6.",
    "C++, R&D, AT&T and and/or.",
    "Louis XIV and Vitamin C, I see.",
    "well-known, e-mail, Tom's and no one.",
    "He is no. Mt Everest. Co.",
]


@pytest.mark.parametrize(("language", "written"), EACH_SENTENCE)
def test_a_sentence_is_put_in_words(language: str, written: str) -> None:
    assert in_words(written, language) == SENTENCES[language][written]


@pytest.mark.parametrize(("language", "written"), EACH_SENTENCE)
def test_its_language_is_told_from_the_sentence_alone(language: str, written: str) -> None:
    assert spoken_form(written, provider="local") == SENTENCES[language][written]


@pytest.mark.parametrize(("language", "written"), [(key, each) for key, forms in FORMS.items() for each in forms])
def test_each_form_is_said_as_a_person_would_say_it(language: str, written: str) -> None:
    assert in_words(written, language) == FORMS[language][written]


@pytest.mark.parametrize("written", UNCHANGED)
def test_what_looks_like_a_number_or_an_abbreviation_stays(written: str) -> None:
    assert in_words(written, "en") == written


@pytest.mark.parametrize("written", ["Het kost 5 euro.", "Это стоит 5 рублей.", "要5元。", "Kosztuje to 5 złotych."])
def test_a_language_without_words_for_it_stays(written: str) -> None:
    assert spoken_form(written, provider="local") == written
    assert in_words("5 km", "nl") == "5 km"


def test_the_expected_language_decides_where_a_sentence_does_not_tell() -> None:
    assert spoken_form("3,5 %", provider="local", language="de") == "drei Komma fünf Prozent"
    assert spoken_form("3,5 %", provider="local", previous_text="Das sind die Zinsen.") == "drei Komma fünf Prozent"
    assert spoken_form("3.5 %", provider="local") == "three point five percent"
    assert spoken_form("It is 5 km.", provider="local", language="nl") == "It is 5 km."


def test_a_sentence_in_another_language_than_the_expected_one_is_read_in_its_own() -> None:
    assert spoken_form("Der Zug kostet 5 €.", provider="local", language="en") == "Der Zug kostet fünf Euro."


@pytest.mark.parametrize(
    ("provider", "model", "reads"),
    [
        ("elevenlabs", "eleven_flash_v2_5", False),
        ("elevenlabs", "eleven_turbo_v2_5", False),
        ("elevenlabs", "eleven_multilingual_v2", True),
        ("local", "eleven_multilingual_v2", False),
        ("pocket", "eleven_multilingual_v2", False),
        ("server", "eleven_multilingual_v2", False),
    ],
)
def test_only_voices_that_misread_numbers_get_words(
    settings: pytest.FixtureRequest, provider: str, model: str, reads: bool
) -> None:
    settings.ELEVENLABS_TTS_MODEL = model  # type: ignore[attr-defined]
    assert (spoken_form("It is 5 km.", provider=provider) == "It is 5 km.") == reads


@pytest.mark.parametrize(
    ("text", "language"), [("Het kost 5 euro.", "nl"), ("Det koster 5 kroner.", "da"), ("42", "en")]
)
def test_the_language_may_be_any(text: str, language: str) -> None:
    assert likely_language(text) == language


def test_every_language_has_the_same_words() -> None:
    names = {language: vocabulary(language).words.keys() for language in LANGUAGES}
    assert sorted(LANGUAGES) == ["de", "en", "es", "fr", "it", "pt"]
    assert all(keys == names["en"] for keys in names.values())
    for language in LANGUAGES:
        assert vocabulary(language).signs.keys() == vocabulary("en").signs.keys()
        assert vocabulary(language).fractions.keys() == vocabulary("en").fractions.keys()
        assert vocabulary(language).currencies.keys() == vocabulary("en").currencies.keys()
        assert len(set(vocabulary(language).months.values())) == 12


LANGUAGE = st.sampled_from(sorted(LANGUAGES))
SIGNS = "0123456789 .,:;-–/+%°$€£~#^'\"()=<>x½²³ªº&\n\u00a0aBßé的ไ\u0301"
FORMS_IN_PARTS = (
    "12|1999|2025|3rd|21.|Uhr|km|km/h|°C|p.m.|am|März|March |de enero|Mio.|million|h30|Dr. |z. B.|n.º|XIV|siglo |'90s"
)
PIECES = st.sampled_from([*SIGNS, *FORMS_IN_PARTS.split("|")])


@settings(deadline=None, max_examples=1500)
@given(LANGUAGE, st.lists(PIECES, max_size=25).map("".join) | st.text(max_size=40))
def test_no_text_makes_it_fail_or_adds_control_characters(language: str, text: str) -> None:
    spoken = in_words(text, language)
    controls = {character for character in spoken if unicodedata.category(character) in ("Cc", "Cf", "Cs")}
    assert controls <= set(text)
    assert not set("<>[]\\`*|{}") & (set(spoken) - set(text))


WORD = st.text(st.characters(categories=["Ll", "Lo", "Mn"]), min_size=2, max_size=10).filter(str.isalpha)


@settings(deadline=None)
@given(LANGUAGE, st.lists(st.tuples(WORD, st.sampled_from([*"  ,.!?;:", " – ", " "])).map("".join), max_size=12))
def test_plain_words_stay_as_they_are(language: str, words: list[str]) -> None:
    known = vocabulary(language).abbreviations
    prose = " ".join(word for word in words if not any(abbreviation in f"{word}." for abbreviation in known))
    assert in_words(prose, language) == prose


@settings(deadline=None)
@given(
    LANGUAGE, st.lists(WORD.filter(lambda word: len(word) > 6) | st.from_regex(r"\d{1,6}", fullmatch=True), max_size=12)
)
def test_no_word_around_a_number_is_lost(language: str, words: list[str]) -> None:
    spoken = in_words(" ".join(words), language)
    kept = re.finditer(r"\S+", spoken)
    for word in words:
        if not word[0].isdecimal():
            assert any(found[0] == word for found in kept)


@pytest.mark.parametrize(
    "text", ["1", "1.", "1,", "1-", "1/", "1:", "1 ", "$", "(1", "^1", "+1", "x1 ", "XIV ", "1.1.", "é1"]
)
@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_no_text_makes_it_slow(language: str, text: str) -> None:
    start = time.process_time()
    in_words(text * (10_000 // len(text)), language)
    assert time.process_time() - start < 0.5


def test_a_segment_takes_less_than_a_millisecond() -> None:
    warm_up()
    start = time.process_time()
    for language, written in EACH_SENTENCE:
        spoken_form(written, provider="local", language=language, previous_text=written)
    assert (time.process_time() - start) / len(EACH_SENTENCE) < 0.001
