"""The one place that turns settings into the frozen config objects of engines.

The packages of the remote services and of the signatures take seconds to import. Their config classes are imported
when they are first used.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.files.storage import default_storage

from apps.speech.addresses import ELEVENLABS_URL
from apps.speech.audio.decoder_pool import DecoderLimits
from apps.speech.availability import breakers_of, local_chat_choice
from apps.speech.base import ELEVENLABS, ELEVENLABS_LIVE, LOCAL, OPENAI, OPENAI_LIVE, SERVER
from apps.speech.local import voice_speed
from apps.speech.local.config import LocalConfig
from apps.speech.local.pocket_bundle import PocketConfig
from apps.speech.provenance.certificates import MarkerConfig
from apps.speech.voice_folder import VoiceFolder

if TYPE_CHECKING:
    from apps.speech.providers.elevenlabs import ElevenLabsConfig
    from apps.speech.providers.live_dialect import LiveConfig
    from apps.speech.providers.openai import OpenAIConfig
    from apps.speech.providers.shared_limits import SharedLimitsConfig
    from apps.speech.providers.voice_server.client import VoiceServerConfig


def speech_to_text_config() -> OpenAIConfig:
    return _openai_config(settings.STT_BASE_URL, settings.STT_API_KEY, settings.STT_MODEL)


def language_model_config() -> OpenAIConfig:
    effort = settings.OPENAI_REASONING_EFFORT
    config = _openai_config(settings.CHAT_BASE_URL, settings.CHAT_API_KEY, settings.CHAT_MODEL)
    return replace(config, reasoning_effort="" if effort == "default" else effort)


def _openai_config(base_url: str, api_key: str, model: str) -> OpenAIConfig:
    from apps.speech.providers.openai import OpenAIConfig

    return OpenAIConfig(
        base_url=base_url,
        api_key=api_key,
        model=model,
        uses_sdk_variables=base_url == settings.OPENAI_BASE_URL,
        connect_seconds=settings.PROVIDER_CONNECT_SECONDS,
        hear_seconds=settings.HEAR_SECONDS,
        first_token_seconds=settings.FIRST_TOKEN_SECONDS,
        idle_seconds=settings.TOKEN_IDLE_SECONDS,
        reply_seconds=settings.REPLY_SECONDS,
        max_retries=settings.PROVIDER_RETRIES,
        breakers=breakers_of(OPENAI),
    )


def with_chat_model(config: OpenAIConfig, model: str) -> OpenAIConfig:
    """Return `config` with the chat model `model`, or as it is if the site does not offer that model."""
    return replace(config, model=model) if model in settings.CHAT_MODELS else config


def elevenlabs_config() -> ElevenLabsConfig:
    from apps.speech.providers.elevenlabs import ElevenLabsConfig

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


def live_engine() -> str:
    """Return the name of the service that hears while it is spoken, or UPLOAD."""
    return str(settings.LIVE_SPEECH_TO_TEXT)


def max_question_seconds() -> float:
    return float(settings.MAX_QUESTION_SECONDS)


def openai_live_config() -> LiveConfig:
    config = _live_config(OPENAI_LIVE, settings.STT_BASE_URL, settings.STT_API_KEY)
    return replace(config, headers=_account_headers() if settings.STT_BASE_URL == settings.OPENAI_BASE_URL else {})


def _account_headers() -> dict[str, str]:
    """Return the headers that the SDK of OpenAI reads from these variables."""
    variables = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
    return {name: os.environ[variable] for name, variable in variables.items() if os.environ.get(variable)}


def elevenlabs_live_config() -> LiveConfig:
    return _live_config(ELEVENLABS_LIVE, settings.ELEVENLABS_BASE_URL or ELEVENLABS_URL, settings.ELEVENLABS_API_KEY)


def _live_config(engine: str, base_url: str, api_key: str) -> LiveConfig:
    from apps.speech.providers.live_dialect import LiveConfig

    return LiveConfig(
        api_key=api_key,
        base_url=base_url,
        model=settings.LIVE_STT_MODEL,
        connect_seconds=settings.PROVIDER_CONNECT_SECONDS,
        hear_seconds=settings.HEAR_SECONDS,
        idle_seconds=settings.LIVE_IDLE_SECONDS,
        max_seconds=max_question_seconds(),
        max_retries=settings.PROVIDER_RETRIES,
        breakers=breakers_of(engine),
    )


def voice_server_config() -> VoiceServerConfig:
    from apps.speech.providers.voice_server.client import VoiceServerConfig

    return VoiceServerConfig(
        base_url=settings.VOICE_BASE_URL or "",
        dialect=settings.VOICE_DIALECT,
        voices_dir=_voice_folder("server-voices"),
        api_key=settings.VOICE_API_KEY,
        model=settings.VOICE_MODEL,
        max_concurrent=settings.VOICE_MAX_CONCURRENT,
        connect_seconds=settings.PROVIDER_CONNECT_SECONDS,
        first_audio_seconds=settings.FIRST_AUDIO_SECONDS,
        idle_seconds=settings.AUDIO_IDLE_SECONDS,
        clone_seconds=settings.CLONE_SECONDS,
        max_retries=settings.PROVIDER_RETRIES,
        breakers=breakers_of("server"),
    )


def shared_limits_config() -> SharedLimitsConfig | None:
    """Return where the processes of the site share their limits, or None if they do not."""
    if not settings.SHARED_LIMITS_URL:
        return None
    from apps.speech.providers.shared_limits import SharedLimitsConfig

    return SharedLimitsConfig(settings.SHARED_LIMITS_URL, settings.PROCESSES)


def share_of(size: int) -> int:
    """Return how many of `size` slots each of the site's processes may take if they share nothing."""
    return max(1, size // processes())


def processes() -> int:
    return int(settings.PROCESSES)


def divided_limits() -> dict[str, int]:
    """Return the limits that are divided among the processes, by setting: none with Redis or in a single process."""
    if settings.SHARED_LIMITS_URL or processes() == 1:
        return {}
    names = {ELEVENLABS: "ELEVENLABS_MAX_CONCURRENT", SERVER: "VOICE_MAX_CONCURRENT"}
    return {name: getattr(settings, name) for engine, name in names.items() if engine == settings.TEXT_TO_SPEECH}


def local_config() -> LocalConfig:
    return LocalConfig(
        models_dir=settings.MODELS_DIR,
        voices_dir=_voice_folder("local-voices"),
        stt_model=settings.LOCAL_STT_MODEL,
        chat_model=settings.LOCAL_CHAT_MODEL,
        threads=_threads(),
    )


def pocket_config() -> PocketConfig:
    return PocketConfig(
        model_dir=settings.POCKET_MODEL_DIR,
        voices_dir=_voice_folder("local-voices"),
        bundle=settings.POCKET_BUNDLE,
        threads=_threads(),
    )


def _voice_folder(name: str) -> VoiceFolder:
    """Return the folder, which caches what is in the storage unless the storage is this machine's disk."""
    is_here = getattr(default_storage, "folder", None) is not None
    return VoiceFolder(Path(settings.MEDIA_ROOT) / name, None if is_here else default_storage)


def _threads() -> int:
    return min(2, os.cpu_count() or 1)


def embedded_load() -> float:
    """Return the share of the time of listening for which the embedded engines compute: see `voice_speed.load`."""
    if settings.TEXT_TO_SPEECH != LOCAL:
        return 0.0
    speed = local_chat_choice().speed if settings.LANGUAGE_MODEL == LOCAL else None
    return voice_speed.load(local_config().kokoro_path, settings.MODELS_DIR, speed)


def decoder_limits() -> DecoderLimits:
    return DecoderLimits(
        processes=settings.DECODING_PROCESSES,
        jobs=settings.DECODING_JOBS,
        cpu_seconds=settings.DECODING_CPU_SECONDS,
        seconds=settings.DECODING_SECONDS,
        memory_bytes=settings.DECODING_MEGABYTES * 1_000_000,
        wait_seconds=settings.DECODING_WAIT_SECONDS,
    )


def marker_config() -> MarkerConfig:
    return MarkerConfig(settings.MARKS_DIR, settings.MARKS_CERTIFICATE, settings.MARKS_KEY)
