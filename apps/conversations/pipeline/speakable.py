"""Turns the text of a language model into words to speak: no Markdown, no addresses, no emoji."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from apps.conversations.pipeline.formulas import COMMAND, FORMULA, without_latex

CODE_BLOCK = "Code block."

# Each pattern matches within one line and has bounded repetitions, so that no text makes it slow.
LINK_TEXT = r"!?\[([^\[\]\n]{0,300})"
LINK_TARGET = r"\((?:[^()\n]|\([^()\n]{0,100}\)){0,300}"
LINK = rf"{LINK_TEXT}\]{LINK_TARGET}\)"
CODE = r"(?<!`)`([^`\n]{1,300})`(?!`)"
TAG = r"<[a-zA-Z/!][^<>\n]{0,300}>"
BRACKETS = r"\[[^\[\]\n]{0,60}\]"
ENTITY = r"&(?:\#\d{1,7}|\#[xX][\da-fA-F]{1,6}|[a-zA-Z]{2,31}\d{0,2});"
# With no word before it, as in "[whispers] Come in." Within a sentence, brackets are an editor's, as in "[not]".
STAGE_DIRECTION = r"(?<![^\W_])(?<![^\W_] )(?<!\\)\[ ?[^\W\d_][^\[\]\n]{0,60}\](?!\() ?"

HOST = r"[a-zA-Z0-9\u00c0-\u024f-]+(?:\.[a-zA-Z0-9\u00c0-\u024f-]+)*"
URL = rf"\b[a-zA-Z]{{2,12}}://(?:[^\s/@]{{1,100}}@)?(?:www\.)?({HOST})(?::\d+)?(?:[/?#][!-~]*(?<=[\w/=&#-]))?"
EMAIL = rf"(?:\bmailto:)?\b([\w.+-]{{1,64}}@{HOST})"
# Includes symbols, dingbats, boxes and blocks, but not the sharp and flat signs and the digits in circles.
PICTURE = "\U0001f000-\U0001faff\u2300-\u23ff\u2500-\u266c\u2670-\u2767\u2794-\u27bf\u2b00-\u2bff"
TEXT_PICTURE = "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u3030\u303d\u3297\u3299"
EMOJI = (
    rf"(?:[{PICTURE}][\u200d\ufe0e\ufe0f\u20e3\U000e0020-\U000e007f]*|[{TEXT_PICTURE}]\ufe0f|[\u2190-\u21ff]"
    r"|[\ufe0f\u20e3\U000e0020-\U000e007f])+"
)
# Control characters, white space that is none, marks of direction, and joiners that join no letters.
INVISIBLE = (
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufffd\u00ad\u200b\u200e\u200f\u2060\ufeff\u202a-\u202e\u2066-\u2069]"
    r"|(?<!\w)[\u200c\u200d]+|[\u200c\u200d]+(?!\w)"
)
# The types of programs, which look like tags: "List<int>".
TYPE = (
    r"(?:(?![BIPUS]\b)[A-Z]\w*|u?int\d*|[iuf]\d+|str(?:ing)?|float|double|bool(?:ean)?|char|byte|long|short|void|any"
    r"|object|number)"
)
TYPES = rf"{TYPE}(?:\[\]|\?)?(?:, ?{TYPE}(?:\[\]|\?)?){{0,5}}"
GENERIC = rf"(?<=\w)<({TYPES}(?:<{TYPES}>)?(?:, ?{TYPES})?)>"
FILE_TYPES = (
    r"py|js|mjs|ts|tsx|jsx|json|html?|css|txt|md|csv|pdf|png|jpe?g|gif|svg|mp3|mp4|wav|ya?ml|toml|ini|cfg|conf|log|sh"
    r"|bat|exe|dll|zip|tar|gz|docx?|xlsx?|pptx?|xml|sql|db|java|cpp|rb|php|ipynb"
)
PATH = (
    r"(?<![\w/.<:])(?:(?:~|\.{1,2})?/(?:[\w.@+-]{1,60}/){1,12}[\w.@+-]{0,60}|(?:~|\.{1,2})/[\w.@+-]{1,60})"
    rf"|(?<![\w/.])(?:[\w.-]{{1,60}}/){{1,12}}[\w-]{{1,60}}\.(?:{FILE_TYPES})\b"
    r"|\b[A-Za-z]:\\(?:[\w.+-]{1,60}\\){0,12}[\w.+-]{0,60}"
)
FILE_NAME = rf"(?<![\w./@])([\w-]{{1,60}})\.({FILE_TYPES})\b(?![\w/@]|\.\w)"
# Of sources: after a word or its mark, or before the end of a clause. "See [1]" is a noun, and a[0] is code.
FOOTNOTE = (
    r"\[\^[\w-]{1,20}\]:?|【[^【】\n]{0,40}†[^【】\n]{0,40}】"
    r"|(?:(?<=[^\W\d_]{4})|(?<=[.,;:!?”\"’)]))(?:\[\d{1,3}(?:[,–-] ?\d{1,3}){0,5}\]){1,5}(?!\()"
    r"|(?<![Ss]ee)(?<![Ii]n)(?<!of)(?<!and)(?<!or) (?:\[\d{1,3}(?:[,–-] ?\d{1,3}){0,5}\]){1,5}(?=[.,;:!?])"
    r"|(?:(?<=[^\W\d_]{4})|(?<=[.,;:!?”\"’)]))[¹²³⁴-⁹⁰]{1,3}(?![\w⁺⁻])"
)
IDEOGRAPHS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"


def _say_code(code: re.Match[str]) -> str:
    return re.sub(r"[<>\[\]|]+", " ", code[1])


def _say_address(address: re.Match[str]) -> str:
    return address[1].replace(".", " dot ").replace("@", " at ")


def _say_formula(formula: re.Match[str]) -> str:
    before = " " if formula.string[: formula.start()][-1:].isalnum() else ""
    after = " " if formula.string[formula.end() :][:1].isalnum() else ""
    return f"{before}{without_latex(formula[0])}{after}"


def _say_types(types: re.Match[str]) -> str:
    return " " + re.sub(r"[<>\[\]?]+", " ", types[1]).strip()


def _say_path(path: re.Match[str]) -> str:
    text = re.sub(r"\A\.+/|~|:?\\+|/+", " ", path[0])
    return " ".join(text.replace(".", " dot ").split())


def _say_entity(entity: re.Match[str]) -> str:
    return html.unescape(entity[0])


def _say_nothing(emoji: re.Match[str]) -> str:
    return " " if emoji["before_word"] is not None else ""


RULES: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(pattern, flags), spoken)
    for pattern, flags, spoken in (
        # Twice, as "&amp;lt;" is found too: what stands for a tag is treated as one.
        (ENTITY, 0, _say_entity),
        (ENTITY, 0, _say_entity),
        (INVISIBLE, 0, ""),
        (r"[^\S\n]+", 0, " "),
        # Lines: fenced code; rules, and the second line of a table; the marks of quotes, items, headings and rows.
        (r"(?<=\n) ?(```|~~~)[^\n`]*\n.*?(?:(?<=\n) ?\1 ?(?=\n|\Z)|\Z)", re.DOTALL, CODE_BLOCK),
        (r"(?<=\n) ?[-*_=|:][-*_=|: ]+(?=\n|\Z)", 0, ""),
        (r"(?<=\n) ?(?:> ?)*(?:[-*•‣–—] (?:\[[ xX]\] )?|#{1,6} |(?:\| ?)+)?", 0, ""),
        (r"(?: ?\|)+ ?(?=\n|\Z)", 0, ""),
        # Words. The rule for links runs twice, because an image within a link leaves a link.
        (PATH, re.ASCII, _say_path),
        (FORMULA, re.DOTALL, _say_formula),
        (COMMAND, 0, _say_formula),
        (COMMAND, 0, _say_formula),
        (FOOTNOTE, 0, ""),
        (GENERIC, 0, _say_types),
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
        (FILE_NAME, re.ASCII, r"\1 dot \2"),
        # Signs: of tables and steps, of formulas, of emphasis and code.
        (r" ?(?:\||[→⇒⟶↔⇔↦←⇐]\ufe0e?|[-=]{1,3}>)[ |]*", 0, ", "),
        (r"\\[()\[\]]|\$\$|\\", 0, ""),
        (r"(?<!\S)[:;]-?[()DPp](?!\S)", 0, ""),
        (r"((?<![\w*])(?:\w|\d{1,20})|\))\*\*(\d{1,20}|\w)(?![\w*])", 0, r"\1^\2"),
        (r"(?<=\d) ?\* ?(?=\d)", 0, " × "),
        (r"(?<=[^\W_])_+(?=[^\W_])", 0, " "),
        (r"(?<!\w)#+(?!\d)|[*_`]|~(?![\d$€£])|(?<! )>|>(?! )", 0, ""),
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
