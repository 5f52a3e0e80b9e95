"""Turns LaTeX into the signs of plain text, which are then read as words: `\\frac{a}{b}` becomes "a ÷ b"."""

from __future__ import annotations

import re

# Within dollar signs there is a formula if no digit follows: "$5 and $6" are prices. All lengths are bounded.
_BODY = r"(?:\\.|[^\\$\n])"
FORMULA = (
    r"\\\((?:[^\\\n]|\\[^)\n]){1,300}\\\)"
    r"|\\\[(?:[^\\]|\\[^\[\]]){1,500}\\\]"
    r"|\$\$(?:\\.|[^\\$]){1,300}\$\$"
    rf"|\$(?![\s\d$]){_BODY}{{0,100}}(?<!\s)\$(?!\d)"
    r"|\$\d(?:\\.|[^\s\\$]){0,60}\$(?!\d)"
)
COMMAND = r"\\(?:[a-zA-Z]{2,20}(?:\[[^\[\]]{0,9}\])?(?:\{[^{}\n]{0,100}\}){1,2}|(?:cdot|times|pm|leq|geq|approx)\b)"
"""A command of LaTeX outside a formula."""

_DELIMITERS = re.compile(r"\A(?:\\[(\[]|\${1,2})|(?:\\[)\]]|\${1,2})\Z")

_GROUP = r"\{([^{}]{0,100})\}"
_LIMIT = r"\w|\{[^{}]{0,30}\}|\\[a-z]{1,10}"
_COMMAND = re.compile(r"\\([a-zA-Z]{1,20})\*?")
_SIGNS = {
    "times": "×", "cdot": "×", "ast": "×", "div": "÷", "pm": "±", "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥",
    "neq": "≠", "ne": "≠", "approx": "≈", "sim": "≈", "equiv": "=", "infty": "∞", "to": "→", "rightarrow": "→",
    "Rightarrow": "→", "implies": "→", "circ": "°", "degree": "°", "ldots": "…", "dots": "…", "cdots": "…",
    "lt": "<", "gt": ">", "int": "integral",
}  # fmt: skip
# They change only the look.
_SILENT = {
    "left", "right", "big", "Big", "bigl", "bigr", "displaystyle", "textstyle", "quad", "qquad", "limits", "mathrm",
    "mathbf", "mathit", "mathbb", "mathcal", "text", "textbf", "textit", "textrm", "operatorname", "boxed", "begin",
    "end", "hline", "mathsf", "vec", "hat", "bar", "overline", "underline",
}  # fmt: skip
_STRUCTURES = [
    (re.compile(r"\\(?:begin|end)\{[a-z*]{1,20}\}"), lambda _found: " "),
    (re.compile(rf"(?<=int|sum)_({_LIMIT})\^({_LIMIT})"), lambda found: f" {found[1]} → {found[2]} "),
    (re.compile(rf"\\[dtc]?frac\s?{_GROUP}\s?{_GROUP}"), lambda found: _divided(found[1], found[2])),
    (re.compile(rf"\\sqrt(?:\[[^\[\]]{{0,9}}\])?\s?{_GROUP}"), lambda found: f"√{_grouped(found[1])}"),
    (re.compile(rf"\^\s?{_GROUP}"), lambda found: f"^{_grouped(found[1])}"),
    (re.compile(rf"_\s?{_GROUP}"), lambda found: f" {found[1]}"),
    (re.compile(r"(?<=[a-zA-Z0-9])_(?=[a-zA-Z0-9])"), lambda _found: " "),
]
_MAX_DEPTH = 4


def without_latex(formula: str) -> str:
    """Return `formula`, which may have its delimiters, without a backslash and without braces."""
    text = _DELIMITERS.sub("", formula)
    for _ in range(_MAX_DEPTH):  # The innermost groups come first.
        for structure, replacement in _STRUCTURES:
            text = structure.sub(replacement, text)
        if "{" not in text:
            break
    text = _COMMAND.sub(lambda command: _name(command[1]), text)
    text = re.sub(r"\\[,;:! ]|\\\\|[&{}]", " ", re.sub(r"\\([%$#&_])", r"\1", text))
    return " ".join(re.sub(r"\s?\^\s?°", " °", text.replace("\\", " ")).split())


def _name(command: str) -> str:
    if command in _SILENT:
        return " "
    return f" {_SIGNS.get(command, command)} "


def _divided(over: str, under: str) -> str:
    if over.strip().isdecimal() and under.strip().isdecimal():
        return f"{over.strip()}/{under.strip()}"
    return f"{over} ÷ {under}"


def _grouped(text: str) -> str:
    return text if re.fullmatch(r"\w*", text) else f"({text})"
