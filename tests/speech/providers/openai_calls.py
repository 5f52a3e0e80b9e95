"""Calls of the OpenAI engines against the fake provider, each with a client of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from apps.speech.base import Message, Recording, Transcript
from apps.speech.providers.openai import OpenAIConfig, OpenAILanguageModel, OpenAISpeechToText, create_client
from tests.fakes.elevenlabs import speech
from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openai import AsyncOpenAI

Result = TypeVar("Result")

QUESTION = [Message("system", "Be brief."), Message("user", "What is the capital of France?")]
RECORDING = Recording(speech("What is the capital of France?", 24_000), 24_000)


def config_for(provider: FakeProvider, **changes: Any) -> OpenAIConfig:
    values = {
        "api_key": "test-key",
        "base_url": provider.openai_url,
        "model": "model-1",
    }
    return OpenAIConfig(**values | changes)


def run(config: OpenAIConfig, work: Callable[[AsyncOpenAI], Awaitable[Result]]) -> Result:
    async def main() -> Result:
        client = create_client(config)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(main())


def transcribe(provider: FakeProvider, *, language: str = "", **changes: Any) -> Transcript:
    config = config_for(provider, **changes)
    return run(config, lambda client: OpenAISpeechToText(client, config).transcribe(RECORDING, language=language))


def transcribe_with_times(provider: FakeProvider, *, words: bool = False, **changes: Any) -> Transcript:
    config = config_for(provider, **{"model": "whisper-1"} | changes)
    return run(
        config,
        lambda client: OpenAISpeechToText(client, config).transcribe_with_times(RECORDING, language="", words=words),
    )


def reply(provider: FakeProvider, said: list[str] | None = None, **changes: Any) -> str:
    """Return the whole reply. `said` also gets the deltas that arrive before a failure."""
    config = config_for(provider, **changes)
    deltas: list[str] = [] if said is None else said

    async def read(client: AsyncOpenAI) -> str:
        async for delta in OpenAILanguageModel(client, config).reply(QUESTION, max_tokens=200):
            deltas.append(delta)  # noqa: PERF401 - The deltas before a failure count.
        return "".join(deltas)

    return run(config, read)
