from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

READ_BYTES = 65_536
RESET = struct.pack("ii", 1, 0)  # A linger time of zero: data in transit is lost, and the other side gets a reset.


@pytest.fixture
def unused_port() -> int:
    """A port on 127.0.0.1 without a listener."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


class LosingServer:
    """Accepts requests, complete or not, and closes their connections without an answer, or resets them."""

    def __init__(self, listener: socket.socket, *, resets: bool) -> None:
        self._listener = listener
        self._resets = resets
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.connections = 0

    def lose_all(self) -> None:
        with suppress(OSError):  # The listener is closed.
            while True:
                self._lose(self._listener.accept()[0])

    def _lose(self, connection: socket.socket) -> None:
        with connection:
            self.connections += 1
            connection.recv(READ_BYTES)
            if self._resets:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


@pytest.fixture(params=[False, True], ids=["closed", "reset"])
def losing_server(request: pytest.FixtureRequest) -> Iterator[LosingServer]:
    """A server that drops every connection as soon as a request starts to arrive."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = LosingServer(listener, resets=request.param)
        thread = threading.Thread(target=server.lose_all)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)  # Closing alone would not wake the thread in accept().
    thread.join()
