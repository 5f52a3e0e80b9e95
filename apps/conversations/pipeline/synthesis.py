"""Synthesizes the segments of a text ahead of their reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import NamedTuple

from apps.conversations.pipeline.prefetch import Prefetch


class Segment(NamedTuple):
    """A part of a text, as it is written, and as a voice is given it: numbers in words."""

    text: str
    spoken: str


async def synthesize_ahead(
    segments: AsyncGenerator[Segment, None],
    synthesize: Callable[[str, str], AsyncGenerator[bytes, None]],
    *,
    in_flight: int,
) -> AsyncGenerator[tuple[Segment, Prefetch[bytes]], None]:
    """Yield each segment with its sound, in order; while one is read, the next ones are already being synthesized.

    `synthesize` gets a segment, as it is spoken, and all that is spoken before it. At most `in_flight` segments are
    being synthesized or wait to be read: a reader that does not read is not paid for any further. Each is read from its
    engine to its end, so that it frees the engine's slot. An error in a segment is raised when its sound is read, so
    that everything before it is heard.
    """
    free = asyncio.Semaphore(in_flight)
    started: list[Prefetch[bytes]] = []

    async def start_each() -> AsyncGenerator[tuple[Segment, Prefetch[bytes]], None]:
        previous = ""
        async for segment in segments:
            await free.acquire()
            started.append(Prefetch(synthesize(segment.spoken, previous)))
            yield segment, started[-1]
            previous = f"{previous} {segment.spoken}".strip()

    starting = Prefetch(start_each())
    try:
        async for segment, chunks in starting:
            yield segment, chunks
            free.release()
    finally:
        await starting.stop()
        for chunks in started:
            await chunks.stop()
