"""OpenAI transcribes recordings."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from apps.speech.audio.resampling import resample
from apps.speech.audio.wav import to_wav
from apps.speech.base import Transcript, TranscriptSegment
from apps.speech.providers.openai import OpenAISpeechToText
from tests.fakes.openai import TRANSCRIPTIONS
from tests.fakes.provider import FakeProvider
from tests.speech.providers.failures import error_of
from tests.speech.providers.openai_calls import RECORDING, config_for, run, transcribe, transcribe_with_times

if TYPE_CHECKING:
    from openai import AsyncOpenAI


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


class TestTimes:
    def test_a_whisper_model_tells_those_of_segments(self, provider: FakeProvider) -> None:
        provider.behaviour.transcript = "Good morning."

        heard = transcribe_with_times(provider)

        assert provider.last_request.form["response_format"] == "verbose_json"
        assert heard == Transcript("Good morning.", "en", (TranscriptSegment(0.0, 1.0, "Good morning."),))
        (segment,) = heard.segments
        assert (segment.tokens, segment.avg_logprob, segment.no_speech_prob) == ((50364, 3), -0.25, 0.01)

    def test_and_those_of_words(self, provider: FakeProvider) -> None:
        provider.behaviour.transcript = "Good morning."

        heard = transcribe_with_times(provider, words=True)

        assert heard.words == (TranscriptSegment(0.0, 0.5, "Good"), TranscriptSegment(0.5, 1.0, "morning."))

    def test_a_server_that_knows_none_is_asked_for_the_text_alone(self, provider: FakeProvider) -> None:
        provider.fail_next(TRANSCRIPTIONS, status=400, body={"error": {"message": "Unknown response_format"}})

        heard = transcribe_with_times(provider)

        assert heard == Transcript(provider.behaviour.transcript, "")
        assert [request.form["response_format"] for request in provider.requests] == ["verbose_json", "json"]

    @pytest.mark.parametrize(
        ("model", "has_times"), [("whisper-1", True), ("Systran/faster-Whisper-small", True), ("gpt-transcribe", False)]
    )
    def test_only_whisper_has_times(self, provider: FakeProvider, *, model: str, has_times: bool) -> None:
        config = config_for(provider, model=model)

        async def ask(client: AsyncOpenAI) -> bool:
            return OpenAISpeechToText(client, config).supports_timestamps

        assert run(config, ask) is has_times

    @pytest.mark.parametrize(
        "times", ['"start": null, "end": 1', '"start": "soon", "end": 1', '"start": NaN, "end": 1']
    )
    def test_times_that_are_none_are_invalid(self, provider: FakeProvider, times: str) -> None:
        body = f'{{"text": "Good", "language": "english", "segments": [{{{times}, "text": "Good"}}]}}'
        provider.fail_next(TRANSCRIPTIONS, status=200, body=body, headers={"content-type": "application/json"})

        assert error_of(transcribe_with_times, provider).code == "provider_answer_invalid"
