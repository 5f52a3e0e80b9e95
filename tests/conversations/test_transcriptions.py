"""Speech to text alone: `POST /api/v1/transcriptions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from apps.conversations.models import Turn
from apps.usage.models import UsageRecord
from tests.audio_samples import clip, silence, to_wav
from tests.client import QUESTION, Api, error_of
from tests.fakes.openai import TRANSCRIPTIONS

if TYPE_CHECKING:
    from tests.fakes.provider import FakeProvider


def transcribe(api: Api, recording: bytes = QUESTION, **fields: str) -> requests.Response:
    return api.post("/api/v1/transcriptions", data=fields, files={"audio": ("question.wav", recording)})


def test_the_answer_is_the_transcript(alice_api: Api, provider: FakeProvider) -> None:
    provider.behaviour.languages = ["en"]
    response = transcribe(alice_api)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    seconds = pytest.approx(clip("austen-0930.wav").seconds, abs=0.01)
    assert response.json() == {"text": provider.behaviour.transcript, "language": "en", "seconds": seconds}
    assert not Turn.objects.exists()


@pytest.mark.parametrize("language", ["fr", "fr-CA", "fr_FR", "French", "français"])
def test_the_language_is_passed_on_as_a_code(alice_api: Api, provider: FakeProvider, language: str) -> None:
    transcribe(alice_api, language=language)
    assert provider.last_request.form["language"] == "fr"


@pytest.mark.parametrize("language", ["", "auto"])
def test_without_a_language_it_is_detected(alice_api: Api, provider: FakeProvider, language: str) -> None:
    assert transcribe(alice_api, language=language).status_code == 200
    assert "language" not in provider.last_request.form


def test_it_is_counted(alice_api: Api) -> None:
    transcribe(alice_api)
    record = UsageRecord.objects.get()
    assert record.kind == "transcription"
    assert record.heard_ms == pytest.approx(clip("austen-0930.wav").seconds * 1000, abs=10)


def test_silence_is_no_text_and_costs_nothing(alice_api: Api, provider: FakeProvider) -> None:
    assert transcribe(alice_api, to_wav(silence(2))).json() == {"text": "", "language": "", "seconds": 2.0}
    assert not provider.requests_to(TRANSCRIPTIONS)


@pytest.mark.parametrize(
    ("recording", "fields", "status", "code"),
    [
        (b"", {}, 422, "audio_empty"),
        (b"text", {}, 422, "audio_format_unknown"),
        (to_wav(silence(130)), {}, 422, "audio_too_long"),
        (QUESTION, {"language": "the English one"}, 400, "invalid"),
    ],
)
def test_invalid_input_is_refused_before_any_call(
    alice_api: Api, provider: FakeProvider, recording: bytes, fields: dict[str, Any], status: int, code: str
) -> None:
    response = transcribe(alice_api, recording, **fields)
    assert response.status_code == status
    assert error_of(response)["code"] == code
    assert not provider.requests_to(TRANSCRIPTIONS)


def test_a_failing_service_is_reported(alice_api: Api, provider: FakeProvider) -> None:
    provider.fail_next(TRANSCRIPTIONS, status=500, times=10)
    response = transcribe(alice_api)
    assert response.status_code == 502
    assert error_of(response)["code"] == "provider_failed"
