"""Trying again and giving up: retries and deadlines around calls to a provider."""

from __future__ import annotations

import asyncio
import math
import random
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from apps.speech.base import ProviderError
from apps.speech.faults import provider_error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from apps.speech.base import Stage

Result = TypeVar("Result")

MOMENTARY = frozenset({"provider_busy", "provider_failed", "provider_unreachable", "provider_incomplete"})
NOTHING_SENT = frozenset({"provider_unreachable"})

# An unused connection stays open this long: two turns of a conversation are further apart than httpx's five seconds.
KEPT_ALIVE_SECONDS = 120

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 4.0


async def with_retries(
    call: Callable[[], Awaitable[Result]],
    *,
    stage: Stage,
    seconds: float,
    max_retries: int,
    codes: frozenset[str] = MOMENTARY,
) -> Result:
    """Return what `call` returns, calling again up to `max_retries` times after a failure with one of `codes`.

    The pause before each retry is what the provider asks for, or else random ("full jitter"). `seconds` is the deadline
    of it all; a pause that would outlast it is not begun.
    """
    now = asyncio.get_running_loop().time
    deadline = now() + seconds
    async with within(seconds, stage=stage):
        for attempt in range(max_retries):
            try:
                return await call()
            except ProviderError as error:
                pause = _pause(attempt) if error.retry_after is None else error.retry_after
                if error.code not in codes or now() + pause >= deadline:
                    raise
            await asyncio.sleep(pause)
        return await call()


async def stream_with_retries(
    start: Callable[[], AsyncGenerator[Result, None]],
    *,
    stage: Stage,
    first_seconds: float,
    idle_seconds: float,
    total_seconds: float = math.inf,
    max_retries: int,
) -> AsyncGenerator[Result, None]:
    """Yield what `start()` yields, starting again as `with_retries` does as long as nothing came.

    `first_seconds` is the deadline of the first item, all retries included, `idle_seconds` that of every other one, and
    `total_seconds` that of them all. Closing this generator closes the one that `start` returned.
    """
    now = asyncio.get_running_loop().time
    deadline = now() + total_seconds

    async def first() -> tuple[AsyncGenerator[Result, None], Result | None]:
        items = start()
        return items, await anext(items, None)

    items, item = await with_retries(first, stage=stage, seconds=first_seconds, max_retries=max_retries)
    if item is None:
        raise provider_error("provider_incomplete", stage=stage)
    async with aclosing(items):
        while item is not None:
            yield item
            async with within(min(idle_seconds, deadline - now()), stage=stage):
                item = await anext(items, None)


@asynccontextmanager
async def within(seconds: float, *, stage: Stage) -> AsyncIterator[None]:
    """Raise the error "provider_timeout" when the body takes longer than `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise provider_error("provider_timeout", stage=stage) from None


def _pause(attempt: int) -> float:
    return random.uniform(0, min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**attempt))  # noqa: S311
