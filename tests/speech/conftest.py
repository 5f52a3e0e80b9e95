from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.speech.voice_server_calls import Calls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.voice_servers import FakeVoiceServer

READ_BYTES = 65_536
RESET = struct.pack("ii", 1, 0)  # Linger for no time: what is on the way is lost, and the other side told so.


@pytest.fixture
def unused_port() -> int:
    """A port on 127.0.0.1 where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


class LosingServer:
    """Takes requests, whole or not, and closes their connections without a word, or with `resets` breaks them off."""

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
    """A server that loses every connection once a request has begun to come."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = LosingServer(listener, resets=request.param)
        thread = threading.Thread(target=server.lose_all)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)  # To close it alone would not wake who waits for a connection.
    thread.join()


@pytest.fixture
def calls(voice_server: FakeVoiceServer, tmp_path: Path) -> Calls:
    """Calls of the engines of a voice server."""
    return Calls(voice_server, tmp_path / "voices")
