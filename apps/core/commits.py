"""Commits for which a person would have to wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

FULL = 2  # SQLite's number for it.


@contextmanager
def without_waiting_for_the_disk() -> Iterator[None]:
    """Let SQLite's commits in the block return before they are on the disk.

    What is committed survives the end of the process at once, and a power cut from the next commit on that waits.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    with connection.cursor() as cursor:
        (mode,) = cursor.execute("PRAGMA synchronous").fetchone()
        if mode < FULL:
            yield
            return
        cursor.execute("PRAGMA synchronous=NORMAL")
        try:
            yield
        finally:
            cursor.execute("PRAGMA synchronous=FULL")
