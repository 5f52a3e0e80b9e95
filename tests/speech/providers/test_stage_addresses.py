"""Each stage calls its own address with its own key."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from apps.speech import availability, configs, registry
from apps.speech.base import ProviderError
from apps.speech.providers.breakers import State
from tests.fakes import elevenlabs_live, openai_live
from tests.fakes.openai import CHAT, MODELS, TRANSCRIPTIONS
from tests.fakes.provider import FakeProvider
from tests.speech.providers.openai_calls import QUESTION, RECORDING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings


@pytest.fixture
def ears(remote_engines: FakeProvider, settings: Settings) -> FakeProvider:
    """The server that hears; it speaks as well."""
    remote_engines.behaviour.key = None
    settings.STT_API_KEY, settings.STT_MODEL = "key-of-the-ears", "ears-1"
    return remote_engines


@pytest.fixture
def mind(settings: Settings) -> Iterator[FakeProvider]:
    """The server that thinks."""
    with FakeProvider().running() as server:
        settings.CHAT_BASE_URL, settings.CHAT_API_KEY, settings.CHAT_MODEL = server.openai_url, "", "mind-1"
        server.behaviour.key = ""
        yield server


async def hear_and_think(engines: registry.Engines) -> str:
    heard = await engines.speech_to_text.transcribe(RECORDING, language="")
    deltas = [delta async for delta in engines.language_model.reply(QUESTION, max_tokens=50)]
    return f"{heard.text} {''.join(deltas)}"


def test_each_stage_calls_its_own_server_with_its_own_key_and_model(ears: FakeProvider, mind: FakeProvider) -> None:
    ears.behaviour.transcript, mind.behaviour.reply = "What did you hear?", "What I thought."

    assert registry.call(hear_and_think) == "What did you hear? What I thought."

    (heard,) = ears.requests
    assert (heard.path, heard.form["model"]) == (TRANSCRIPTIONS, "ears-1")
    assert heard.headers["authorization"] == "Bearer key-of-the-ears"
    (thought,) = mind.requests
    assert (thought.path, thought.json["model"]) == (CHAT, "mind-1")
    assert "authorization" not in thought.headers


def test_both_are_connected_beforehand(ears: FakeProvider, mind: FakeProvider) -> None:
    async def warm_up_and_talk(engines: registry.Engines) -> None:
        await engines.warm_up()
        await hear_and_think(engines)

    registry.call(warm_up_and_talk)

    assert [request.path for request in mind.requests] == [MODELS, CHAT]
    assert mind.connections == 1
    of_ears = [
        request for request in ears.requests if "authorization" in request.headers
    ]  # The others are ElevenLabs'.
    assert [request.path for request in of_ears] == [MODELS, TRANSCRIPTIONS]
    assert len({request.connection for request in of_ears}) == 1


def test_stages_at_one_address_share_a_connection(remote_engines: FakeProvider) -> None:
    registry.call(hear_and_think)

    assert [request.path for request in remote_engines.requests] == [TRANSCRIPTIONS, CHAT]
    assert remote_engines.connections == 1


def test_two_keys_at_one_address_are_not_mixed_up(remote_engines: FakeProvider, settings: Settings) -> None:
    remote_engines.behaviour.key = None
    settings.CHAT_API_KEY = "key-of-the-mind"

    registry.call(hear_and_think)

    keys = [request.headers["authorization"] for request in remote_engines.requests]
    assert keys == ["Bearer test-key", "Bearer key-of-the-mind"]


def test_a_stage_that_is_down_does_not_stop_the_other(ears: FakeProvider, settings: Settings, unused_port: int) -> None:
    settings.CHAT_BASE_URL, settings.PROVIDER_RETRIES = f"http://127.0.0.1:{unused_port}/v1", 0

    for _ in range(settings.BREAKER_FAILURES):
        with pytest.raises(ProviderError, match="provider_unreachable"):
            registry.call(hear_and_think)

    assert not availability.is_working("think")
    assert availability.is_working("hear")
    with pytest.raises(ProviderError, match="think: provider_unavailable"):
        registry.call(hear_and_think)
    assert len(ears.requests_to(TRANSCRIPTIONS)) == settings.BREAKER_FAILURES + 1


async def hear_live(engines: registry.Engines) -> str:
    async with engines.live_speech_to_text.listen(language="", on_partial=lambda _text: None) as live:
        live.hear(RECORDING.pcm)
        transcript = await live.commit()
        return f"{live.name}: {transcript.text}"


@pytest.mark.parametrize(
    ("engine", "path", "name"),
    [
        ("elevenlabs", elevenlabs_live.PATH, "elevenlabs-live"),
        ("openai", openai_live.PATH, "openai-live"),
        ("upload", TRANSCRIPTIONS, "openai"),
    ],
)
def test_the_setting_says_who_hears_live(
    remote_engines: FakeProvider, settings: Settings, engine: str, path: str, name: str
) -> None:
    settings.LIVE_SPEECH_TO_TEXT = engine

    assert registry.call(hear_live) == f"{name}: {remote_engines.behaviour.transcript}"

    assert {request.path for request in remote_engines.requests} == {path}


def test_live_hearing_that_is_down_stops_nothing_else(
    remote_engines: FakeProvider, settings: Settings, unused_port: int
) -> None:
    settings.ELEVENLABS_BASE_URL, settings.PROVIDER_RETRIES = f"http://127.0.0.1:{unused_port}", 0

    for _ in range(settings.BREAKER_FAILURES):
        with pytest.raises(ProviderError, match="provider_unreachable"):
            registry.call(hear_live)

    assert availability.breakers()["elevenlabs-live", "hear"].state is State.OPEN
    availability.require_live_hearing()  # The whole question goes to the other engine.
    settings.LIVE_SPEECH_TO_TEXT = "upload"
    availability.require_live_hearing()
    assert registry.call(hear_live).startswith("openai: ")


@pytest.mark.parametrize(("down", "is_heard"), [({"openai"}, True), ({"elevenlabs-live", "openai"}, False)])
def test_a_live_question_needs_one_engine_that_hears(
    remote_engines: FakeProvider, settings: Settings, down: set[str], is_heard: bool
) -> None:
    for engine in down:
        availability.breakers_of(engine)["hear"].follow(open_seconds=9)

    with nullcontext() if is_heard else pytest.raises(ProviderError, match="provider_unavailable"):
        availability.require_live_hearing()


def test_the_account_goes_to_openai_only(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "ours")
    settings.STT_BASE_URL = settings.OPENAI_BASE_URL

    assert configs.openai_live_config().headers == {"OpenAI-Organization": "ours"}
    settings.STT_BASE_URL = "https://ears.example.org/v1"
    assert configs.openai_live_config().headers == {}
