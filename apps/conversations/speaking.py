"""Speaks pieces of a text in their order, while later pieces are already being made; reckons what was heard of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

CHARACTERS_PER_SECOND = 15  # of English speech, for the part of a piece that has not come yet

Item = TypeVar("Item")


class RunAhead(Generic[Item]):
    """Runs an async generator in a task of its own, so that it goes on while its reader is busy."""

    def __init__(self, items: AsyncGenerator[Item, None]) -> None:
        self._ready: asyncio.Queue[Item | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(items))

    async def _run(self, items: AsyncGenerator[Item, None]) -> None:
        try:
            async with aclosing(items):
                async for item in items:
                    self._ready.put_nowait(item)
        finally:
            self._ready.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Item]:
        while (item := await self._ready.get()) is not None:
            yield item
        await self._task  # raises what the generator raised

    async def stop(self) -> None:
        """Close the generator, wherever it is."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def cancel(self) -> None:
        """Have the generator closed soon; from any thread."""
        self._task.get_loop().call_soon_threadsafe(self._task.cancel)


async def made_ahead(
    pieces: AsyncGenerator[str, None],
    speak: Callable[[str, str], AsyncGenerator[bytes, None]],
    *,
    in_flight: int,
) -> AsyncGenerator[tuple[str, RunAhead[bytes]], None]:
    """Yield each piece with its sound, in order; while one is being read, the next ones are already being made.

    `speak` gets a piece and all text before it. At most `in_flight` pieces are being made or wait to be read. What goes
    wrong with a piece is raised when its sound is read: everything before it is heard.
    """
    free = asyncio.Semaphore(in_flight)
    started: list[RunAhead[bytes]] = []

    async def start_each() -> AsyncGenerator[tuple[str, RunAhead[bytes]], None]:
        previous = ""
        async for piece in pieces:
            await free.acquire()
            started.append(RunAhead(speak(piece, previous)))
            yield piece, started[-1]
            previous = f"{previous} {piece}".strip()

    starting = RunAhead(start_each())
    try:
        async for piece, chunks in starting:
            yield piece, chunks
            free.release()
    finally:
        await starting.stop()
        for chunks in started:
            await chunks.stop()


@dataclass(slots=True)
class SpokenPiece:
    """A piece of the reply whose sound has begun to come; `seconds` of it by now."""

    index: int
    text: str
    seconds: float = 0.0
    complete: bool = False


def text_within(pieces: Sequence[SpokenPiece], seconds: float) -> str:
    """Return as much of the text as is heard in its first `seconds`, to the word."""
    texts = []
    for piece in pieces:
        whole = piece.seconds if piece.complete else max(piece.seconds, len(piece.text) / CHARACTERS_PER_SECOND)
        share = min(max(seconds, 0) / whole, 1) if whole else 0
        heard = piece.text[: round(share * len(piece.text))]
        texts.append(heard.rpartition(" ")[0] if share < 1 and " " in piece.text else heard)
        seconds -= whole
    return " ".join(text for text in texts if text)
