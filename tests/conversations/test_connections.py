"""A response holds no database connection while it streams, and leaves none open however it ends."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.db.backends.signals import connection_created

from tests.client import LONG_REPLY, QUESTION, Api, turns_path, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

    from apps.conversations.models import Conversation
    from apps.voices.models import VoiceProfile
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider


@pytest.fixture
def opened() -> Iterator[list[BaseDatabaseWrapper]]:
    """The connections that threads of the server have opened, but for those that all streams share and keep."""
    connections: list[BaseDatabaseWrapper] = []

    def note(connection: BaseDatabaseWrapper, **_others: Any) -> None:
        if not threading.current_thread().name.startswith("database"):
            connections.append(connection)

    connection_created.connect(note)
    yield connections
    connection_created.disconnect(note)


@pytest.mark.parametrize("disconnects", [False, True])
@pytest.mark.parametrize("endpoint", ["turn", "full interaction", "speech"])
def test_no_connection_is_held(
    server: Server,
    alice_api: Api,
    provider: FakeProvider,
    conversation: Conversation,
    voice: VoiceProfile,
    opened: list[BaseDatabaseWrapper],
    endpoint: str,
    disconnects: bool,
) -> None:
    provider.behaviour.reply = LONG_REPLY
    provider.behaviour.audio_speed = 1 if disconnects else 8
    requests: dict[str, tuple[str, dict[str, Any]]] = {
        "turn": (turns_path(conversation), {"json": {"text": "Hello?"}, "headers": {"Accept": "text/event-stream"}}),
        "full interaction": (
            "/full-interaction",
            {"data": {"voice_id": voice.voice_id}, "files": {"audio_file": QUESTION}},
        ),
        "speech": ("/api/v1/speech", {"json": {"text": LONG_REPLY, "voice": "Jane"}}),
    }
    path, body = requests[endpoint]
    with alice_api.post(path, stream=True, **body) as response:
        assert response.status_code in {200, 201}
        chunks = response.iter_content(100)
        assert next(chunks)
        of_server = [each for each in opened if each is not connection]
        assert of_server
        wait_until(lambda: all(each.connection is None for each in of_server))
        assert disconnects or b"".join(chunks)
    wait_until(server.is_idle)
    assert all(each.connection is None for each in opened if each is not connection)
