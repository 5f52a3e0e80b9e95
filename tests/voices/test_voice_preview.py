from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apps.speech.audio.decoding import decode
from apps.voices.models import VoiceProfile
from tests.client import Api, error_of
from tests.fakes.elevenlabs import CHARACTERS_PER_SECOND, SPEECH, elevenlabs_error

if TYPE_CHECKING:
    import requests

    from tests.fakes.provider import FakeProvider

TEXT = "Hello! This is how I sound."


def preview(api: Api, voice: VoiceProfile, text: str = TEXT, **options: Any) -> requests.Response:
    return api.post(f"/api/v1/voices/{voice.pk}/preview", json={"text": text}, **options)


@pytest.mark.parametrize("accept", ["*/*", "audio/mpeg"])
def test_it_answers_the_text_spoken_by_the_voice_as_mp3(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile, accept: str
) -> None:
    VoiceProfile.objects.filter(pk=voice.pk).update(settings={"stability": 0.3, "speed": 0.9})
    response = preview(alice_api, voice, headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "audio/mpeg"
    assert response.headers["X-AI-Generated"] == "true"
    recording = decode(response.content, sample_rate=24_000, max_seconds=60)
    assert recording.seconds == pytest.approx(len(TEXT) / CHARACTERS_PER_SECOND, abs=0.1)
    (request,) = provider.requests
    assert request.path.startswith(f"{SPEECH}/{voice.voice_id}")
    assert request.json["text"] == TEXT
    assert request.json["voice_settings"] == {"stability": 0.3, "speed": 0.9}


def test_it_records_the_use_of_the_voice(alice_api: Api, voice: VoiceProfile) -> None:
    preview(alice_api, voice)
    voice.refresh_from_db()
    assert voice.last_used_at


@pytest.mark.parametrize("text", ["", " ", "x" * 301], ids=["empty", "blank", "too long"])
def test_it_refuses_a_bad_text(alice_api: Api, provider: FakeProvider, voice: VoiceProfile, text: str) -> None:
    response = preview(alice_api, voice, text)
    assert response.status_code == 400
    assert error_of(response)["fields"].keys() == {"text"}
    assert not provider.requests


@pytest.mark.parametrize("status", ["pending", "failed", "deleting"])
def test_a_voice_that_is_not_ready_does_not_speak(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile, status: str
) -> None:
    VoiceProfile.objects.filter(pk=voice.pk).update(status=status)
    response = preview(alice_api, voice)
    assert response.status_code == 409
    assert error_of(response)["code"] == "voice_not_ready"
    assert not provider.requests


def test_an_error_is_json_even_if_audio_was_requested(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    provider.fail_next(SPEECH, status=401, body=elevenlabs_error("quota_exceeded"))
    response = preview(alice_api, voice, headers={"Accept": "audio/mpeg"})
    assert response.status_code == 502
    assert error_of(response)["code"] == "provider_quota_exhausted"


def test_a_voice_that_is_missing_at_the_provider_has_an_error_of_its_own(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    provider.voices.clear()
    assert error_of(preview(alice_api, voice))["code"] == "provider_voice_missing"


def test_settings_can_be_tried_without_saving_them(alice_api: Api, provider: FakeProvider, voice: VoiceProfile) -> None:
    VoiceProfile.objects.filter(pk=voice.pk).update(settings={"stability": 0.3, "speed": 0.9})
    body = {"text": TEXT, "settings": {"stability": None, "style": 0.5}}
    assert alice_api.post(f"/api/v1/voices/{voice.pk}/preview", json=body).status_code == 200
    assert provider.last_request.json["voice_settings"] == {"style": 0.5, "speed": 0.9}
    voice.refresh_from_db()
    assert voice.settings == {"stability": 0.3, "speed": 0.9}


def test_settings_to_try_are_validated(alice_api: Api, provider: FakeProvider, voice: VoiceProfile) -> None:
    body = {"text": TEXT, "settings": {"speed": 7}}
    response = alice_api.post(f"/api/v1/voices/{voice.pk}/preview", json=body)
    assert response.status_code == 400
    assert error_of(response)["fields"].keys() == {"settings"}
    assert not provider.requests
