"""Calls of the voice server's engines against the fake voice server, each with a client of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from apps.speech.base import ProviderVoice, Recording, SpokenConsent, VoiceSettings
from apps.speech.providers.voice_server.client import VoiceServerClient, VoiceServerConfig
from apps.speech.providers.voice_server.engine import (
    Dialect,
    VoiceServerTextToSpeech,
    VoiceServerVoiceCloner,
    dialect_of,
)
from apps.speech.voice_folder import VoiceFolder
from tests.audio_samples import clip
from tests.fakes.voice_servers import FakeVoiceServer, Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Result = TypeVar("Result")

TEXT = "The capital of France is Paris."
WORDS = "These are the words of the sample."
SAMPLES = [clip("austen-0870.wav"), clip("austen-0920.wav")]
OTHER_SAMPLES = [clip("austen-0930.wav")]
TAG = UUID("7d9bb1a8-4cd3-4f0a-9a1c-6b2f6f0f3a11")
NAME = f"Jane Doe [{TAG}]"
SERVER_NAME = f"voiceclone-{TAG.hex}"
CONSENT = SpokenConsent(clip("austen-0930.wav"), "en")
DIALECTS = {"sglang": "openai", "vllm": "openai", "openai": "openai", "omlx": "reference", "chatterbox": "chatterbox"}


def config_for(server: FakeVoiceServer, folder: Path, **changes: Any) -> VoiceServerConfig:
    values: dict[str, Any] = {
        "base_url": server.base_url,
        "dialect": DIALECTS[server.kind],
        "voices_dir": VoiceFolder(folder),
        "model": "clone-1",
    }
    return VoiceServerConfig(**values | changes)


def run(config: VoiceServerConfig, work: Callable[[Dialect], Awaitable[Result]], words: str = WORDS) -> Result:
    async def transcribe(_recording: Recording) -> str:
        return words

    async def main() -> Result:
        client = VoiceServerClient(config)
        try:
            return await work(dialect_of(client, config, transcribe))
        finally:
            await client.close()

    return asyncio.run(main())


class Calls:
    """The calls of one configuration. `changes` are those of single calls."""

    def __init__(self, server: FakeVoiceServer, folder: Path) -> None:
        self.server = server
        self.folder = folder

    def use(self, kind: Kind) -> Calls:
        self.server.kind = kind
        return self

    def config(self, **changes: Any) -> VoiceServerConfig:
        return config_for(self.server, self.folder, **changes)

    def create(
        self, samples: list[Recording] = SAMPLES, *, name: str = NAME, words: str = WORDS, **changes: Any
    ) -> str:
        consent, config = changes.pop("consent", CONSENT), self.config(**changes)
        return run(
            config,
            lambda dialect: VoiceServerVoiceCloner(dialect, config).create(name, samples, consent=consent),
            words,
        )

    def delete(self, voice_id: str, **changes: Any) -> None:
        config = self.config(**changes)
        run(config, lambda dialect: VoiceServerVoiceCloner(dialect, config).delete(voice_id))

    def list_voices(self, **changes: Any) -> list[ProviderVoice]:
        config = self.config(**changes)
        return run(config, lambda dialect: VoiceServerVoiceCloner(dialect, config).list())

    def speak(
        self,
        voice_id: str,
        *,
        text: str = TEXT,
        chunks: list[bytes] | None = None,
        times: int = 1,
        instructions: str = "",
        **changes: Any,
    ) -> bytes:
        """Return all PCM. `chunks` also gets the chunks that arrive before a failure."""
        config = self.config(**changes)
        heard: list[bytes] = [] if chunks is None else chunks
        settings = VoiceSettings(speed=1.2, instructions=instructions)

        async def listen(dialect: Dialect) -> bytes:
            engine = VoiceServerTextToSpeech(dialect, config)
            for _number in range(times):
                sound = engine.speak(text, voice_id=voice_id, settings=settings, previous_text="")
                async for chunk in sound:
                    heard.append(chunk)  # noqa: PERF401 - The chunks before a failure count.
            return b"".join(heard)

        return run(config, listen)
