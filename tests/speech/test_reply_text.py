"""No reasoning and no control text of a language model passes, however its output is cut into deltas."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.speech.reply_text import MARK, ReplyText, end_of_sentences, storable

if TYPE_CHECKING:
    from collections.abc import Iterable

REPLY = "The capital of France is Paris, a city of two million people."
SECRET = "The user wants to hear a secret."

THOUGHTS = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<Thought>", "</THOUGHT>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|channel>thought\n", "<channel|>"),
]
BEFORE = [
    *[f"{opening}{SECRET}{closing}\n\n" for opening, closing in THOUGHTS],
    *[f"{opening}{SECRET}{opening}{SECRET}{closing}{SECRET}{closing}" for opening, closing in THOUGHTS],
    f"<|channel|>analysis<|message|>{SECRET}<|end|><|start|>assistant<|channel|>final<|message|>",
    f"<|channel|>commentary to=functions.secret <|constrain|>json<|message|>{SECRET}<|call|>",
    f"<|channel|>commentary<|message|>{SECRET}<|end|><|start|>assistant<|channel|>final <|constrain|>text<|message|>",
    "<|start|>assistant<|message|>",
    f"<tool_call>{SECRET}</tool_call>",
    f"<|tool_call>{SECRET}<tool_call|>",
    f"<｜tool▁calls▁begin｜>{SECRET}<｜tool▁calls▁end｜>",
    "<|im_start|>assistant\n",
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "<start_of_turn>model\n",
    "<|turn>model\n",
    "<|assistant|>\n",
    "<|im_end|>",
    "<s>",
    "[/INST] ",
    "",
]
AFTER = [
    "<|im_end|>",
    "</s>",
    "<|eot_id|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<｜end▁of▁sentence｜>",
    "<turn|>",
    "<|im_e",
    "</thin",
    f"<|im_end|>\n<|im_start|>user\n{SECRET}<|im_end|>\n<|im_start|>assistant\n{SECRET}",
    f"<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n{SECRET}",
    f"</s>[INST] {SECRET} [/INST]",
    f"<|return|><|start|>user<|message|>{SECRET}",
    f"<|user|>\n{SECRET}",
    f"[TOOL_CALLS]{SECRET}",
    f"<think>{SECRET}",
    f"<|python_tag|>{SECRET}",
    "",
]
PIECES = st.sampled_from(
    [
        *[part for thought in THOUGHTS for part in thought],
        *["<|im_start|>", "<|im_end|>", "<|channel|>", "<|message|>", "<|start|>", "<|end|>", "assistant", "final"],
        *[
            "user\n",
            "model\n",
            "<s>",
            "</s>",
            "<<SYS>>",
            "[INST]",
            "[/INST]",
            "<|",
            "|>",
            "<",
            ">",
            "[",
            "think",
            "\x00",
        ],
        *["\ud83d", "\ude00", " ", "\n", "<b>", "a < b", "Hello", "Good day, my friend. "],
    ]
)
CUTS = st.lists(st.integers(1, 12), min_size=1, max_size=30)


def passed(deltas: Iterable[str], *, is_cut: bool = False, reasons_first: bool = False) -> str:
    text = ReplyText(reasons_first=reasons_first)
    return "".join([text.add(delta) for delta in deltas]) + text.finish(is_cut=is_cut)


def cut(text: str, lengths: list[int]) -> list[str]:
    """Cut `text` into deltas of these lengths, over and over."""
    deltas: list[str] = []
    while text:
        length = lengths[len(deltas) % len(lengths)]
        deltas.append(text[:length])
        text = text[length:]
    return deltas


@given(before=st.sampled_from(BEFORE), after=st.sampled_from(AFTER), lengths=CUTS)
def test_only_the_reply_passes(before: str, after: str, lengths: list[int]) -> None:
    assert passed(cut(before + REPLY + after, lengths)).strip() == REPLY


@given(pieces=st.lists(PIECES, max_size=12), lengths=CUTS)
def test_what_passes_does_not_depend_on_the_cuts_and_contains_no_mark(pieces: list[str], lengths: list[int]) -> None:
    output = "".join(pieces)
    whole = ReplyText()
    expected = whole.add(output) + whole.finish()
    assert not MARK.search(expected)
    assert not re.search(r"[\x00\ud800-\udfff]", expected)
    if not whole.began_unopened:
        assert passed(cut(output, lengths)) == expected


@given(lengths=CUTS)
def test_reasoning_that_no_mark_opens_is_left_out_where_it_is_expected(lengths: list[int]) -> None:
    deltas = cut(f"{SECRET}\n</think>\n\n{REPLY}", lengths)
    assert passed(deltas, reasons_first=True) == REPLY
    assert passed(cut(REPLY, lengths), reasons_first=True) == REPLY
    assert passed(cut(SECRET, lengths), reasons_first=True, is_cut=True) == ""


@pytest.mark.parametrize(
    "text",
    [
        "If a < b and b > c, then I <3 you.",
        "Use <b>bold</b> or <em>emphasis</em>, and [brackets] or [THIS].",
        "x <| y |> z, and a | b",
        "Think first. The analysis is final, assistant.",
        "A list:\n\n1. One\n2. Two",
        "\N{GRINNING FACE} 今日は。",
    ],
)
def test_ordinary_text_passes_as_it_is(text: str) -> None:
    assert passed(text) == passed([text]) == text


def test_a_word_passes_at_once() -> None:
    text = ReplyText()
    assert [text.add(delta) for delta in ["\n", "The", " capital", " <", "i>of"]] == [
        "",
        "The",
        " capital",
        " ",
        "<i>of",
    ]


def test_a_mark_within_a_text_leaves_a_space() -> None:
    """Otherwise what is left of both sides could be a mark."""
    assert passed(["Hello<|x|>world <th<s>ink>"]) == "Hello world <th ink>"


@pytest.mark.parametrize(
    "hostile",
    ["<", "<|", "<|a", "[", "[/", "◁", "<think>", "</think>", "<|im_start|>", "<|start|>a", "\ud83d", "<a", "a.", "\n"],
)
def test_the_time_is_proportional_to_the_length(hostile: str) -> None:
    output = hostile * (200_000 // len(hostile))
    began = time.process_time()
    passed(output[start : start + 7] for start in range(0, len(output), 7))
    passed([output])
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("Paris\x00.", "Paris."),
        ("\ud83d\ude00", "\N{GRINNING FACE}"),
        ("\ude00\ud83d.", "."),
        ("Line\nfeed\t.", "Line\nfeed\t."),
    ],
)
def test_what_cannot_be_stored_is_left_out(text: str, stored: str) -> None:
    assert storable(text) == stored


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("One. Two", "One."),
        ("One two", ""),
        ("Wait… what", "Wait…"),
        ("1. One", ""),
        ("一。二", "一。"),
        ("“Go!” he", "“Go!”"),
    ],
)
def test_whole_sentences_end_before_the_rest(text: str, end: str) -> None:
    assert text[: end_of_sentences(text)] == end
