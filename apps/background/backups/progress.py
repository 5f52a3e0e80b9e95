"""The progress of a backup, in a terminal only."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.core.management.base import OutputWrapper

    from apps.background.backups.archive import Progress


def shown_in(output: OutputWrapper) -> Progress:
    """Return a function that prints the megabytes so far, once in a second."""
    last = time.monotonic()

    def show(done_bytes: int) -> None:
        nonlocal last
        if output.isatty() and time.monotonic() - last >= 1:
            last = time.monotonic()
            output.write(f"{done_bytes // 1_000_000} MB", ending="\r")
            output.flush()

    return show
