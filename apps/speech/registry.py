"""The engines of each event loop, and the decoder pool of the process.

An HTTP client belongs to the event loop that created it, so each loop has its own set of engines. The web server keeps
its set open as long as it runs. A command or a test opens one for a piece of work and closes it afterwards.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import cache, cached_property
from typing import TYPE_CHECKING, TypeVar, get_args
from weakref import WeakKeyDictionary

from asgiref.sync import async_to_sync

from apps.speech import base, configs, sharing, signer
from apps.speech.audio import speech_presence
from apps.speech.audio.decoder_pool import DecoderPool
from apps.speech.availability import engines_of, require_configured, stages_with_weights
from apps.speech.base import (
    LOCAL,
    LanguageModel,
    LiveSpeechToText,
    Message,
    ProviderError,
    Recording,
    SpeechToText,
    Stage,
    TextToSpeech,
    VoiceCloner,
)
from apps.speech.live import create_live_speech_to_text
from apps.speech.normalization import text as normalization
from apps.speech.providers.fallback import FallbackLanguageModel, FallbackSpeechToText

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from apps.speech.local.config import LocalConfig
    from apps.speech.local.identity import Voiceprint
    from apps.speech.local.llama import LocalLanguageModel
    from apps.speech.providers.elevenlabs import ElevenLabsClient, ElevenLabsConfig
    from apps.speech.providers.openai import OpenAIConfig
    from apps.speech.providers.shared_limits import SharedLimits
    from apps.speech.providers.voice_server.client import VoiceServerClient, VoiceServerConfig
    from apps.speech.providers.voice_server.engine import Dialect

# The packages of engines take seconds to import, so they are imported when an engine is first created. The web server
# does that before its first request; a command that uses no engine never does.

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

ALL_STAGES: frozenset[Stage] = frozenset(get_args(Stage))
WEIGHTS_CHECK_SECONDS = 1

_late_loading: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]] = WeakKeyDictionary()
_kept_open: WeakKeyDictionary[asyncio.AbstractEventLoop, Engines] = WeakKeyDictionary()
_waiting_context: Callable[[], AbstractAsyncContextManager[object]] = nullcontext


class Engines:
    """The configured engines of one event loop. Each is created on first use; engines of one server share a client."""

    def __init__(self) -> None:
        self._openai_clients: dict[tuple[str, str], AsyncOpenAI] = {}  # By address and key.

    @property
    def speech_to_text(self) -> SpeechToText:
        """The engine of the stage "hear". With a fallback, use it for one call: its name tells which engine heard."""
        engines = self.speech_to_text_engines()
        return engines[0] if len(engines) == 1 else FallbackSpeechToText(engines)

    @cached_property
    def live_speech_to_text(self) -> LiveSpeechToText:
        """The engine that hears while it is spoken."""
        return create_live_speech_to_text(lambda: self.speech_to_text)

    @property
    def language_model(self) -> LanguageModel:
        """The site's own language model. With a fallback, use it for one call: its name tells which one replied."""
        return self.chosen_language_model("")

    def chosen_language_model(self, model: str) -> LanguageModel:
        """Return the language model that a conversation chose, or the site's own if `model` is not offered."""
        engines = self.language_models(model)
        return engines[0] if len(engines) == 1 else FallbackLanguageModel(engines)

    def text_to_speech(self, provider: str) -> TextToSpeech:
        """Return the engine that speaks with the voices of `provider`. Raises ProviderError provider_not_configured."""
        require_configured(provider, "speak")
        match provider:
            case base.LOCAL:
                return self._local_text_to_speech
            case base.SERVER:
                return self._server_text_to_speech
            case base.POCKET:
                return self._pocket_text_to_speech
            case _:
                return self._elevenlabs_text_to_speech

    def voice_cloner(self, provider: str) -> VoiceCloner:
        """Return the engine that creates and deletes voices of `provider`.

        Raises ProviderError provider_not_configured.
        """
        require_configured(provider, "clone")
        match provider:
            case base.LOCAL:
                from apps.speech.local.kokoro import LocalVoiceCloner

                return LocalVoiceCloner(self._local_config)
            case base.SERVER:
                from apps.speech.providers.voice_server.engine import VoiceServerVoiceCloner

                return VoiceServerVoiceCloner(self._server_dialect, self._server_config)
            case base.POCKET:
                from apps.speech.local.pocket import PocketVoiceCloner

                return PocketVoiceCloner(configs.pocket_config())
            case _:
                from apps.speech.providers.elevenlabs import ElevenLabsVoiceCloner

                return ElevenLabsVoiceCloner(self._elevenlabs_client, self._elevenlabs_config)

    async def identify_speaker(self, recording: Recording) -> Voiceprint:
        """Return the voiceprint of the speaker of `recording`, to compare with another one."""
        from apps.speech.local import identity

        return await identity.identify(recording, self._local_config, stage="clone")

    async def warm_up(self, opening: Sequence[Message] = ()) -> None:
        """Create the engines that a turn needs, so that no request has to import a package, load a model or connect.

        `opening` are messages with which conversations begin. An embedded language model reads them ahead.
        """
        if self._shared_limits is not None:
            self._shared_limits.start()
        with_weights = stages_with_weights()
        speaking = [self.text_to_speech(provider) for provider in engines_of("speak")]
        hearing, thinking = self.speech_to_text_engines(), self.language_models()
        _ = self.live_speech_to_text  # It has nothing to load but its packages.
        for stage, engines in (("hear", hearing), ("speak", speaking), ("think", thinking)):
            for engine in engines if stage in with_weights else ():
                preload = getattr(engine, "preload", None)
                if preload is not None:
                    await _preload(preload)
                read_ahead = getattr(engine, "read_ahead", None)
                if read_ahead is not None and opening:
                    await _preload(functools.partial(read_ahead, opening))
        if "clone" in with_weights:
            from apps.speech.local import speaker

            await _preload(lambda: speaker.preload(self._local_config))
        await self._connect()

    async def _connect(self) -> None:
        calls: list[Awaitable[None]] = []
        if self._openai_clients:
            from apps.speech.providers import openai

            calls += [openai.connect(client) for client in self._openai_clients.values()]
        if "_elevenlabs_client" in self.__dict__:
            from apps.speech.providers import elevenlabs

            calls.append(elevenlabs.connect(self._elevenlabs_client))
        if "_server_client" in self.__dict__:
            calls.append(self._server_client.connect())
        await asyncio.gather(*calls)

    async def close(self) -> None:
        """Close the connections of the clients that were created."""
        for client in self._openai_clients.values():
            await client.close()
        for name in ("_elevenlabs_client", "_server_client"):
            if name in self.__dict__:
                await getattr(self, name).close()
        if limits := self.__dict__.get("_shared_limits"):
            await limits.close()

    def speech_to_text_engines(self) -> list[SpeechToText]:
        """Return the engines of the stage "hear": the first choice, then its fallback if one is set."""
        names = engines_of("hear")
        return [self._local_speech_to_text if name == LOCAL else self._openai_speech_to_text for name in names]

    def language_models(self, model: str = "") -> list[LanguageModel]:
        """Return the engines of the stage "think", as `speech_to_text_engines` does. `model` is a choice or ""."""
        names = engines_of("think")
        return [self.local_language_model if name == LOCAL else self._openai_language_model(model) for name in names]

    @cached_property
    def _local_speech_to_text(self) -> SpeechToText:
        from apps.speech.local.whisper import LocalSpeechToText

        return LocalSpeechToText(self._local_config)

    @cached_property
    def _openai_speech_to_text(self) -> SpeechToText:
        from apps.speech.providers.openai import OpenAISpeechToText

        config = configs.speech_to_text_config()
        return OpenAISpeechToText(self._openai_client(config), config)

    @cached_property
    def local_language_model(self) -> LocalLanguageModel:
        from apps.speech.local.llama import LocalLanguageModel

        return LocalLanguageModel(self._local_config)

    def _openai_language_model(self, model: str) -> LanguageModel:
        from apps.speech.providers.openai import OpenAILanguageModel

        config = configs.with_chat_model(self._language_model_config, model)
        return OpenAILanguageModel(self._openai_client(config), config)

    @cached_property
    def _local_text_to_speech(self) -> TextToSpeech:
        from apps.speech.local.kokoro import LocalTextToSpeech

        return LocalTextToSpeech(self._local_config)

    @cached_property
    def _pocket_text_to_speech(self) -> TextToSpeech:
        from apps.speech.local.pocket import PocketTextToSpeech

        return PocketTextToSpeech(configs.pocket_config())

    @cached_property
    def _elevenlabs_text_to_speech(self) -> TextToSpeech:
        from apps.speech.providers.elevenlabs import ElevenLabsTextToSpeech

        config = self._elevenlabs_config
        return ElevenLabsTextToSpeech(
            self._elevenlabs_client, config, sharing.slots(self._shared_limits, base.ELEVENLABS, config.max_concurrent)
        )

    @cached_property
    def _server_text_to_speech(self) -> TextToSpeech:
        from apps.speech.providers.voice_server.engine import VoiceServerTextToSpeech

        config = self._server_config
        return VoiceServerTextToSpeech(
            self._server_dialect, config, sharing.slots(self._shared_limits, base.SERVER, config.max_concurrent)
        )

    @cached_property
    def _shared_limits(self) -> SharedLimits | None:
        return sharing.shared_limits()

    @cached_property
    def _server_dialect(self) -> Dialect:
        from apps.speech.providers.voice_server.engine import dialect_of

        return dialect_of(self._server_client, self._server_config, self._words_of)

    async def _words_of(self, recording: Recording) -> str:
        return (await self.speech_to_text.transcribe(recording, language="")).text

    def _openai_client(self, config: OpenAIConfig) -> AsyncOpenAI:
        from apps.speech.providers.openai import create_client

        server = (config.base_url, config.api_key)
        if server not in self._openai_clients:
            self._openai_clients[server] = create_client(config)
        return self._openai_clients[server]

    @cached_property
    def _elevenlabs_client(self) -> ElevenLabsClient:
        from apps.speech.providers.elevenlabs import ElevenLabsClient

        return ElevenLabsClient(self._elevenlabs_config)

    @cached_property
    def _server_client(self) -> VoiceServerClient:
        from apps.speech.providers.voice_server.client import VoiceServerClient

        return VoiceServerClient(self._server_config)

    @cached_property
    def _language_model_config(self) -> OpenAIConfig:
        return configs.language_model_config()

    @cached_property
    def _elevenlabs_config(self) -> ElevenLabsConfig:
        return configs.elevenlabs_config()

    @cached_property
    def _server_config(self) -> VoiceServerConfig:
        return configs.voice_server_config()

    @property
    def _local_config(self) -> LocalConfig:
        return configs.local_config()


async def _preload(preload: Callable[[], Awaitable[None]]) -> None:
    """Load a model. Without it the site still serves everything else, so only log the error."""
    try:
        await preload()
    except ProviderError as error:
        logger.warning(error.message)


def decode(data: bytes, *, sample_rate: int, max_seconds: float, user_id: int) -> Recording:
    """Decode an upload of the user with the primary key `user_id` in a process of the pool, as `decoding.decode` does.

    Raises AudioError, also with the code audio_too_costly, and AudioBusyError.
    """
    return _decoders().decode(data, sample_rate=sample_rate, max_seconds=max_seconds, user_id=user_id)


@cache
def _decoders() -> DecoderPool:
    """Return the decoder pool of the process. It does not depend on any event loop."""
    pool = DecoderPool(configs.decoder_limits())
    atexit.register(pool.close)
    return pool


async def open_engines(opening: Sequence[Message] = ()) -> None:
    """Create the engines of the running event loop, which stay until `close_engines`, and what else questions need.

    `opening` are messages with which conversations begin: see `Engines.warm_up`.
    """
    await asyncio.to_thread(_decoders().warm_up)
    await asyncio.to_thread(normalization.warm_up)
    await asyncio.to_thread(speech_presence.load)
    loop = asyncio.get_running_loop()
    engines = _kept_open[loop] = Engines()
    loaded = stages_with_weights()
    await engines.warm_up(opening)
    sharing.tell_shares()
    _late_loading[loop] = loop.create_task(_load_when_fetched(engines, loaded, opening))
    await asyncio.to_thread(signer.prepare)


async def _load_when_fetched(engines: Engines, loaded: frozenset[Stage], opening: Sequence[Message]) -> None:
    """Load the models of each stage as soon as its weights have arrived, and then the better language model."""
    if loaded != ALL_STAGES:
        logger.warning("Weights are missing. These stages wait for them: %s", ", ".join(sorted(ALL_STAGES - loaded)))
    while loaded != ALL_STAGES:
        await asyncio.sleep(WEIGHTS_CHECK_SECONDS)
        arrived = stages_with_weights() - loaded
        if arrived:
            await engines.warm_up(opening)
            loaded |= arrived
            logger.warning("The weights have arrived for: %s", ", ".join(sorted(arrived)))
    if LOCAL in engines_of("think"):
        await _preload(functools.partial(engines.local_language_model.upgrade, opening))


async def close_engines() -> None:
    """Close the engines that `open_engines` created on the running event loop."""
    loading = _late_loading.pop(asyncio.get_running_loop(), None)
    if loading is not None:
        loading.cancel()
    engines = _kept_open.pop(asyncio.get_running_loop(), None)
    if engines is not None:
        await engines.close()


@asynccontextmanager
async def current_engines() -> AsyncIterator[Engines]:
    """Give the engines of the running event loop that are kept open, or else new ones, closed afterwards."""
    kept = _kept_open.get(asyncio.get_running_loop())
    if kept is not None:
        yield kept
        return
    engines = Engines()
    try:
        yield engines
    finally:
        await engines.close()


def set_waiting_context(context: Callable[[], AbstractAsyncContextManager[object]]) -> None:
    """Set what `call` calls in its thread before it waits; the work runs in the context that this returns."""
    global _waiting_context
    _waiting_context = context


def call(work: Callable[[Engines], Awaitable[Result]]) -> Result:
    """Run `work` with the current engines from synchronous code; wait for its result and return it."""
    context = _waiting_context()

    async def run() -> Result:
        async with context, current_engines() as engines:
            return await work(engines)

    return async_to_sync(run)()
