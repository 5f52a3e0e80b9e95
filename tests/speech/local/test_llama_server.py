"""A conversation with a real llama.cpp server at an address of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apps.conversations.models import Turn
from tests.client import Api
from tests.conftest import serve
from tests.fakes.openai import CHAT

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings

    from apps.voices.models import VoiceProfile
    from tests.fakes.provider import FakeProvider

MODEL = "smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="session")
def llama_url(models_dir: Path) -> str:
    """The address of llama.cpp's own HTTP server. It ends with this process."""
    from xllamacpp import CommonParams, Server

    parameters = CommonParams()
    parameters.model.path = str(models_dir / MODEL)
    parameters.n_ctx, parameters.n_parallel, parameters.cpuparams.n_threads = 1024, 1, 1
    parameters.hostnames, parameters.port, parameters.verbosity = ["127.0.0.1"], 0, 0
    server = Server(parameters)
    return f"{server.listening_address}/v1"


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
