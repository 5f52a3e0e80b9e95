"""How long a provider may take and how often it is asked: the deadlines, retries and breakers around every call.

The numbers are settings (`docs/reliability.md` has them all), which `registry` hands to each provider's config.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from apps.speech.base import ProviderError
from apps.speech.providers.faults import provider_error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from apps.speech.base import Stage
    from apps.speech.providers.breakers import Breaker

Result = TypeVar("Result")

MOMENTARY = frozenset({"provider_busy", "provider_failed", "provider_unreachable", "provider_incomplete"})
NOTHING_SENT = frozenset({"provider_unreachable"})

# An unused connection stays open this long: two turns of a conversation are further apart than httpx's five seconds.
KEPT_ALIVE_SECONDS = 120

_random_pause = wait_random_exponential(multiplier=0.5, max=4)  # "full jitter": from none up to 0.5, 1, 2, 4 s
_deadline: ContextVar[asyncio.Timeout] = ContextVar("deadline")


async def with_retries(
    call: Callable[[], Awaitable[Result]],
    *,
    breaker: Breaker,
    seconds: float,
    max_retries: int,
    codes: frozenset[str] = MOMENTARY,
) -> Result:
    """Return what `call` returns, calling again up to `max_retries` times after a failure with one of `codes`.

    The pause before each retry is what the provider asks for, or else random. `seconds` is the deadline of it all; a
    pause that would outlast it is not begun. Nothing is called while `breaker` is open.
    """
    deadline = asyncio.get_running_loop().time() + seconds

    async def attempt() -> Result:
        with breaker.guarding():
            async with until(deadline, stage=breaker.stage):
                return await call()

    return await _retrying(seconds, max_retries, codes)(attempt)


async def stream_with_retries(
    start: Callable[[], AsyncGenerator[Result, None]],
    *,
    breaker: Breaker,
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
    first_deadline, last_deadline = now() + first_seconds, now() + total_seconds

    async def first() -> _Begun[Result]:
        with ExitStack() as guard:
            guard.enter_context(breaker.guarding())
            async with until(first_deadline, stage=breaker.stage):
                items = start()
                item = await anext(items, None)
            return _Begun(item, items, guard.pop_all())

    begun: _Begun[Result] = await _retrying(first_seconds, max_retries, MOMENTARY)(first)
    item = begun.item
    with begun.guard:
        if item is None:  # No outage: it depends on what was asked for.
            raise provider_error("provider_incomplete", stage=breaker.stage, is_outage=False)
        async with aclosing(begun.items) as items, _clock(breaker.stage) as clock:
            while item is not None:
                clock.reschedule(None)  # It stands still while others work on the item.
                yield item
                clock.reschedule(min(now() + idle_seconds, last_deadline))
                item = await anext(items, None)


@dataclass(frozen=True, slots=True)
class _Begun(Generic[Result]):
    """A stream whose first item is there, or which has none, still under the guard of its breaker."""

    item: Result | None
    items: AsyncGenerator[Result, None]
    guard: ExitStack


def _retrying(seconds: float, max_retries: int, codes: frozenset[str]) -> AsyncRetrying:
    return AsyncRetrying(
        retry=retry_if_exception(partial(_has_code, codes)),
        wait=_pause,
        stop=stop_after_attempt(max_retries + 1) | stop_before_delay(seconds),
        sleep=asyncio.sleep,
        reraise=True,
    )


def _has_code(codes: frozenset[str], error: BaseException) -> bool:
    return isinstance(error, ProviderError) and error.code in codes


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    wished = error.retry_after if isinstance(error, ProviderError) else None
    return _random_pause(state) if wished is None else wished


@asynccontextmanager
async def until(deadline: float, *, stage: Stage) -> AsyncIterator[None]:
    """Raise the error "provider_timeout" when the body is not over at `deadline`, a time of the event loop."""
    async with _clock(stage) as clock:
        clock.reschedule(None if math.isinf(deadline) else deadline)
        outer = _deadline.set(clock)
        try:
            yield
        finally:
            _deadline.reset(outer)


@asynccontextmanager
async def _clock(stage: Stage) -> AsyncIterator[asyncio.Timeout]:
    """Give a clock that stands still until it is set; when it runs out, raise the error "provider_timeout"."""
    try:
        async with asyncio.timeout(None) as clock:
            yield clock
    except TimeoutError:
        raise provider_error("provider_timeout", stage=stage) from None


@contextmanager
def standing_still() -> Iterator[None]:
    """Stop the clock of the deadline inside of the block: what is waited for there is not the provider."""
    timeout = _deadline.get(None)
    deadline = timeout.when() if timeout else None
    if timeout is None or deadline is None:
        yield
        return
    now = asyncio.get_running_loop().time
    left = deadline - now()
    timeout.reschedule(None)
    try:
        yield
    finally:
        if not timeout.expired():
            timeout.reschedule(now() + left)
