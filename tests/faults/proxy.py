"""A TCP proxy between the application and a provider, which cuts connections."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES = 65_536


class Direction(Enum):
    TO_PROVIDER = "to the provider"
    TO_APPLICATION = "to the application"


@dataclass(frozen=True)
class Cut:
    """Cuts every connection after `after_bytes` more bytes in `direction`."""

    direction: Direction
    after_bytes: int


@dataclass
class Link:
    """One connection. `passed` counts the bytes since the current cut was requested."""

    cut: Cut | None = None
    passed: dict[Direction, int] = field(default_factory=dict)


class CuttingProxy:
    """Forwards all bytes, except while it cuts. `passed` counts the bytes of all connections."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target).port
        self._port = 0
        self._cut: Cut | None = None
        self.passed = dict.fromkeys(Direction, 0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @contextmanager
    def cutting(self, direction: Direction, after_bytes: int) -> Iterator[None]:
        self._cut = Cut(direction, after_bytes)
        try:
            yield
        finally:
            self._cut = None

    @contextmanager
    def counting(self) -> Iterator[dict[Direction, int]]:
        """Yield a dictionary that has the bytes of the block by direction after the block has ended."""
        before, counts = dict(self.passed), dict.fromkeys(Direction, 0)
        yield counts
        counts.update({direction: self.passed[direction] - before[direction] for direction in Direction})

    @contextmanager
    def running(self) -> Iterator[CuttingProxy]:
        """Serve on a free port of 127.0.0.1 until the block ends."""
        started, loop = threading.Event(), asyncio.new_event_loop()
        stop = asyncio.Event()

        async def serve() -> None:
            server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
            self._port = server.sockets[0].getsockname()[1]
            started.set()
            await stop.wait()
            server.close()

        def run() -> None:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(serve())

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        started.wait()
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        link = Link()
        pumps = [
            asyncio.create_task(self._pump(link, Direction.TO_PROVIDER, reader, there_writer)),
            asyncio.create_task(self._pump(link, Direction.TO_APPLICATION, there_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:  # The end of the proxy cancels this task in the middle of a connection.
            for pump in pumps:
                pump.cancel()
            for end in (writer, there_writer):
                end.close()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self, link: Link, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK_BYTES):
                allowed = self._allowed(link, direction, len(data))
                writer.write(data[:allowed])
                await writer.drain()
                self.passed[direction] += allowed
                if allowed < len(data):
                    return

    def _allowed(self, link: Link, direction: Direction, size: int) -> int:
        """Return how many of the next `size` bytes may pass. If fewer than `size`, the caller cuts the connection."""
        if link.cut is not self._cut:
            link.cut, link.passed = self._cut, dict.fromkeys(Direction, 0)
        if link.cut is None or link.cut.direction is not direction:
            return size
        allowed = min(size, link.cut.after_bytes - link.passed[direction])
        link.passed[direction] += allowed
        return allowed
