from __future__ import annotations

import socket

import pytest


@pytest.fixture
def unused_port() -> int:
    """A port on 127.0.0.1 where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
