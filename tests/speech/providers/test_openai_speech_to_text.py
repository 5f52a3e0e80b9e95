"""OpenAI transcribes recordings."""

from __future__ import annotations

import hashlib

import pytest

from apps.speech.audio.resampling import resample
from apps.speech.audio.wav import to_wav
from apps.speech.base import Transcript
from tests.fakes.openai import TRANSCRIPTIONS
from tests.fakes.provider import FakeProvider
from tests.speech.providers.failures import error_of
from tests.speech.providers.openai_calls import RECORDING, transcribe


class TestSpeechToText:
    def test_it_returns_the_transcript(self, provider: FakeProvider) -> None:
        provider.behaviour.transcript = " Good morning. \n"

        assert transcribe(provider) == Transcript("Good morning.", "")

    def test_it_sends_16_khz_wav_with_a_file_name(self, provider: FakeProvider) -> None:
        transcribe(provider)

        wav = to_wav(resample(RECORDING, sample_rate=16_000))
        (file,) = provider.last_request.files
        assert (file.field, file.name, file.content_type) == ("file", "recording.wav", "audio/wav")
        assert file.sha256 == hashlib.sha256(wav).hexdigest()
        assert provider.last_request.form == {"model": "model-1", "response_format": "json"}

    def test_it_sends_the_language_as_a_hint(self, provider: FakeProvider) -> None:
        transcript = transcribe(provider, language="fr")

        assert provider.last_request.form["language"] == "fr"
        assert transcript.language == "fr"

    def test_a_detected_language_overrides_the_hint(self, provider: FakeProvider) -> None:
        provider.behaviour.languages = ["de", "en"]

        assert transcribe(provider, language="fr").language == "de"

    def test_silence_is_an_empty_transcript(self, provider: FakeProvider) -> None:
        provider.behaviour.transcript = ""

        assert transcribe(provider).text == ""

    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            ("<html>Welcome</html>", {}),
            ('{"text": "Good', {"content-type": "application/json"}),
            ('{"text": null}', {"content-type": "application/json"}),
            ("{}", {"content-type": "application/json"}),
            ("[1]", {"content-type": "application/json"}),
            ("", {"content-type": "application/json"}),
        ],
    )
    def test_an_unexpected_structure_is_invalid(
        self, provider: FakeProvider, body: str, headers: dict[str, str]
    ) -> None:
        provider.fail_next(TRANSCRIPTIONS, status=200, body=body, headers=headers)

        error = error_of(transcribe, provider)

        assert (error.code, error.stage, error.retryable) == ("provider_answer_invalid", "hear", True)
        assert len(provider.requests) == 1

    def test_it_gives_up_at_its_deadline(self, provider: FakeProvider) -> None:
        provider.delay(TRANSCRIPTIONS, 60)

        error = error_of(transcribe, provider, hear_seconds=0.5)

        assert (error.code, error.stage, error.retryable) == ("provider_timeout", "hear", True)
        assert provider.last_request.finished.wait(5)
        assert provider.last_request.left_early
