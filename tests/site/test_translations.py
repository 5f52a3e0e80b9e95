"""All texts for people can be translated: `makemessages` finds them."""

from __future__ import annotations

import ast
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.template.base import Lexer, TokenType

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = {"VoiceClone", r"\bms\b"}
ATTRIBUTES = {"alt", "aria-description", "aria-label", "aria-roledescription", "content", "placeholder", "title"}
CLASS_BLOCK = ["block", "main_class"]
SILENT_META = {"viewport", "color-scheme", "theme-color", "csrf-token", "og:type", "twitter:card"}
# Calls with a text for people, and the position of that argument.
CALLS_WITH_TEXT = {"UserError": 1, "AudioError": 1, "ValidationError": 0, "error_body": 1}
CALLS_WITH_TEXT |= dict.fromkeys(["messages.success", "messages.error", "messages.info", "messages.warning"], 1)
LABELS = {"label", "help_text", "verbose_name", "verbose_name_plural", "empty_label"}
WORD = re.compile(r"[^\W\d_]{2,}")

PAGES = [path for path in sorted((settings.BASE_DIR / "templates").rglob("*.html")) if path.parent.name != "email"]
SCRIPTS = sorted((settings.BASE_DIR / "static/js").glob("*.js"))
MODULES = [
    path
    for folder in ("apps", "voiceclone")
    for path in sorted((settings.BASE_DIR / folder).rglob("*.py"))
    if path.parent.name != "migrations"
]


def name_of(path: Path) -> str:
    return str(path.relative_to(settings.BASE_DIR))


def without_tags(template: str) -> str:
    """Return a template without its tags, variables and translated blocks."""
    kept, until = [], ""
    for token in Lexer(template).tokenize():
        words = token.contents.split() or [""]
        if until:
            until = "" if token.token_type == TokenType.BLOCK and words[0] == until else until
        elif token.token_type == TokenType.TEXT:
            kept.append(token.contents)
        elif words[0] in {"blocktranslate", "comment"} or words == CLASS_BLOCK:
            until = f"end{words[0]}"
    return "".join(kept)


class Texts(HTMLParser):
    """Collects the texts of a page, including those for screen readers."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._quoting = ""  # The element whose language is its own: the words of a recording.
        self.feed(page)

    def handle_data(self, data: str) -> None:
        if not self._quoting:
            self.found.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._quoting:
            self._quoting = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if "lang" in values and tag != "html":
            self._quoting = tag
        if {values.get("name"), values.get("property")} & SILENT_META:
            return
        self.found += [value or "" for name, value in attrs if name in ATTRIBUTES]
        if tag == "input" and values.get("type") in {"submit", "button"}:
            self.found.append(values.get("value") or "")


def untranslated(template: str) -> list[str]:
    texts = (text.strip() for text in Texts(without_tags(template)).found)
    return [text for text in texts if WORD.search(re.sub("|".join(NAMES), "", text))]


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_a_page_has_no_untranslated_text(path: Path) -> None:
    assert untranslated(path.read_text()) == []


@pytest.mark.parametrize(
    "template",
    [
        "<p>Hello</p>",
        '<p title="Hello">{{ name }}</p>',
        '<input placeholder="Name">',
        '{% if user %}<a href="/">Back</a>{% endif %}',
    ],
)
def test_untranslated_texts_are_found(template: str) -> None:
    assert len(untranslated(template)) == 1


@pytest.mark.parametrize(
    "template",
    [
        '<p class="lead">{% translate "Hello" %} – VoiceClone {{ name }} 1:05</p>',
        "{% blocktranslate trimmed %}Page {{ number }}{% endblocktranslate %}",
        "{% comment %}For programmers{% endcomment %}",
    ],
)
def test_translated_texts_are_not_reported(template: str) -> None:
    assert untranslated(template) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_scripts_take_their_texts_from_the_page(path: Path) -> None:
    shown = r"""(?:announce\(|(?:textContent|title|placeholder|ariaLabel|innerText) = )["'`]([^"'`]*)"""
    assert [text for text in re.findall(shown, path.read_text()) if WORD.search(text)] == []


def texts_for_people(module: str) -> Iterator[ast.expr]:
    """Yield the expressions of all texts that a module shows to people."""
    for node in ast.walk(ast.parse(module)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        position = CALLS_WITH_TEXT.get(name, CALLS_WITH_TEXT.get(name.rpartition(".")[2]))
        if position is not None and position < len(node.args):
            yield node.args[position]
        yield from (keyword.value for keyword in node.keywords if keyword.arg in LABELS)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_has_no_untranslated_text(path: Path) -> None:
    plain = [text for text in texts_for_people(path.read_text()) if isinstance(text, ast.Constant | ast.JoinedStr)]
    assert [ast.unparse(text) for text in plain] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_translated_texts_are_literals(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    translated = [call.args[0] for call in calls if ast.unparse(call.func) in {"_", "gettext", "gettext_lazy"}]
    assert [ast.unparse(text) for text in translated if not isinstance(text, ast.Constant)] == []
