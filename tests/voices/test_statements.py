from __future__ import annotations

import datetime

import pytest

from apps.voices.statements import (
    WORDINGS,
    Passage,
    attested_statement,
    compare,
    missing_words,
    new_code_words,
    normalise,
    spoken_statement,
    word_error,
)

WORDS = ["river", "lemon", "castle", "violin"]
STATEMENT = spoken_statement(name="Jane O’Hara", day=datetime.date(2026, 11, 23), language="en", code_words=WORDS)


def test_it_contains_name_date_purpose_and_code_words() -> None:
    assert STATEMENT == (
        "My name is Jane O’Hara. Today is the 23rd of November 2026. I allow this service to make an artificial copy "
        "of my voice and let it speak what I ask for. I can take this back at any time. My code words are river, "
        "lemon, castle and violin."
    )


@pytest.mark.parametrize(
    "heard",
    [
        STATEMENT.lower().replace(".", "").replace(",", ""),
        STATEMENT.replace("23rd", "23").replace("O’Hara", "O'Hara"),
        STATEMENT.replace("23rd", "twenty-third").replace("2026", "twenty twenty-six"),
        STATEMENT.replace("2026", "two thousand and twenty six"),
    ],
    ids=["no marks", "digits", "words", "other words"],
)
def test_another_spelling_is_no_error(heard: str) -> None:
    assert word_error(STATEMENT, heard) == 0
    assert missing_words(WORDS, heard) == []


def test_errors_are_counted_per_word() -> None:
    assert word_error(STATEMENT, STATEMENT.replace("artificial", "official")) == pytest.approx(1 / 47, abs=0.005)
    assert word_error(STATEMENT, "") == 1
    assert word_error(STATEMENT, "word " * 500) == 1


def test_two_texts_are_compared_word_by_word() -> None:
    heard = STATEMENT.replace("O’Hara", "O'Hara").replace("an artificial copy", "a copy").replace("castle and ", "")
    assert compare(STATEMENT, heard) == [
        Passage(same=True, statement=STATEMENT.partition("an ")[0].strip(), heard=heard.partition("a copy")[0].strip()),
        Passage(same=False, statement="an artificial", heard="a"),
        Passage(
            same=True,
            statement="copy of my voice and let it speak what I ask for. I can take this back at any time. "
            "My code words are river, lemon,",
            heard="copy of my voice and let it speak what I ask for. I can take this back at any time. "
            "My code words are river, lemon,",
        ),
        Passage(same=False, statement="castle and", heard=""),
        Passage(same=True, statement="violin.", heard="violin."),
    ]
    assert compare(STATEMENT, "") == [Passage(same=False, statement=STATEMENT, heard="")]


def test_numbers_of_several_words_are_compared_as_digits() -> None:
    heard = STATEMENT.replace("23rd", "twenty-third").replace("2026", "twenty twenty-six")
    [passage] = compare(STATEMENT, heard)
    assert passage.same
    assert "the 23 of november 2026" in passage.heard


@pytest.mark.parametrize("heard", ["River, lemon, castle.", "river lemon castle violins", "rivers lemon castle violin"])
def test_a_code_word_must_match_exactly(heard: str) -> None:
    assert len(missing_words(WORDS, heard)) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Twenty-three, THIRD, 2nd", "23 3 2"),
        ("thirty first of May", "31 of may"),
        ("twenty people", "20 people"),
        ("ﬁne – naïve", "fine naïve"),
    ],
)
def test_spellings_are_normalised(text: str, words: str) -> None:
    assert normalise(text) == words


@pytest.mark.parametrize("language", WORDINGS)
def test_code_words_are_different_single_words(language: str) -> None:
    words = WORDINGS[language].code_words
    assert len(set(words)) == len(words) > 64
    assert all(normalise(word) == word for word in words)
    assert len(set(new_code_words(language))) == 4


@pytest.mark.parametrize("language", WORDINGS)
def test_both_statements_contain_name_and_purpose(language: str) -> None:
    purpose = WORDINGS[language].purpose
    spoken = spoken_statement(name="Jane", day=datetime.date(2026, 1, 2), language=language, code_words=WORDS)
    for statement in (spoken, attested_statement(name="Jane", language=language)):
        assert "Jane" in statement
        assert purpose in statement
