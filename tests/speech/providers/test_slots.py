from __future__ import annotations

import asyncio

from apps.speech.providers.slots import Slots


async def call(slots: Slots, name: str, order: list[str], *, urgent: bool = False) -> None:
    async with slots.slot(urgent=urgent):
        order.append(name)
        await asyncio.sleep(0.01)


async def most_at_once(slots: Slots) -> int:
    """Return the largest number of calls, of nine, that ran concurrently."""
    at_once, most = 0, 0

    async def count() -> None:
        nonlocal at_once, most
        async with slots.slot(urgent=False):
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.002)
            at_once -= 1

    await asyncio.gather(*[count() for _ in range(9)])
    return most


def test_it_never_exceeds_the_size() -> None:
    async def run() -> None:
        assert await most_at_once(Slots(2)) == 2

    asyncio.run(run())


def test_urgent_calls_go_first_and_the_others_in_order_of_arrival() -> None:
    order: list[str] = []

    async def run() -> None:
        slots = Slots(1)
        calm = [call(slots, name, order) for name in ("first", "second", "third")]
        await asyncio.gather(*calm, call(slots, "urgent", order, urgent=True))

    asyncio.run(run())
    assert order == ["first", "urgent", "second", "third"]


def test_a_cancelled_or_failed_call_gives_its_slot_back() -> None:
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
        await asyncio.wait_for(call(slots, "next", order), 20)

    asyncio.run(run())
    assert order == ["holding", "next"]


def test_a_slot_granted_at_the_moment_of_cancellation_goes_to_the_next_call() -> None:
    order: list[str] = []

    async def run() -> None:
        slots = Slots(1)
        async with slots.slot(urgent=False):
            leaving = asyncio.create_task(call(slots, "leaving", order))
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await asyncio.wait_for(call(slots, "next", order), 20)

    asyncio.run(run())
    assert order == ["next"]


def test_a_shrunk_limit_is_one_below_the_number_taken_for_a_while() -> None:
    async def run() -> None:
        slots = Slots(5)
        async with slots.slot(urgent=False), slots.slot(urgent=False), slots.slot(urgent=False):
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


def test_after_shrinking_with_all_slots_taken_two_have_to_be_given_back() -> None:
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
