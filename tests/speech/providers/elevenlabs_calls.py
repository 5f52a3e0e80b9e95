"""Calls of the ElevenLabs engines against the fake provider, each with a client of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from apps.speech.base import ProviderVoice, Recording, VoiceSettings
from apps.speech.providers.elevenlabs import (
    ElevenLabsClient,
    ElevenLabsConfig,
    ElevenLabsTextToSpeech,
    ElevenLabsVoiceCloner,
)
from tests.fakes.elevenlabs import elevenlabs_error, speech
from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Result = TypeVar("Result")

TEXT = "The capital of France is Paris."
SAMPLES = [Recording(speech(text, 24_000), 24_000) for text in ("One sample.", "And another one.")]
NEUTRAL = VoiceSettings()

# HTTP status, body, and the error code when speaking and when cloning.
REFUSALS = [
    (400, {"detail": {"status": "voice_not_found"}}, "provider_voice_missing", "provider_voice_missing"),
    (400, elevenlabs_error("invalid_voice_id"), "provider_voice_missing", "provider_voice_missing"),
    (400, elevenlabs_error("voice_limit_reached"), "provider_voice_limit", "provider_voice_limit"),
    (400, elevenlabs_error("text_too_long"), "provider_refused", "provider_audio_refused"),
    (400, elevenlabs_error("unsupported_model"), "provider_model_missing", "provider_model_missing"),
    (401, {"detail": {"status": "quota_exceeded"}}, "provider_quota_exhausted", "provider_quota_exhausted"),
    (401, {"detail": "Unauthorized"}, "provider_key_invalid", "provider_key_invalid"),
    (401, elevenlabs_error("missing_api_key"), "provider_key_invalid", "provider_key_invalid"),
    (
        401,
        {"detail": {"status": "missing_permissions", "message": "The API key you used is missing the permission …"}},
        "provider_permission_missing",
        "provider_permission_missing",
    ),
    (401, {"detail": {"status": "payment_issue"}}, "provider_payment_failed", "provider_payment_failed"),
    (402, elevenlabs_error("payment_issue"), "provider_payment_failed", "provider_payment_failed"),
    (400, {"detail": {"status": "duplicate_files"}}, "provider_duplicate_samples", "provider_duplicate_samples"),
    (403, {"detail": {"status": "content_against_policy"}}, "provider_content_refused", "provider_content_refused"),
    (402, elevenlabs_error("insufficient_credits"), "provider_quota_exhausted", "provider_quota_exhausted"),
    (
        402,
        {"detail": {"code": "paid_plan_required", "status": "can_not_use_instant_voice_cloning"}},
        "provider_plan_insufficient",
        "provider_plan_insufficient",
    ),
    (403, {"detail": {"status": "only_for_creator+"}}, "provider_plan_insufficient", "provider_plan_insufficient"),
    (403, elevenlabs_error("voice_access_denied"), "provider_voice_missing", "provider_voice_missing"),
    (404, elevenlabs_error("voice_not_found"), "provider_voice_missing", "provider_voice_missing"),
    (404, elevenlabs_error("model_not_found"), "provider_model_missing", "provider_model_missing"),
    (404, "<html>Not found</html>", "provider_model_missing", "provider_model_missing"),
    (409, elevenlabs_error("voice_already_exists"), "provider_refused", "provider_refused"),
    (422, {"detail": [{"loc": ["body"], "msg": "?"}]}, "provider_refused", "provider_audio_refused"),
]
TRANSIENT_FAILURES = [
    (429, {"detail": {"status": "too_many_concurrent_requests"}}, "provider_busy"),
    (429, elevenlabs_error("concurrent_limit_exceeded"), "provider_busy"),
    (429, elevenlabs_error("system_busy"), "provider_busy"),
    (500, elevenlabs_error("internal_error"), "provider_failed"),
    (502, "<html>Bad gateway</html>", "provider_failed"),
    (503, elevenlabs_error("maintenance"), "provider_busy"),
]


def config_for(provider: FakeProvider, **changes: Any) -> ElevenLabsConfig:
    values: dict[str, Any] = {
        "api_key": "test-key",
        "base_url": provider.url,
        "model": "mouth-1",
        "max_concurrent": 10,
    }
    return ElevenLabsConfig(**values | changes)


def run(config: ElevenLabsConfig, work: Callable[[ElevenLabsClient], Awaitable[Result]]) -> Result:
    async def main() -> Result:
        client = ElevenLabsClient(config)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(main())


def speak(
    provider: FakeProvider,
    chunks: list[bytes] | None = None,
    *,
    voice_id: str | None = None,
    settings: VoiceSettings = NEUTRAL,
    previous_text: str = "",
    **changes: Any,
) -> bytes:
    """Return all PCM. `chunks` also gets the chunks that arrive before a failure."""
    config = config_for(provider, **changes)
    voice_id = voice_id or provider.add_voice("Alice")
    heard: list[bytes] = [] if chunks is None else chunks

    async def listen(client: ElevenLabsClient) -> bytes:
        engine = ElevenLabsTextToSpeech(client, config)
        async for chunk in engine.speak(TEXT, voice_id=voice_id, settings=settings, previous_text=previous_text):
            heard.append(chunk)  # noqa: PERF401 - The chunks before a failure count.
        return b"".join(heard)

    return run(config, listen)


def create(provider: FakeProvider, **changes: Any) -> str:
    config = config_for(provider, **changes)
    return run(config, lambda client: ElevenLabsVoiceCloner(client, config).create("Alice", SAMPLES))


def delete(provider: FakeProvider, voice_id: str, **changes: Any) -> None:
    config = config_for(provider, **changes)
    run(config, lambda client: ElevenLabsVoiceCloner(client, config).delete(voice_id))


def list_voices(provider: FakeProvider, **changes: Any) -> list[ProviderVoice]:
    config = config_for(provider, **changes)
    return run(config, lambda client: ElevenLabsVoiceCloner(client, config).list())
