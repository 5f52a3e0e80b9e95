from __future__ import annotations

import asyncio

from apps.speech.providers.slots import Slots


async def call(slots: Slots, name: str, order: list[str], *, urgent: bool = False) -> None:
    async with slots.taken(urgent=urgent):
        order.append(name)
        await asyncio.sleep(0.01)


async def most_at_once(slots: Slots) -> int:
    """Return how many of nine calls ran at once."""
    at_once, most = 0, 0

    async def count() -> None:
        nonlocal at_once, most
        async with slots.taken(urgent=False):
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.002)
            at_once -= 1

    await asyncio.gather(*[count() for _ in range(9)])
    return most


def test_no_more_are_taken_than_there_are() -> None:
    async def run() -> None:
        assert await most_at_once(Slots(2)) == 2

    asyncio.run(run())


def test_the_urgent_go_first_and_the_others_in_the_order_of_their_arrival() -> None:
    order: list[str] = []

    async def run() -> None:
        slots = Slots(1)
        calm = [call(slots, name, order) for name in ("first", "second", "third")]
        await asyncio.gather(*calm, call(slots, "urgent", order, urgent=True))

    asyncio.run(run())
    assert order == ["first", "urgent", "second", "third"]


def test_who_leaves_the_queue_or_fails_takes_no_slot_along() -> None:
    order: list[str] = []

    async def run() -> None:
        slots = Slots(1)
        holding = asyncio.create_task(call(slots, "holding", order))
        await asyncio.sleep(0)
        leaving = asyncio.create_task(call(slots, "leaving", order))
        await asyncio.sleep(0)
        leaving.cancel()
        holding.cancel()
        await asyncio.gather(holding, leaving, return_exceptions=True)
        await asyncio.wait_for(call(slots, "next", order), 1)

    asyncio.run(run())
    assert order == ["holding", "next"]


def test_a_slot_that_comes_in_the_moment_of_leaving_goes_on_to_the_next() -> None:
    order: list[str] = []

    async def run() -> None:
        slots = Slots(1)
        async with slots.taken(urgent=False):
            leaving = asyncio.create_task(call(slots, "leaving", order))
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await asyncio.wait_for(call(slots, "next", order), 1)

    asyncio.run(run())
    assert order == ["next"]


def test_a_shrunk_limit_is_one_less_than_were_taken_for_a_while() -> None:
    async def run() -> None:
        slots = Slots(5)
        async with slots.taken(urgent=False), slots.taken(urgent=False), slots.taken(urgent=False):
            slots.shrink(seconds=0.2)
        assert await most_at_once(slots) == 2
        await asyncio.sleep(0.25)
        assert await most_at_once(slots) == 5

    asyncio.run(run())


def test_a_shrunk_limit_never_falls_below_one() -> None:
    async def run() -> None:
        slots = Slots(2)
        for _ in range(3):
            slots.shrink(seconds=60)
        assert await most_at_once(slots) == 1

    asyncio.run(run())


def test_a_limit_that_shrinks_while_all_are_taken_waits_for_one_more_to_come_back() -> None:
    order: list[str] = []

    async def run() -> None:
        slots = Slots(2)
        first, second = (asyncio.create_task(call(slots, name, order)) for name in ("first", "second"))
        await asyncio.sleep(0)
        slots.shrink(seconds=60)
        third = asyncio.create_task(call(slots, "third", order))
        await first
        assert order == ["first", "second"]
        await asyncio.gather(second, third)

    asyncio.run(run())
    assert order == ["first", "second", "third"]
