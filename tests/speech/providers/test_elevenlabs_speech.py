"""ElevenLabs speaks text."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from apps.speech.base import VoiceSettings
from apps.speech.providers.elevenlabs import (
    ElevenLabsClient,
    ElevenLabsTextToSpeech,
)
from tests.fakes.elevenlabs import SPEECH, speech
from tests.fakes.provider import FakeProvider
from tests.speech.providers.elevenlabs_calls import NEUTRAL, REFUSALS, TEXT, TRANSIENT_FAILURES, config_for, run, speak
from tests.speech.providers.failures import AT_ONCE, error_of

PCM = {"content-type": "audio/pcm"}


class TestTextToSpeech:
    def test_it_yields_whole_samples(self, provider: FakeProvider) -> None:
        chunks: list[bytes] = []

        assert speak(provider, chunks) == speech(TEXT, ElevenLabsTextToSpeech.sample_rate)
        assert len(chunks) > 1
        assert all(len(chunk) % 2 == 0 for chunk in chunks)

    def test_half_a_sample_at_the_end_is_dropped(self, provider: FakeProvider) -> None:
        provider.fail_next(SPEECH, status=200, body="abc", headers=PCM)

        assert speak(provider) == b"ab"

    def test_it_requests_pcm_and_sends_no_unset_value(self, provider: FakeProvider) -> None:
        voice_id = provider.add_voice("Alice")

        speak(provider, voice_id=voice_id)

        request = provider.last_request
        assert request.path == f"/v1/text-to-speech/{voice_id}/stream"
        assert request.query == {"output_format": "pcm_24000"}
        assert request.json == {"text": TEXT, "model_id": "mouth-1"}

    def test_it_sends_the_settings_that_are_set(self, provider: FakeProvider) -> None:
        speak(provider, settings=VoiceSettings(similarity=0.8, style=0, speed=1.1))

        assert provider.last_request.json["voice_settings"] == {"similarity_boost": 0.8, "style": 0, "speed": 1.1}

    def test_it_sends_the_previous_text(self, provider: FakeProvider) -> None:
        speak(provider, previous_text="Well.")

        assert provider.last_request.json["previous_text"] == "Well."

    @pytest.mark.parametrize(("status", "body", "code"), [refusal[:3] for refusal in REFUSALS])
    def test_a_refused_text_is_not_retried(
        self, provider: FakeProvider, status: int, body: dict[str, Any] | str, code: str
    ) -> None:
        provider.fail_next(SPEECH, status=status, body=body, headers=AT_ONCE, times=3)

        error = error_of(speak, provider)

        assert (error.code, error.stage, error.retryable) == (code, "speak", False)
        assert len(provider.requests) == 1

    @pytest.mark.parametrize(("status", "body", "code"), TRANSIENT_FAILURES)
    def test_a_transient_failure_is_retried_twice(
        self, provider: FakeProvider, status: int, body: dict[str, Any] | str, code: str
    ) -> None:
        provider.fail_next(SPEECH, status=status, body=body, headers=AT_ONCE, times=3)

        error = error_of(speak, provider)

        assert (error.code, error.stage, error.retryable) == (code, "speak", True)
        assert len(provider.requests) == 3

    def test_a_successful_retry_hides_the_failure(self, provider: FakeProvider) -> None:
        provider.fail_next(SPEECH, status=429, body={"detail": {"status": "system_busy"}}, headers=AT_ONCE, times=2)

        assert speak(provider) == speech(TEXT, 24_000)

    def test_it_waits_for_as_long_as_the_provider_asks(self, provider: FakeProvider) -> None:
        provider.fail_next(SPEECH, status=503, headers={"retry-after": "0.3"})

        speak(provider)

        first, second = provider.requests
        assert second.time - first.time > 0.25

    def test_audio_cut_off_in_the_middle_is_not_retried(self, provider: FakeProvider) -> None:
        provider.cut_after(SPEECH, 20_000)
        chunks: list[bytes] = []

        error = error_of(speak, provider, chunks)

        assert (error.code, error.stage, error.retryable) == ("provider_incomplete", "speak", True)
        assert speech(TEXT, 24_000).startswith(b"".join(chunks))
        assert chunks
        assert len(provider.requests) == 1

    def test_audio_cut_off_before_the_first_chunk_is_retried(self, provider: FakeProvider) -> None:
        provider.cut_after(SPEECH, 0)

        assert speak(provider) == speech(TEXT, 24_000)
        assert len(provider.requests) == 2

    def test_an_empty_answer_is_incomplete(self, provider: FakeProvider) -> None:
        provider.fail_next(SPEECH, status=200, headers=PCM)

        assert error_of(speak, provider).code == "provider_incomplete"
        assert len(provider.requests) == 1

    @pytest.mark.parametrize("body", [{"audio": "UklGRg=="}, "<html>Welcome</html>"])
    def test_an_answer_that_is_not_audio_is_invalid(self, provider: FakeProvider, body: dict[str, Any] | str) -> None:
        provider.fail_next(SPEECH, status=200, body=body)

        assert error_of(speak, provider).code == "provider_answer_invalid"
        assert len(provider.requests) == 1

    def test_the_first_chunk_has_a_deadline(self, provider: FakeProvider) -> None:
        provider.behaviour.first_audio_seconds = 60

        assert error_of(speak, provider, first_audio_seconds=0.5).code == "provider_timeout"
        assert len(provider.requests) == 1

    def test_each_later_chunk_has_a_deadline(self, provider: FakeProvider) -> None:
        provider.behaviour.audio_speed = 0.01
        chunks: list[bytes] = []

        assert error_of(speak, provider, chunks, idle_seconds=0.2).code == "provider_timeout"
        assert b"".join(chunks) == speech(TEXT, 24_000)[:2400]

    def test_closing_it_early_stops_the_provider(self, provider: FakeProvider) -> None:
        provider.behaviour.audio_speed = 1
        config, voice_id = config_for(provider), provider.add_voice("Alice")

        async def hear_one_chunk(client: ElevenLabsClient) -> None:
            sound = ElevenLabsTextToSpeech(client, config).speak(
                TEXT * 100, voice_id=voice_id, settings=NEUTRAL, previous_text=""
            )
            async with aclosing(sound):
                async for _ in sound:
                    break
            assert await asyncio.to_thread(provider.last_request.finished.wait, 2)

        run(config, hear_one_chunk)

        assert provider.last_request.left_early
        assert provider.last_request.bytes_sent < 48_000
