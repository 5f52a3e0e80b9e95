"""Voice cloning and text to speech through an HTTP server of the operator's own, in one of three dialects."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Protocol

from apps.speech.base import ProviderError
from apps.speech.providers.pcm import coalesced
from apps.speech.providers.retries import stream_with_retries
from apps.speech.providers.slots import Slots, SpeechSlots
from apps.speech.providers.voice_server import reference
from apps.speech.providers.voice_server.chatterbox import ChatterboxVoices
from apps.speech.providers.voice_server.client import server_errors
from apps.speech.providers.voice_server.excerpts import excerpt
from apps.speech.providers.voice_server.openai_voices import OpenAIVoices
from apps.speech.providers.voice_server.sound import SAMPLE_RATE, pcm_of

if TYPE_CHECKING:
    import builtins
    import re
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    import httpx

    from apps.speech.base import ProviderVoice, Recording, SpokenConsent, Stage, VoiceSettings
    from apps.speech.providers.voice_server.client import VoiceServerClient, VoiceServerConfig


class Dialect(Protocol):
    """How one kind of server stores and uses voices. All methods raise ProviderError."""

    @property
    def voice_id_pattern(self) -> re.Pattern[str]:
        """What the ids of this dialect's voices look like: no other dialect has such ids."""
        ...

    async def create(self, name: str, reference: Recording, consent: SpokenConsent | None) -> str: ...

    async def delete(self, voice_id: str) -> None: ...

    async def list(self) -> builtins.list[ProviderVoice]: ...

    def speech(self, text: str, voice_id: str, *, instructions: str) -> AbstractAsyncContextManager[httpx.Response]:
        """Give the answer that contains the speech of `text`, a 2xx. Only one dialect knows `instructions`."""
        ...


def dialect_of(
    client: VoiceServerClient, config: VoiceServerConfig, transcribe: Callable[[Recording], Awaitable[str]]
) -> Dialect:
    """Return the dialect that `config` names. `transcribe` returns the words of a recording, maybe ""."""
    match config.dialect:
        case "openai":
            return OpenAIVoices(client, config, transcribe)
        case "reference":
            return reference.ReferenceVoices(client, config, transcribe)
        case _:
            return ChatterboxVoices(client)


class VoiceServerTextToSpeech:
    """A TextToSpeech with the voices of VoiceServerVoiceCloner. Of the settings, it passes on the instructions."""

    sample_rate = SAMPLE_RATE

    def __init__(self, dialect: Dialect, config: VoiceServerConfig, slots: SpeechSlots | None = None) -> None:
        self._dialect = dialect
        self._config = config
        self._slots: SpeechSlots = slots or Slots(config.max_concurrent)

    async def speak(
        self, text: str, *, voice_id: str, settings: VoiceSettings, previous_text: str
    ) -> AsyncGenerator[bytes, None]:
        _require_own(self._dialect, voice_id, "speak")  # Not a matter of the server, and so of no breaker.
        sound = stream_with_retries(
            partial(self._chunks, text, voice_id, settings.instructions, is_first=not previous_text),
            breaker=self._config.breakers["speak"],
            first_seconds=self._config.first_audio_seconds,
            idle_seconds=self._config.idle_seconds,
            max_retries=self._config.max_retries,
        )
        async with aclosing(sound) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _chunks(
        self, text: str, voice_id: str, instructions: str, *, is_first: bool
    ) -> AsyncGenerator[bytes, None]:
        # The listener hears nothing until the first segment of a turn. It has priority over later segments of others.
        async with self._slots.slot(urgent=is_first):
            with server_errors("speak"):
                async with (
                    self._dialect.speech(text, voice_id, instructions=instructions) as response,
                    aclosing(coalesced(pcm_of(response), SAMPLE_RATE)) as chunks,
                ):
                    async for chunk in chunks:
                        yield chunk


class VoiceServerVoiceCloner:
    """A VoiceCloner for the voices of one dialect."""

    def __init__(self, dialect: Dialect, config: VoiceServerConfig) -> None:
        self._dialect = dialect
        self._config = config

    async def create(self, name: str, samples: Sequence[Recording], *, consent: SpokenConsent | None = None) -> str:
        best = await asyncio.to_thread(excerpt, samples)
        return await self._dialect.create(name, best, consent)

    async def delete(self, voice_id: str) -> None:
        if reference.VOICE_ID.fullmatch(voice_id):  # It is here, whatever server is used now.
            await asyncio.to_thread(reference.forget, self._config.voices_dir, voice_id)
            return
        _require_own(self._dialect, voice_id, "clone")
        await self._dialect.delete(voice_id)

    async def list(self) -> builtins.list[ProviderVoice]:
        return await self._dialect.list()


def _require_own(dialect: Dialect, voice_id: str, stage: Stage) -> None:
    """Raise ProviderError provider_not_configured for a voice of another dialect: its server is no longer known."""
    if not dialect.voice_id_pattern.fullmatch(voice_id):
        raise ProviderError("provider_not_configured", stage=stage, retryable=False)
