"""A conversation with a real llama.cpp server at an address of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from apps.conversations.models import Conversation, Turn
from tests.client import Api
from tests.conftest import serve
from tests.fakes.openai import CHAT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_django import Settings

    from apps.voices.models import VoiceProfile
    from tests.fakes.provider import FakeProvider

MODEL = "smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf"
# In a process of its own, because the server object does not end before its process does.
PROGRAM = """
import sys, threading
from xllamacpp import CommonParams, Server

parameters = CommonParams()
parameters.model.path = sys.argv[1]
parameters.n_ctx, parameters.n_parallel, parameters.cpuparams.n_threads = 1024, 1, 1
parameters.hostnames, parameters.port, parameters.verbosity = ["127.0.0.1"], 0, 0
parameters.sampling.temp = 0.0  # The same reply in every run.
server = Server(parameters)
print(server.listening_address, flush=True)
threading.Event().wait()
"""


@pytest.fixture(scope="session")
def llama_url(models_dir: Path) -> Iterator[str]:
    """The address of llama.cpp's own HTTP server."""
    command = [sys.executable, "-c", PROGRAM, str(models_dir / MODEL)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - all our own
        assert process.stdout
        yield f"{process.stdout.readline().strip()}/v1"
        process.kill()


def test_a_whole_turn_is_answered_by_it(
    transactional_db: None,
    alice_token: str,
    llama_url: str,
    remote_engines: FakeProvider,
    settings: Settings,
    voice: VoiceProfile,
) -> None:
    settings.CHAT_BASE_URL, settings.CHAT_API_KEY, settings.CHAT_MODEL = llama_url, "", "any"
    settings.MAX_REPLY_TOKENS = 20

    with serve() as server, Api(server.url, alice_token) as api:
        response = api.full_interaction(voice.voice_id)

    assert response.status_code == 200
    assert "Paris" in Turn.objects.get().reply
    assert not remote_engines.requests_to(CHAT)


def test_ten_turns_of_a_conversation_are_answered_by_it(
    transactional_db: None,
    alice_token: str,
    llama_url: str,
    remote_engines: FakeProvider,
    settings: Settings,
    conversation: Conversation,
) -> None:
    settings.CHAT_BASE_URL, settings.CHAT_API_KEY, settings.CHAT_MODEL = llama_url, "", "any"
    settings.MAX_REPLY_TOKENS = 10

    with serve() as server, Api(server.url, alice_token) as api:
        turns = [api.ask(conversation, text=f"What is {number} and {number}?").json() for number in range(10)]

    assert [turn["status"] for turn in turns] == ["spoken"] * 10
    assert all(turn["reply"] for turn in turns)
    assert "<|" not in "".join(turn["reply"] for turn in turns)
    assert not remote_engines.requests_to(CHAT)
