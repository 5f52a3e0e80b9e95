"""Turns the text of a language model into words to speak: no Markdown, no addresses, no emoji."""

from __future__ import annotations

import re
from collections.abc import Callable

CODE_BLOCK = "Code block."

# Each pattern matches within one line and has bounded repetitions, so that no text makes it slow.
LINK_TEXT = r"!?\[([^\[\]\n]{0,300})"
LINK_TARGET = r"\((?:[^()\n]|\([^()\n]{0,100}\)){0,300}"
LINK = rf"{LINK_TEXT}\]{LINK_TARGET}\)"
CODE = r"(?<!`)`([^`\n]{1,300})`(?!`)"
TAG = r"<[a-zA-Z/!][^<>\n]{0,300}>"
BRACKETS = r"\[[^\[\]\n]{0,60}\]"
# With no word before it, as in "[whispers] Come in." Within a sentence, brackets are an editor's, as in "[not]".
STAGE_DIRECTION = r"(?<![^\W_])(?<![^\W_] )(?<!\\)\[ ?[^\W\d_][^\[\]\n]{0,60}\](?!\() ?"

HOST = r"[a-zA-Z0-9\u00c0-\u024f-]+(?:\.[a-zA-Z0-9\u00c0-\u024f-]+)*"
URL = rf"\b[a-zA-Z]{{2,12}}://(?:[^\s/@]{{1,100}}@)?(?:www\.)?({HOST})(?::\d+)?(?:[/?#][!-~]*(?<=[\w/=&#-]))?"
EMAIL = rf"(?:\bmailto:)?\b([\w.+-]{{1,64}}@{HOST})"
# Includes symbols, dingbats, boxes and blocks, but not the sharp and flat signs and the digits in circles.
PICTURE = "\U0001f000-\U0001faff\u2300-\u23ff\u2500-\u266c\u2670-\u2767\u2794-\u27bf\u2b00-\u2bff"
EMOJI = rf"(?:[{PICTURE}][\u200d\ufe0e\ufe0f\u20e3\U000e0020-\U000e007f]*|[\ufe0f\u20e3])+"
IDEOGRAPHS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"


def _say_code(code: re.Match[str]) -> str:
    return re.sub(r"[<>\[\]|]+", " ", code[1])


def _say_address(address: re.Match[str]) -> str:
    return address[1].replace(".", " dot ").replace("@", " at ")


def _say_nothing(emoji: re.Match[str]) -> str:
    return " " if emoji["before_word"] is not None else ""


RULES: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(pattern, flags), spoken)
    for pattern, flags, spoken in (
        (r"[^\S\n]+", 0, " "),
        # Lines: fenced code; rules, and the second line of a table; the marks of quotes, items, headings and rows.
        (r"(?<=\n) ?(```|~~~)[^\n`]*\n.*?(?:(?<=\n) ?\1 ?(?=\n|\Z)|\Z)", re.DOTALL, CODE_BLOCK),
        (r"(?<=\n) ?[-*_=|:][-*_=|: ]+(?=\n|\Z)", 0, ""),
        (r"(?<=\n) ?(?:> ?)*(?:[-*•‣–—] (?:\[[ xX]\] )?|#{1,6} |\| ?)?", 0, ""),
        (r" ?\| ?(?=\n|\Z)", 0, ""),
        # Words. The rule for links runs twice, because an image within a link leaves a link.
        (CODE, 0, _say_code),
        (LINK, 0, r"\1"),
        (LINK, 0, r"\1"),
        (r"<([^\s<>]{1,300}[@:][^\s<>]{1,300})>", 0, r"\1"),
        (r"</?(?:br|p|li|div|td|th|tr|h[1-6])\b[^<>\n]{0,300}>", re.IGNORECASE, " "),
        # A tag within a tag leaves a tag.
        (TAG, 0, ""),
        (TAG, 0, ""),
        (TAG, 0, ""),
        (STAGE_DIRECTION, 0, ""),
        (URL, re.ASCII, _say_address),
        (EMAIL, re.ASCII, _say_address),
        # Signs: of tables and steps, of formulas, of emphasis and code.
        (r" ?(?:\||→|⇒|⟶|[-=]{1,3}>)[ |]*", 0, ", "),
        (r"\\[()\[\]]|\$\$|\\(?=\S)", 0, ""),
        (r"\$([^\s\d$][^\s$]*)\$", 0, r"\1"),
        (r"(?<=\d) ?\* ?(?=\d)", 0, " × "),
        (r"(?<=[^\W_])_+(?=[^\W_])", 0, " "),
        (r"(?<!\w)#+(?!\d)|[*_`~]|(?<! )>|>(?! )", 0, ""),
        (rf" ?{EMOJI}(?P<before_word>\s*+(?=\w))?", 0, _say_nothing),
        # What is left of markup for voices. After the rules that could join it, as in "<*break>": no square bracket and
        # no "<" before a name reaches a voice, however deep it was nested, and wherever a segment ends.
        (r"(?<=\w)[\[\]]+(?=\w)", 0, " "),
        (r"[\[\]]+", 0, ""),
        (r" ?(?<!<)<++(?=[a-zA-Z/!?])", 0, " < "),
        # Without a mark at its end, a heading or an item would run into the next line.
        (rf"(?<=[{IDEOGRAPHS}]) ?\n", 0, "。\n"),
        (r"(?<=[\w%°€$£]) ?\n", 0, ".\n"),
    )
]


def speakable(text: str) -> str:
    """Return `text` as it is to be spoken, on one line; "" if nothing of it can be spoken.

    Plain prose is returned unchanged except for its white space. A mark starts a heading or an item only after a line
    break, because `text` may begin within a line.
    """
    for pattern, spoken in RULES:
        text = pattern.sub(spoken, text)
    return " ".join(text.split()) if any(map(str.isalnum, text)) else ""
