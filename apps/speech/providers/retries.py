"""The deadlines, retries and breakers around every call to a provider.

The numbers are settings, listed in `docs/reliability.md`. `apps/speech/configs.py` puts them into each config.
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

TRANSIENT_CODES = frozenset({"provider_busy", "provider_failed", "provider_unreachable", "provider_incomplete"})
NOT_SENT_CODES = frozenset({"provider_unreachable"})

# An unused connection stays open this long, because the time between two turns exceeds httpx's default of 5 s.
KEEP_ALIVE_SECONDS = 120

_random_pause = wait_random_exponential(multiplier=0.5, max=4)  # "Full jitter": from 0 to at most 0.5, 1, 2, 4 s.
_deadline: ContextVar[asyncio.Timeout] = ContextVar("deadline")


async def with_retries(
    call: Callable[[], Awaitable[Result]],
    *,
    breaker: Breaker,
    seconds: float,
    max_retries: int,
    codes: frozenset[str] = TRANSIENT_CODES,
) -> Result:
    """Return the result of `call`. After a failure with one of `codes`, call it again, up to `max_retries` times.

    The pause before each retry is the one that the provider asks for, or else random. `seconds` is the deadline of all
    calls and pauses together; a pause that would exceed it does not start. Nothing is called while `breaker` is open.
    Raises ProviderError.
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
    """Yield the items of `start()`. Until the first item arrives, retry as `with_retries` does.

    `first_seconds` is the deadline of the first item including all retries, `idle_seconds` the deadline of each later
    item, and `total_seconds` the deadline of the whole stream. Closing this generator closes the generator of `start`.
    Raises ProviderError.
    """
    now = asyncio.get_running_loop().time
    first_deadline, last_deadline = now() + first_seconds, now() + total_seconds

    async def first() -> _StartedStream[Result]:
        with ExitStack() as guard:
            guard.enter_context(breaker.guarding())
            async with until(first_deadline, stage=breaker.stage):
                items = start()
                item = await anext(items, None)
            return _StartedStream(item, items, guard.pop_all())

    started: _StartedStream[Result] = await _retrying(first_seconds, max_retries, TRANSIENT_CODES)(first)
    item = started.item
    with started.guard:
        if item is None:  # Not an outage: an empty stream depends on the request.
            raise provider_error("provider_incomplete", stage=breaker.stage, is_outage=False)
        async with aclosing(started.items) as items, _timer(breaker.stage) as timer:
            while item is not None:
                timer.reschedule(None)  # Stopped while the consumer works on the item.
                yield item
                timer.reschedule(min(now() + idle_seconds, last_deadline))
                item = await anext(items, None)


@dataclass(frozen=True, slots=True)
class _StartedStream(Generic[Result]):
    """A stream and its first item (None if it is empty), still guarded by its breaker."""

    item: Result | None
    items: AsyncGenerator[Result, None]
    guard: ExitStack


def _retrying(seconds: float, max_retries: int, codes: frozenset[str]) -> AsyncRetrying:
    return AsyncRetrying(
        retry=retry_if_exception(partial(_has_code, codes)),
        wait=_pause_seconds,
        stop=stop_after_attempt(max_retries + 1) | stop_before_delay(seconds),
        sleep=asyncio.sleep,
        reraise=True,
    )


def _has_code(codes: frozenset[str], error: BaseException) -> bool:
    return isinstance(error, ProviderError) and error.code in codes


def _pause_seconds(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    requested = error.retry_after if isinstance(error, ProviderError) else None
    return _random_pause(state) if requested is None else requested


@asynccontextmanager
async def until(deadline: float, *, stage: Stage) -> AsyncIterator[None]:
    """Raise ProviderError provider_timeout if the block runs past `deadline`, a time of the event loop's clock."""
    async with _timer(stage) as timer:
        timer.reschedule(None if math.isinf(deadline) else deadline)
        outer = _deadline.set(timer)
        try:
            yield
        finally:
            _deadline.reset(outer)


@asynccontextmanager
async def _timer(stage: Stage) -> AsyncIterator[asyncio.Timeout]:
    """Give a timer that is stopped until it is scheduled. When it expires, raise ProviderError provider_timeout."""
    try:
        async with asyncio.timeout(None) as timer:
            yield timer
    except TimeoutError:
        raise provider_error("provider_timeout", stage=stage) from None


@contextmanager
def deadline_paused() -> Iterator[None]:
    """Pause the deadline inside the block, which waits for something other than the provider."""
    timeout = _deadline.get(None)
    deadline = timeout.when() if timeout else None
    if timeout is None or deadline is None:
        yield
        return
    now = asyncio.get_running_loop().time
    remaining = deadline - now()
    timeout.reschedule(None)
    try:
        yield
    finally:
        if not timeout.expired():
            timeout.reschedule(now() + remaining)
