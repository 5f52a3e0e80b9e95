"""The embedded engines under the whole application: they share the processor, and still no stage waits for another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.client import SAMPLES, Api

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.conftest import Server

QUESTION = "Tell me a long story about a dog who travels around the world."


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("consent")
def test_the_voice_begins_before_a_long_reply_is_written(
    models_dir: Path, local_server: Server, alice_token: str, settings: Settings
) -> None:
    settings.MAX_REPLY_TOKENS = 120  # Some ten times as long as what the voice begins with.
    with Api(local_server.url, alice_token) as api:
        assert api.clone_voice(recordings=SAMPLES, voice_name="Alice").status_code == 201
        (voice,) = api.get("/api/v1/voices").json()["results"]
        conversation = api.post("/api/v1/conversations", json={"voice": voice["id"]}).json()["id"]
        names = [event.name for event in api.events_of_turn(conversation, text=QUESTION)]
    assert names[-1] == "done"
    assert names.index("spoken") < len(names) - 1 - names[::-1].index("said")
