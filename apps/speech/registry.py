"""The one place that turns settings into engines.

HTTP clients belong to the event loop that they were made on, so there is one set of engines for each loop: the web
server's, kept open as long as it runs, or that of a command or a test, closed with the work that needed it.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import async_to_sync
from django.conf import settings

from apps.speech.base import LanguageModel, ProviderError, Recording, SpeechToText, Stage, TextToSpeech, VoiceCloner
from apps.speech.decoder_pool import DecoderLimits, DecoderPool

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from apps.speech.elevenlabs import ElevenLabsClient, ElevenLabsConfig
    from apps.speech.local.config import LocalConfig
    from apps.speech.openai import OpenAIConfig

# Engines' packages take seconds to import: they are imported when an engine is first made, which the web server does
# before its first request, and a command that speaks with nobody never does.

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

LOCAL = "local"

_kept_open: WeakKeyDictionary[asyncio.AbstractEventLoop, Engines] = WeakKeyDictionary()


class Engines:
    """The configured engines on one event loop. Each is made on first use; clients are shared between them."""

    @cached_property
    def speech_to_text(self) -> SpeechToText:
        if settings.SPEECH_TO_TEXT == LOCAL:
            from apps.speech.local.whisper import LocalSpeechToText

            return LocalSpeechToText(self._local_config)
        from apps.speech.openai import OpenAISpeechToText

        return OpenAISpeechToText(self._openai_client, self._openai_config)

    @cached_property
    def language_model(self) -> LanguageModel:
        if settings.LANGUAGE_MODEL == LOCAL:
            from apps.speech.local.llama import LocalLanguageModel

            return LocalLanguageModel(self._local_config)
        from apps.speech.openai import OpenAILanguageModel

        return OpenAILanguageModel(self._openai_client, self._openai_config)

    def chosen_language_model(self, model: str) -> LanguageModel:
        """Return the language model for a conversation that chose `model`; where it is not offered, the site's own."""
        if settings.LANGUAGE_MODEL == LOCAL or model not in settings.OPENAI_CHAT_MODELS:
            return self.language_model
        from apps.speech.openai import OpenAILanguageModel

        return OpenAILanguageModel(self._openai_client, replace(self._openai_config, chat_model=model))

    def text_to_speech(self, provider: str) -> TextToSpeech:
        """Return the engine that speaks with the voices of `provider`."""
        if provider == LOCAL:
            return self._local_text_to_speech
        self._require_elevenlabs_key("speak")
        return self._elevenlabs_text_to_speech

    def voice_cloner(self, provider: str) -> VoiceCloner:
        """Return the engine that makes and deletes the voices of `provider`."""
        if provider == LOCAL:
            from apps.speech.local.kokoro import LocalVoiceCloner

            return LocalVoiceCloner(self._local_config)
        self._require_elevenlabs_key("clone")
        from apps.speech.elevenlabs import ElevenLabsVoiceCloner

        return ElevenLabsVoiceCloner(self._elevenlabs_client, self._elevenlabs_config)

    async def warm_up(self) -> None:
        """Make the engines that a turn needs, so that no request imports a package, loads a model or has to connect."""
        engines = (self.speech_to_text, self.language_model, self.text_to_speech(settings.TEXT_TO_SPEECH))
        for engine in engines:
            preload = getattr(engine, "preload", None)
            if preload is not None:
                await _preload(preload)
        await self._connect()

    async def _connect(self) -> None:
        calls: list[Awaitable[None]] = []
        if "_openai_client" in self.__dict__:
            from apps.speech import openai

            calls.append(openai.connect(self._openai_client))
        if "_elevenlabs_client" in self.__dict__:
            from apps.speech import elevenlabs

            calls.append(elevenlabs.connect(self._elevenlabs_client))
        await asyncio.gather(*calls)

    async def close(self) -> None:
        """Close the connections of the clients that were made."""
        for name in ("_openai_client", "_elevenlabs_client"):
            if name in self.__dict__:
                await getattr(self, name).close()

    @cached_property
    def _local_text_to_speech(self) -> TextToSpeech:
        from apps.speech.local.kokoro import LocalTextToSpeech

        return LocalTextToSpeech(self._local_config)

    @cached_property
    def _elevenlabs_text_to_speech(self) -> TextToSpeech:
        from apps.speech.elevenlabs import ElevenLabsTextToSpeech

        return ElevenLabsTextToSpeech(self._elevenlabs_client, self._elevenlabs_config)

    @staticmethod
    def _require_elevenlabs_key(stage: Stage) -> None:
        if not settings.ELEVENLABS_API_KEY:
            raise ProviderError("provider_not_configured", stage=stage, retryable=False)

    @cached_property
    def _openai_client(self) -> AsyncOpenAI:
        from apps.speech.openai import create_client

        return create_client(self._openai_config)

    @cached_property
    def _openai_config(self) -> OpenAIConfig:
        from apps.speech.openai import OpenAIConfig

        effort = settings.OPENAI_REASONING_EFFORT
        return OpenAIConfig(
            api_key=settings.OPENAI_API_KEY,
            base_url=settings.OPENAI_BASE_URL,
            transcription_model=settings.OPENAI_STT_MODEL,
            chat_model=settings.OPENAI_CHAT_MODEL,
            reasoning_effort="" if effort == "default" else effort,
        )

    @cached_property
    def _elevenlabs_client(self) -> ElevenLabsClient:
        from apps.speech.elevenlabs import create_client

        return create_client(self._elevenlabs_config)

    @cached_property
    def _elevenlabs_config(self) -> ElevenLabsConfig:
        from apps.speech.elevenlabs import ElevenLabsConfig

        return ElevenLabsConfig(
            api_key=settings.ELEVENLABS_API_KEY,
            base_url=settings.ELEVENLABS_BASE_URL,
            model=settings.ELEVENLABS_TTS_MODEL,
            max_concurrent=settings.ELEVENLABS_MAX_CONCURRENT,
        )

    @cached_property
    def _local_config(self) -> LocalConfig:
        from apps.speech.local.config import LocalConfig

        return LocalConfig(
            models_dir=settings.MODELS_DIR,
            voices_dir=Path(settings.MEDIA_ROOT) / "local-voices",
            stt_model=settings.LOCAL_STT_MODEL,
            chat_model=settings.LOCAL_CHAT_MODEL,
            threads=min(2, os.cpu_count() or 1),
        )


async def _preload(preload: Callable[[], Awaitable[None]]) -> None:
    """Load a model; without its weights the site still serves everything else and says what is missing."""
    try:
        await preload()
    except ProviderError as error:
        logger.warning(error.message)


def decode(data: bytes, *, sample_rate: int, max_seconds: float) -> Recording:
    """Decode what somebody uploaded, as `audio.decode` does, in a process made for that.

    Raises AudioError, also audio_too_costly, and AudioBusyError.
    """
    return _decoders().decode(data, sample_rate=sample_rate, max_seconds=max_seconds)


@cache
def _decoders() -> DecoderPool:
    """Return the processes that decode for this one. They do not depend on any event loop."""
    limits = DecoderLimits(
        processes=settings.DECODING_PROCESSES,
        jobs=settings.DECODING_JOBS,
        cpu_seconds=settings.DECODING_CPU_SECONDS,
        seconds=settings.DECODING_SECONDS,
        memory_bytes=settings.DECODING_MEGABYTES * 1_000_000,
        wait_seconds=settings.DECODING_WAIT_SECONDS,
    )
    pool = DecoderPool(limits)
    atexit.register(pool.close)
    return pool


async def open_engines() -> None:
    """Make the engines of the running event loop and keep them until `close_engines`; have the decoders ready."""
    await asyncio.to_thread(_decoders().warm_up)
    engines = _kept_open[asyncio.get_running_loop()] = Engines()
    await engines.warm_up()


async def close_engines() -> None:
    """Close what `open_engines` opened on the running event loop."""
    engines = _kept_open.pop(asyncio.get_running_loop(), None)
    if engines is not None:
        await engines.close()


@asynccontextmanager
async def current_engines() -> AsyncIterator[Engines]:
    """Give the engines of the running event loop: those kept open, or else some that are closed afterwards."""
    kept = _kept_open.get(asyncio.get_running_loop())
    if kept is not None:
        yield kept
        return
    engines = Engines()
    try:
        yield engines
    finally:
        await engines.close()


def call(work: Callable[[Engines], Awaitable[Result]]) -> Result:
    """Run `work` with the current engines from synchronous code, and wait for what it returns."""

    async def run() -> Result:
        async with current_engines() as engines:
            return await work(engines)

    return async_to_sync(run)()
