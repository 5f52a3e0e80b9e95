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

from apps.speech.audio.decoder_pool import DecoderLimits
from apps.speech.availability import breakers_of
from apps.speech.base import LOCAL
from apps.speech.local import chat_choice, voice_speed
from apps.speech.local.config import LocalConfig

if TYPE_CHECKING:
    from apps.speech.provenance.signing import MarkerConfig
    from apps.speech.providers.elevenlabs import ElevenLabsConfig
    from apps.speech.providers.openai import OpenAIConfig


def openai_config() -> OpenAIConfig:
    from apps.speech.providers.openai import OpenAIConfig

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


def with_chat_model(config: OpenAIConfig, model: str) -> OpenAIConfig:
    """Return `config` with the chat model `model`, or as it is if the site does not offer that model."""
    return replace(config, chat_model=model) if model in settings.OPENAI_CHAT_MODELS else config


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


def local_config() -> LocalConfig:
    return LocalConfig(
        models_dir=settings.MODELS_DIR,
        voices_dir=Path(settings.MEDIA_ROOT) / "local-voices",
        stt_model=settings.LOCAL_STT_MODEL,
        chat_model=settings.LOCAL_CHAT_MODEL,
        threads=min(2, os.cpu_count() or 1),
    )


def local_chat_choice() -> chat_choice.Choice:
    """Return which embedded language model answers in this process, and why."""
    return chat_choice.in_force(settings.LOCAL_CHAT_MODEL, settings.MODELS_DIR)


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
    from apps.speech.provenance.signing import MarkerConfig

    return MarkerConfig(settings.MARKS_DIR, settings.MARKS_CERTIFICATE, settings.MARKS_KEY)
