"""Plain tables for terminals."""

from __future__ import annotations

from collections.abc import Sequence


def table(rows: Sequence[Sequence[object]]) -> str:
    """Return rows of equal lengths as lines. The first row is the headings; columns of numbers are aligned right."""
    cells = [["".join(each if each.isprintable() else " " for each in str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    are_numbers = [all(isinstance(cell, int | float) for cell in column) for column in zip(*rows[1:], strict=True)]
    is_right = are_numbers or [False] * len(widths)
    lines = [
        "  "
        + "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, is_right, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join([*lines, ""] if len(rows) > 1 else [*lines, "  none", ""])
