from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.speech.local.reply_guard import ReplyGuard


def spoken(reply: str, *, cut: bool = False, size: int = 3, max_sentences: int | None = None) -> str:
    """Return the spoken part of `reply` if the model writes it in deltas of `size` characters."""
    guard = ReplyGuard(max_sentences=max_sentences)
    ready = ""
    for start in range(0, len(reply), size):
        ready += guard.add(reply[start : start + size])
        if guard.is_over:
            break
    return ready + guard.finish(cut=cut)


def test_the_first_sentence_passes_delta_by_delta() -> None:
    guard = ReplyGuard()
    assert [guard.add(delta) for delta in (" Hel", "lo the", "re")] == ["Hel", "lo the", "re"]


def test_a_later_sentence_passes_as_soon_as_it_is_new() -> None:
    guard = ReplyGuard()
    guard.add("How do you do? ")
    deltas = ["How", " do", " they", " see", " it?"]
    assert [guard.add(delta) for delta in deltas] == ["", "", "", " How do they see", " it?"]


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_a_complete_reply_is_not_changed(size: int) -> None:
    reply = 'Yes. I paid $3.50 for it in 2024! "Why?" Because it was cheap… See you'
    assert spoken(reply, size=size) == reply


def test_an_incomplete_sentence_at_the_end_is_dropped_if_it_may_be_a_repetition() -> None:
    assert spoken("I like tea. I like", cut=True) == "I like tea."
    assert spoken("I like tea. I also like", cut=True) == "I like tea. I also like"


def test_an_incomplete_first_sentence_is_kept() -> None:
    assert spoken("I like tea, and I also like", cut=True) == "I like tea, and I also like"


def test_a_complete_sentence_at_the_limit_is_kept() -> None:
    assert spoken('I like tea. She said: "Me too."', cut=True) == 'I like tea. She said: "Me too."'


def test_a_line_break_ends_a_sentence() -> None:
    assert spoken("My favourites:\n\ngreen tea\n\nblack tea\n\nblack tea\n\ngreen tea").split("\n\n") == [
        "My favourites:",
        "green tea",
        "black tea",
        "black tea",
        "green tea",
    ]
    assert spoken("My favourites:\n\ngood green tea\n\ngood green tea").split("\n\n")[1:] == ["good green tea"]


def test_the_number_of_a_list_is_not_a_sentence() -> None:
    assert spoken("Two things. 1. Tea is warm. 2. Coffee", cut=True) == "Two things. 1. Tea is warm."


def test_it_stops_before_a_repeated_sentence() -> None:
    assert spoken("I can help you. What do you need? I can help you! What do you need?").strip() == (
        "I can help you. What do you need?"
    )


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_it_stops_after_the_most_sentences(size: int) -> None:
    reply = "Tea is warm. 1. It is 3.50 today. Do you like it? I do."
    assert spoken(reply, size=size, max_sentences=3).strip() == "Tea is warm. 1. It is 3.50 today. Do you like it?"
    assert spoken(reply, size=size, max_sentences=9) == reply
    assert spoken("Tea is warm", size=size, max_sentences=1) == "Tea is warm"


def test_short_sentences_may_be_repeated() -> None:
    assert spoken("Oh no. Really? Oh no. What now?") == "Oh no. Really? Oh no. What now?"


def test_it_stops_at_repeated_words() -> None:
    reply = "It is fine. We go up and down " + "and up and down " * 30
    assert spoken(reply).strip() == "It is fine. We go up and down and up and down and up and down and"


def test_it_stops_at_repeated_words_in_the_first_sentence() -> None:
    assert len(spoken("banana " * 100).split()) < 12


def test_repetition_for_emphasis_is_kept() -> None:
    assert spoken("It is very, very, very good. No, no, no!") == "It is very, very, very good. No, no, no!"


@given(st.text(alphabet="ab .!?\n1", max_size=60), st.booleans(), st.integers(1, 5))
def test_nothing_is_added_or_reordered(reply: str, cut: bool, size: int) -> None:
    said = iter(reply)
    assert all(character in said for character in spoken(reply, cut=cut, size=size))
