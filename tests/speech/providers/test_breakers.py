"""When a provider counts as down, and how it comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest

from apps.speech.base import ProviderError
from apps.speech.providers.breakers import Breaker
from apps.speech.providers.retries import stream_with_retries, with_retries
from apps.speech.providers.slots import Slots

DOWN = ProviderError("provider_failed", stage="think", retryable=True, is_outage=True)
REFUSED = ProviderError("provider_quota_exhausted", stage="think", retryable=False)


class Clock:
    time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("think", failures=3, seconds=30, now=clock)


def call(breaker: Breaker, error: BaseException | None = None) -> None:
    with suppress(ProviderError, asyncio.CancelledError, ZeroDivisionError), breaker.guarding():
        if error is not None:
            raise error


def is_let_through(breaker: Breaker) -> bool:
    try:
        breaker.check()
    except ProviderError:
        return False
    return True


def open_it(breaker: Breaker) -> None:
    for _ in range(3):
        call(breaker, DOWN)


def test_it_opens_after_the_configured_number_of_outages_in_a_row(breaker: Breaker) -> None:
    call(breaker, DOWN)
    call(breaker, DOWN)
    assert is_let_through(breaker)
    call(breaker, DOWN)
    assert breaker.state == "open"
    assert not is_let_through(breaker)


def test_an_answer_in_between_resets_the_count(breaker: Breaker) -> None:
    for error in (DOWN, DOWN, None, DOWN, DOWN):
        call(breaker, error)
    assert breaker.state == "closed"


@pytest.mark.parametrize("error", [REFUSED, asyncio.CancelledError(), ZeroDivisionError()])
def test_other_errors_never_open_it(breaker: Breaker, error: BaseException) -> None:
    for _ in range(10):
        call(breaker, error)
    assert breaker.state == "closed"


def test_while_it_is_open_nothing_is_called_and_the_error_says_how_long(breaker: Breaker, clock: Clock) -> None:
    open_it(breaker)
    clock.time += 10
    with pytest.raises(ProviderError) as refused, breaker.guarding():
        pytest.fail("it was called")
    error = refused.value
    assert (error.code, error.stage, error.retryable) == ("provider_unavailable", "think", True)
    assert error.retry_after == 20


def test_afterwards_one_call_goes_through_and_closes_it(breaker: Breaker, clock: Clock) -> None:
    open_it(breaker)
    clock.time += 31
    assert breaker.state == "half_open"
    with breaker.guarding():
        assert not is_let_through(breaker)
    assert breaker.state == "closed"
    assert is_let_through(breaker)


def test_a_failed_trial_opens_it_again_for_the_same_time(breaker: Breaker, clock: Clock) -> None:
    open_it(breaker)
    clock.time += 31
    call(breaker, DOWN)
    assert breaker.state == "open"
    clock.time += 29
    assert breaker.state == "open"


def test_a_cancelled_trial_lets_the_next_call_try(breaker: Breaker, clock: Clock) -> None:
    open_it(breaker)
    clock.time += 31
    call(breaker, asyncio.CancelledError())
    assert breaker.state == "half_open"
    assert is_let_through(breaker)


def test_each_retry_counts_and_an_open_breaker_ends_the_retries(breaker: Breaker) -> None:
    calls = 0

    async def fail() -> None:
        nonlocal calls
        calls += 1
        raise ProviderError("provider_failed", stage="think", retryable=True, is_outage=True, retry_after=0)

    async def run() -> None:
        await with_retries(fail, breaker=breaker, seconds=5, max_retries=9)

    with pytest.raises(ProviderError, match="provider_unavailable"):
        asyncio.run(run())
    assert calls == 3


def test_a_missed_deadline_is_an_outage(breaker: Breaker) -> None:
    async def run() -> None:
        for _ in range(3):
            with pytest.raises(ProviderError, match="provider_timeout"):
                await with_retries(lambda: asyncio.sleep(60), breaker=breaker, seconds=0.01, max_retries=0)

    asyncio.run(run())
    assert breaker.state == "open"


@pytest.mark.parametrize("items", [["one", None], []], ids=["that stops", "that is empty"])
def test_a_stream_that_stops_in_the_middle_is_an_outage_but_an_empty_one_is_not(
    breaker: Breaker, items: list[str | None]
) -> None:
    async def stream() -> AsyncGenerator[str, None]:
        for item in items:
            if item is None:
                raise ProviderError("provider_incomplete", stage="think", retryable=True, is_outage=True)
            yield item

    async def read() -> None:
        async for _ in stream_with_retries(
            stream, breaker=breaker, first_seconds=5, idle_seconds=5, total_seconds=5, max_retries=0
        ):
            pass

    for _ in range(3):
        with pytest.raises(ProviderError, match="provider_incomplete"):
            asyncio.run(read())
    assert breaker.state == ("open" if items else "closed")


async def its_turn(slots: Slots) -> str:
    async with slots.slot(urgent=False):
        return "its turn came"


def test_waiting_for_a_slot_does_not_count_towards_the_deadline(breaker: Breaker) -> None:
    async def run() -> str:
        slots = Slots(1)
        async with slots.slot(urgent=True):
            turn = with_retries(lambda: its_turn(slots), breaker=breaker, seconds=0.05, max_retries=0)
            waiting = asyncio.create_task(turn)
            await asyncio.sleep(0.2)
        return await waiting

    assert asyncio.run(run()) == "its turn came"


def test_a_call_without_a_deadline_can_wait_for_a_slot() -> None:
    async def run() -> str:
        slots = Slots(1)
        async with slots.slot(urgent=True):
            waiting = asyncio.create_task(its_turn(slots))
            await asyncio.sleep(0)
            assert not waiting.done()
        return await waiting

    assert asyncio.run(run()) == "its turn came"
