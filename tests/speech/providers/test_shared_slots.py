"""Slots and breakers that several processes share through a real Redis; here each is a SharedLimits of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from apps.speech.base import ProviderError
from apps.speech.providers import shared_limits, shared_slots
from apps.speech.providers.breakers import Breaker, State
from apps.speech.providers.faults import provider_error
from apps.speech.providers.shared_limits import SharedLimits, SharedLimitsConfig
from apps.speech.providers.shared_slots import SharedSlots
from tests.redis import RedisServer, running_redis

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "elevenlabs"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as redis:
        yield redis


@pytest.fixture(autouse=True)
def quick_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_limits, "REPORT_SECONDS", 0.05)


@asynccontextmanager
async def process(redis: RedisServer, *, processes: int = 1, **breakers: Breaker) -> AsyncIterator[SharedLimits]:
    limits = SharedLimits(SharedLimitsConfig(redis.url, processes), lambda: breakers)
    try:
        yield limits
    finally:
        await limits.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)


class Calls:
    """Counts those that run at once, and notes the order in which they got a slot."""

    def __init__(self) -> None:
        self.running = self.most = 0
        self.order: list[str] = []
        self.end = asyncio.Event()

    async def call(self, slots: SharedSlots, name: str = "", *, urgent: bool = False, seconds: float = 0) -> None:
        async with slots.slot(urgent=urgent):
            self.running += 1
            self.most = max(self.most, self.running)
            self.order.append(name)
            await (asyncio.sleep(seconds) if seconds else self.end.wait())
            self.running -= 1


def test_all_processes_together_never_exceed_the_size_and_use_all_of_it(server: RedisServer) -> None:
    async def run() -> None:
        calls = Calls()
        async with AsyncExitStack() as stack:
            each = [(await stack.enter_async_context(process(server))).slots(NAME, 4) for _ in range(3)]
            await asyncio.gather(*[calls.call(slots, seconds=0.005) for slots in each for _ in range(20)])
        assert (calls.most, len(calls.order)) == (4, 60)

    asyncio.run(run())
    with server.client() as client:
        assert client.zcard(f"voiceclone:slots:{NAME}:held") == 0


def test_urgent_calls_go_first_and_the_others_in_order_of_arrival_in_all_processes(server: RedisServer) -> None:
    async def run() -> None:
        calls = Calls()
        async with process(server) as one, process(server) as other:
            first, second = one.slots("order", 1), other.slots("order", 1)
            tasks = [asyncio.create_task(calls.call(first, "a"))]
            await until(lambda: calls.order == ["a"])
            for slots, name in [(second, "b"), (first, "c"), (second, "d"), (first, "urgent")]:
                call = calls.call(slots, name, urgent=name == "urgent", seconds=0.001)
                tasks.append(asyncio.create_task(call))
                await asyncio.sleep(0.02)
            calls.end.set()
            await asyncio.gather(*tasks)
        assert calls.order == ["a", "urgent", "b", "c", "d"]

    asyncio.run(run())


def test_a_cancelled_call_gives_its_slot_or_its_place_back(server: RedisServer) -> None:
    async def run() -> None:
        calls = Calls()
        async with process(server) as one, process(server) as other:
            first, second = one.slots("cancelled", 1), other.slots("cancelled", 1)
            holding = asyncio.create_task(calls.call(first, "holding"))
            await until(lambda: calls.order == ["holding"])
            leaving = asyncio.create_task(calls.call(second, "leaving"))
            staying = asyncio.create_task(calls.call(second, "staying", seconds=0.001))
            await asyncio.sleep(0.05)
            leaving.cancel()
            holding.cancel()
            await asyncio.wait_for(staying, 5)
            await asyncio.gather(holding, leaving, return_exceptions=True)
        assert calls.order == ["holding", "staying"]

    asyncio.run(run())


def test_the_slots_of_a_process_that_vanishes_are_given_back(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_slots, "LEASE_SECONDS", 0.4)

    async def run() -> None:
        calls = Calls()
        async with process(server) as killed, process(server) as other:
            slots = killed.slots("killed", 1)
            tasks = [asyncio.create_task(calls.call(slots, name)) for name in ("holding", "waiting")]
            await until(lambda: calls.order == ["holding"])
            for loop in killed._loops:  # From here on it says nothing more.
                loop.cancel()
            await asyncio.wait_for(calls.call(other.slots("killed", 1), "other", seconds=0.001), 5)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert calls.order == ["holding", "other"]

    asyncio.run(run())


def test_a_lowered_limit_holds_for_all_processes(server: RedisServer) -> None:
    async def run() -> None:
        calls = Calls()
        async with process(server) as one, process(server) as other:
            first, second = one.slots("lowered", 6), other.slots("lowered", 6)
            held = [asyncio.create_task(calls.call(first)) for _ in range(3)]
            await until(lambda: calls.running == 3)
            first.shrink(seconds=60)
            await asyncio.sleep(0.1)
            calls.end.set()
            await asyncio.gather(*held)
            later = Calls()
            await asyncio.gather(*[later.call(second, seconds=0.005) for _ in range(8)])
        assert later.most == 2

    asyncio.run(run())


def test_without_redis_each_process_keeps_to_its_share_until_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    """No call fails, and afterwards everything is given back."""

    async def run(redis: RedisServer) -> None:
        calls = Calls()
        async with process(redis, processes=2) as one, process(redis, processes=2) as other:
            each = [one.slots("down", 5), other.slots("down", 5)]
            await until(lambda: one._processes == 2)
            held = [asyncio.create_task(calls.call(slots)) for slots in each for _ in range(3)]
            await until(lambda: calls.running >= 4)
            await asyncio.to_thread(redis.kill)
            await until(lambda: not one.is_up and not other.is_up)
            calls.end.set()
            await asyncio.gather(*held)
            alone = Calls()
            await asyncio.gather(*[alone.call(slots, seconds=0.01) for slots in each for _ in range(6)])
            assert (alone.most, len(alone.order)) == (4, 12)  # Two each.
            held_over = Calls()
            tasks = [asyncio.create_task(held_over.call(each[0])) for _ in range(4)]
            await until(lambda: held_over.running == 2)
            await asyncio.to_thread(redis.start)
            await until(lambda: one.is_up and other.is_up)
            tasks += [asyncio.create_task(held_over.call(slots)) for slots in each for _ in range(4)]
            await until(lambda: held_over.running == 5)
            held_over.end.set()
            await asyncio.gather(*tasks)
            assert held_over.most == 5
            await asyncio.sleep(0.1)
            with redis.client() as client:
                assert client.zcard("voiceclone:slots:down:held") == client.zcard("voiceclone:slots:down:waiting") == 0

    with running_redis() as redis, caplog.at_level(logging.WARNING, "voiceclone.speech"):
        asyncio.run(run(redis))
    messages = [record.message for record in caplog.records]
    assert sum("Redis does not answer" in message for message in messages) == 2
    assert sum("Redis is back" in message for message in messages) == 2


def test_a_breaker_that_opens_or_closes_in_one_process_does_so_in_the_others(server: RedisServer) -> None:
    def fail(breaker: Breaker) -> None:
        with pytest.raises(ProviderError), breaker.guarding():
            raise provider_error("provider_failed", stage="speak")

    async def run() -> None:
        here, there = (Breaker("speak", failures=2, seconds=0.3) for _ in range(2))
        async with process(server, speak=here) as one, process(server, speak=there) as other:
            one.start()
            other.start()
            fail(here)
            fail(here)
            assert there.state is State.CLOSED
            await until(lambda: there.state is State.OPEN)
            await until(lambda: there.state is State.HALF_OPEN)
            with there.guarding():
                pass
            await until(lambda: here.state is State.CLOSED)

    asyncio.run(run())
