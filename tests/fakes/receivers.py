"""Servers that receive webhooks, and take their time."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DRIP_SECONDS = 0.05


@dataclass
class SlowReceiver:
    """A server on loopback that sends one byte of an endless header after the other, until it is `cured`."""

    url: str = ""
    cured: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    received: list[bytes] = field(default_factory=list)
    """The beginnings of the requests, in the order of their arrival."""

    @property
    def count(self) -> int:
        return len(self.received)


@contextmanager
def slow_receiver() -> Iterator[SlowReceiver]:
    receiver = SlowReceiver()

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            peer: socket.socket = self.request
            receiver.received.append(peer.recv(65536))
            if receiver.cured.is_set():
                peer.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                return
            with suppress(OSError):
                peer.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not receiver.closed.wait(DRIP_SECONDS):
                    peer.sendall(b"x")

    class Server(ThreadingTCPServer):
        allow_reuse_address = True
        request_queue_size = 64

    # All addresses, so that 127.0.0.1, 127.0.0.2 and so on are servers of their own for whoever asks.
    with Server(("0.0.0.0", 0), Handler) as server:  # noqa: S104
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        yield receiver
        receiver.closed.set()
        server.shutdown()
        thread.join()
