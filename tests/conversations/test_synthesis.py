"""Segments are spoken in their order, while later ones are already being synthesized."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from apps.conversations.pipeline.synthesis import Segment, synthesize_ahead

Speak = Callable[[str, str], AsyncGenerator[bytes, None]]


async def segments_of(*texts: str) -> AsyncGenerator[Segment, None]:
    for text in texts:
        yield Segment(text, text)


async def heard(speak: Speak, *segments: str, in_flight: int = 2) -> list[tuple[str, bytes]]:
    """Return the sound of each segment, in the order in which it is heard."""
    sounds = []
    async for segment, chunks in synthesize_ahead(segments_of(*segments), speak, in_flight=in_flight):
        sounds.append((segment.text, b"".join([chunk async for chunk in chunks])))
    return sounds


def test_the_sound_is_in_the_order_of_the_text() -> None:
    async def speak(segment: str, _previous: str) -> AsyncGenerator[bytes, None]:
        await asyncio.sleep(0.03 if segment == "slow" else 0)
        yield segment.encode()
        yield b"!"

    sounds = asyncio.run(heard(speak, "slow", "fast", "slow", "fast"))
    assert sounds == [("slow", b"slow!"), ("fast", b"fast!")] * 2


@pytest.mark.parametrize("in_flight", [1, 2, 3])
def test_no_more_than_the_allowed_number_is_in_flight(in_flight: int) -> None:
    running, most = set[str](), 0

    async def speak(segment: str, _previous: str) -> AsyncGenerator[bytes, None]:
        nonlocal most
        running.add(segment)
        most = max(most, len(running))
        await asyncio.sleep(0.01)
        yield b"."
        running.remove(segment)

    asyncio.run(heard(speak, *"abcdef", in_flight=in_flight))
    assert most == in_flight


def test_each_segment_gets_the_text_before_it() -> None:
    received = []

    async def speak(_segment: str, previous: str) -> AsyncGenerator[bytes, None]:
        received.append(previous)
        yield b"."

    asyncio.run(heard(speak, "One.", "Two.", "Three."))
    assert received == ["", "One.", "One. Two."]


def test_an_error_in_a_segment_is_raised_after_the_sound_before_it() -> None:
    sounds = []

    async def speak(segment: str, _previous: str) -> AsyncGenerator[bytes, None]:
        if segment == "bad":
            raise ConnectionError
        await asyncio.sleep(0.02)
        yield segment.encode()

    async def listen() -> None:
        async for segment, chunks in synthesize_ahead(segments_of("good", "bad"), speak, in_flight=2):
            sounds.append((segment.text, [chunk async for chunk in chunks]))

    with pytest.raises(ConnectionError):
        asyncio.run(listen())
    assert sounds == [("good", [b"good"])]


def test_closing_it_closes_every_running_synthesis() -> None:
    closed = []

    async def speak(segment: str, _previous: str) -> AsyncGenerator[bytes, None]:
        try:
            yield b"."
            await asyncio.sleep(60)
        finally:
            closed.append(segment)

    async def listen_a_little() -> None:
        sound = synthesize_ahead(segments_of("a", "b", "c"), speak, in_flight=2)
        async for _segment, chunks in sound:
            async for _chunk in chunks:
                break
            break
        await asyncio.sleep(0.01)
        await sound.aclose()

    asyncio.run(listen_a_little())
    assert sorted(closed) == ["a", "b"]
