"""The one place that turns settings into engines.

HTTP clients belong to the event loop that they were made on, so there is one set of engines for each loop: the web
server's, kept open as long as it runs, or that of a command or a test, closed with the work that needed it.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import async_to_sync
from django.conf import settings

from apps.speech.base import LanguageModel, ProviderError, Recording, SpeechToText, Stage, TextToSpeech, VoiceCloner
from apps.speech.breakers import Breaker, Breakers
from apps.speech.decoder_pool import DecoderLimits, DecoderPool
from apps.speech.fallback import FallbackLanguageModel, FallbackSpeechToText
from apps.speech.marks import MarkError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from apps.speech.elevenlabs import ElevenLabsClient, ElevenLabsConfig
    from apps.speech.local.config import LocalConfig
    from apps.speech.local.identity import Voiceprint
    from apps.speech.openai import OpenAIConfig
    from apps.speech.signing import Marker

# Engines' packages take seconds to import: they are imported when an engine is first made, which the web server does
# before its first request, and a command that speaks with nobody never does.

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

LOCAL = "local"

# All event loops share them: each learns from what the others see.
_breakers: dict[str, Breakers] = {}
_kept_open: WeakKeyDictionary[asyncio.AbstractEventLoop, Engines] = WeakKeyDictionary()


class Engines:
    """The configured engines on one event loop. Each is made on first use; clients are shared between them."""

    @property
    def speech_to_text(self) -> SpeechToText:
        """The engine that hears. Where there are two, what is returned is for one call and tells which one heard."""
        engines = [self._local_hearing if name == LOCAL else self._openai_hearing for name in engines_of("hear")]
        return engines[0] if len(engines) == 1 else FallbackSpeechToText(engines)

    @property
    def language_model(self) -> LanguageModel:
        """The site's own language model. Where there are two, it is for one call and tells which one replied."""
        return self.chosen_language_model("")

    def chosen_language_model(self, model: str) -> LanguageModel:
        """Return the language model for a conversation that chose `model`; where it is not offered, the site's own."""
        engines = [self._local_model if name == LOCAL else self._openai_model(model) for name in engines_of("think")]
        return engines[0] if len(engines) == 1 else FallbackLanguageModel(engines)

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

    async def identify_speaker(self, recording: Recording) -> Voiceprint:
        """Return who speaks in `recording`, to compare with another one."""
        from apps.speech.local import identity

        return await identity.identify(recording, self._local_config, stage="clone")

    async def warm_up(self) -> None:
        """Make the engines that a turn needs, so that no request imports a package, loads a model or has to connect."""
        hearing = [self._local_hearing if name == LOCAL else self._openai_hearing for name in engines_of("hear")]
        thinking = [self._local_model if name == LOCAL else self._openai_model("") for name in engines_of("think")]
        for engine in (*hearing, *thinking, self.text_to_speech(settings.TEXT_TO_SPEECH)):
            preload = getattr(engine, "preload", None)
            if preload is not None:
                await _preload(preload)
        from apps.speech.local import speaker

        await _preload(lambda: speaker.preload(self._local_config))
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
    def _local_hearing(self) -> SpeechToText:
        from apps.speech.local.whisper import LocalSpeechToText

        return LocalSpeechToText(self._local_config)

    @cached_property
    def _openai_hearing(self) -> SpeechToText:
        from apps.speech.openai import OpenAISpeechToText

        return OpenAISpeechToText(self._openai_client, self._openai_config)

    @cached_property
    def _local_model(self) -> LanguageModel:
        from apps.speech.local.llama import LocalLanguageModel

        return LocalLanguageModel(self._local_config)

    def _openai_model(self, model: str) -> LanguageModel:
        from apps.speech.openai import OpenAILanguageModel

        is_offered = model in settings.OPENAI_CHAT_MODELS
        config = replace(self._openai_config, chat_model=model) if is_offered else self._openai_config
        return OpenAILanguageModel(self._openai_client, config)

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
            connect_seconds=settings.PROVIDER_CONNECT_SECONDS,
            hear_seconds=settings.HEAR_SECONDS,
            first_token_seconds=settings.FIRST_TOKEN_SECONDS,
            idle_seconds=settings.TOKEN_IDLE_SECONDS,
            reply_seconds=settings.REPLY_SECONDS,
            max_retries=settings.PROVIDER_RETRIES,
            breakers=breakers_of("openai"),
        )

    @cached_property
    def _elevenlabs_client(self) -> ElevenLabsClient:
        from apps.speech.elevenlabs import ElevenLabsClient

        return ElevenLabsClient(self._elevenlabs_config)

    @cached_property
    def _elevenlabs_config(self) -> ElevenLabsConfig:
        from apps.speech.elevenlabs import ElevenLabsConfig

        return ElevenLabsConfig(
            api_key=settings.ELEVENLABS_API_KEY,
            base_url=settings.ELEVENLABS_BASE_URL,
            model=settings.ELEVENLABS_TTS_MODEL,
            max_concurrent=settings.ELEVENLABS_MAX_CONCURRENT,
            connect_seconds=settings.PROVIDER_CONNECT_SECONDS,
            first_audio_seconds=settings.FIRST_AUDIO_SECONDS,
            idle_seconds=settings.AUDIO_IDLE_SECONDS,
            clone_seconds=settings.CLONE_SECONDS,
            max_retries=settings.PROVIDER_RETRIES,
            breakers=breakers_of("elevenlabs"),
        )

    @property
    def _local_config(self) -> LocalConfig:
        from apps.speech.local.config import LocalConfig

        return LocalConfig(
            models_dir=settings.MODELS_DIR,
            voices_dir=Path(settings.MEDIA_ROOT) / "local-voices",
            stt_model=settings.LOCAL_STT_MODEL,
            chat_model=settings.LOCAL_CHAT_MODEL,
            threads=min(2, os.cpu_count() or 1),
        )


def engines_of(stage: Stage) -> list[str]:
    """Return the engines of a stage: the first one, and the one that takes over while that is down."""
    engines = {
        "hear": [settings.SPEECH_TO_TEXT, settings.SPEECH_TO_TEXT_FALLBACK],
        "think": [settings.LANGUAGE_MODEL, settings.LANGUAGE_MODEL_FALLBACK],
        "speak": [settings.TEXT_TO_SPEECH],
        "clone": [settings.TEXT_TO_SPEECH],
    }
    return [engine for engine in engines[stage] if engine]


def breakers_of(provider: str) -> Breakers:
    """Return the breakers of a remote service, which all engines of this process share."""
    if provider not in _breakers:
        _breakers[provider] = Breakers(failures=settings.BREAKER_FAILURES, seconds=settings.BREAKER_SECONDS)
    return _breakers[provider]


def breakers_in_use() -> Iterable[Breakers]:
    """Return the breakers that calls have gone through, whatever the settings name now."""
    return _breakers.values()


def breakers() -> dict[tuple[str, Stage], Breaker]:
    """Return the breakers of the remote services that the settings name, by service and stage."""
    return {
        (engine, stage): breakers_of(engine)[stage]
        for stage in ("clone", "hear", "think", "speak")
        for engine in engines_of(stage)
        if engine != LOCAL
    }


def require_working(stage: Stage, *, provider: str = "") -> None:
    """Raise the error "provider_unavailable" where nothing works at `stage`, before anything is done and paid.

    `provider` is the one that it has to be, where it may not be any.
    """
    engines = [provider] if provider else engines_of(stage)
    if LOCAL in engines:
        return
    down: ProviderError | None = None
    for engine in engines:
        try:
            breakers_of(engine)[stage].check()
        except ProviderError as error:
            down = error
        else:
            return
    if down is not None:
        raise down


def is_working(stage: Stage) -> bool:
    """Whether an engine of `stage` works, as far as is known."""
    try:
        require_working(stage)
    except ProviderError:
        return False
    return True


async def _preload(preload: Callable[[], Awaitable[None]]) -> None:
    """Load a model; without its weights the site still serves everything else and says what is missing."""
    try:
        await preload()
    except ProviderError as error:
        logger.warning(error.message)


def marker() -> Marker:
    """Return what signs synthetic speech: with the operator's certificate, or with one made on the first start.

    Raises CertificateError.
    """
    return _marker(settings.MARKS_DIR, settings.MARKS_CERTIFICATE, settings.MARKS_KEY)


@cache
def _marker(folder: Path, certificate: str, key: str) -> Marker:
    from apps.speech import certificates
    from apps.speech.signing import Marker

    if certificate:
        identity = certificates.identity_in_files(Path(certificate), Path(key))
    else:
        identity = certificates.own_identity(folder)
    chains = {identity.chain, *certificates.chains_in(folder)}
    return Marker(
        identity,
        roots=b"".join(sorted(map(certificates.root_of, chains))),
        serial_numbers=frozenset(map(certificates.serial_number_of, chains)),
    )


def _prepare_marker() -> None:
    """Make the marker before the first request needs it; without one the site still serves everything else."""
    try:
        marker()
    except MarkError as error:
        logger.error("Synthetic speech can not be signed: %s", error)


def decode(data: bytes, *, sample_rate: int, max_seconds: float, asker: int) -> Recording:
    """Decode what the user with the key `asker` uploaded, as `audio.decode` does, in a process made for that.

    Raises AudioError, also audio_too_costly, and AudioBusyError.
    """
    return _decoders().decode(data, sample_rate=sample_rate, max_seconds=max_seconds, asker=asker)


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
    await asyncio.to_thread(_prepare_marker)


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
