"""For what has to be done to its end even where nobody listens any more: clients leave at every moment."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def unbroken(work: Coroutine[Any, Any, None]) -> None:
    """Wait for the end of `work`; whoever is cancelled meanwhile is cancelled behind it."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
