"""Text to speech alone: `POST /api/v1/speech`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from apps.conversations.single_stages import MAX_SPEECH_CHARACTERS
from apps.speech.audio.decoding import decode
from apps.usage.models import UsageRecord
from apps.voices.models import VoiceProfile
from tests.client import LONG_REPLY, PATIENCE_SECONDS, Api, bearer, error_of, wait_until
from tests.factories import make_voice
from tests.fakes.elevenlabs import CHARACTERS_PER_SECOND, SPEECH

if TYPE_CHECKING:
    from django.test import Client

    from apps.accounts.models import User
    from tests.fakes.provider import FakeProvider

PATH = "/api/v1/speech"
SECONDS = len(LONG_REPLY) / CHARACTERS_PER_SECOND


def speak(api: Api, speaker: VoiceProfile, **values: Any) -> requests.Response:
    return api.post(PATH, json={"text": LONG_REPLY, "voice": str(speaker.pk)} | values)


def test_the_answer_is_the_text_in_the_voice_as_mp3(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    response = speak(alice_api, voice)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "audio/mpeg"
    assert response.headers["X-AI-Generated"] == "true"
    assert response.headers["Cache-Control"] == "no-store"
    sound = decode(response.content, sample_rate=24_000, max_seconds=60)
    assert sound.seconds == pytest.approx(SECONDS, abs=0.3)
    spoken = provider.requests_to(SPEECH)
    assert all(request.path.startswith(f"{SPEECH}/{voice.voice_id}") for request in spoken)
    assert sum(len(request.json["text"]) for request in spoken) == pytest.approx(len(LONG_REPLY), abs=len(spoken))


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("mp3", "audio/mpeg"), ("wav", "audio/wav"), ("flac", "audio/flac"), ("opus", "audio/ogg"), ("aac", "audio/aac")],
)
def test_it_speaks_in_the_requested_format(alice_api: Api, voice: VoiceProfile, name: str, content_type: str) -> None:
    response = speak(alice_api, voice, format=name)
    assert response.headers["Content-Type"] == content_type
    sound = decode(response.content, sample_rate=24_000, max_seconds=60)
    assert sound.seconds == pytest.approx(SECONDS, abs=0.3)


def test_pcm_is_bare_samples(alice_api: Api, voice: VoiceProfile) -> None:
    response = speak(alice_api, voice, format="pcm")
    assert response.headers["Content-Type"] == "audio/pcm"
    assert len(response.content) / 2 / 24_000 == pytest.approx(SECONDS, abs=0.3)


@pytest.mark.parametrize("name", ["mp3", "wav", "pcm", "flac", "opus", "aac"])
def test_the_sound_is_streamed_while_the_text_is_being_spoken(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile, name: str
) -> None:
    provider.behaviour.audio_speed = 4
    body = {"text": LONG_REPLY, "voice": voice.name, "format": name}
    with alice_api.post(PATH, json=body, stream=True) as response:
        chunks = response.raw.stream(1000)
        assert next(chunks)
        assert not all(request.finished.is_set() for request in provider.requests_to(SPEECH))
        provider.behaviour.audio_speed = 0
        assert sum(map(len, chunks)) > 1000


@pytest.mark.parametrize("called", ["id", "provider's id", "name", "name in capitals"])
def test_a_voice_goes_by_its_ids_and_its_name(alice_api: Api, voice: VoiceProfile, called: str) -> None:
    names = {"id": str(voice.pk), "provider's id": voice.voice_id, "name": "Jane", "name in capitals": "JANE"}
    assert speak(alice_api, voice, voice=names[called]).status_code == 200


def test_of_several_voices_with_one_name_one_that_can_speak_is_used(
    alice: User, alice_api: Api, provider: FakeProvider
) -> None:
    ready = make_voice(alice, provider.add_voice("Jane"))
    make_voice(alice, "", status=VoiceProfile.Status.FAILED)
    assert speak(alice_api, ready, voice="Jane").status_code == 200
    assert provider.last_request.path.startswith(f"{SPEECH}/{ready.voice_id}")


def test_settings_apply_to_one_request_only(alice_api: Api, provider: FakeProvider, voice: VoiceProfile) -> None:
    speak(alice_api, voice, settings={"speed": 1.1})
    assert all(request.json["voice_settings"] == {"speed": 1.1} for request in provider.requests_to(SPEECH))
    voice.refresh_from_db()
    assert voice.settings == {}
    assert voice.last_used_at is not None


def test_it_is_counted(alice_api: Api, provider: FakeProvider, voice: VoiceProfile) -> None:
    speak(alice_api, voice)
    wait_until(UsageRecord.objects.exists)
    record = UsageRecord.objects.get()
    assert (record.kind, record.reference) == ("speech", voice.pk)
    assert record.spoken_characters == sum(len(request.json["text"]) for request in provider.requests_to(SPEECH))


@pytest.mark.parametrize(
    ("values", "status", "code"),
    [
        ({"text": ""}, 400, "invalid"),
        ({"text": "x" * (MAX_SPEECH_CHARACTERS + 1)}, 400, "invalid"),
        ({"format": "ogg"}, 400, "invalid"),
        ({"settings": {"speed": 9}}, 400, "invalid"),
        ({"voice": "Nobody"}, 404, "voice_not_found"),
        ({"text": "😀"}, 422, "nothing_to_speak"),
    ],
)
def test_invalid_input_is_refused_before_any_call(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile, values: dict[str, Any], status: int, code: str
) -> None:
    response = speak(alice_api, voice, **values)
    assert response.status_code == status
    assert error_of(response)["code"] == code
    assert not provider.requests_to(SPEECH)


def test_the_voice_of_somebody_else_does_not_exist(bob_api: Api, provider: FakeProvider, voice: VoiceProfile) -> None:
    for name in (str(voice.pk), voice.voice_id, voice.name):
        assert error_of(speak(bob_api, voice, voice=name))["code"] == "voice_not_found"
    assert not provider.requests_to(SPEECH)


def test_a_failure_before_the_first_sound_sets_the_status_code(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    provider.fail_next(SPEECH, status=401, body={"detail": {"code": "invalid_api_key"}}, times=10)
    response = speak(alice_api, voice)
    assert response.status_code == 502
    assert error_of(response)["code"] == "provider_key_invalid"


def test_a_voice_that_fails_in_the_middle_breaks_the_sound_off(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    provider.behaviour.audio_speed = 20
    provider.cut_after(SPEECH, 40_000, times=10)
    with alice_api.post(PATH, json={"text": LONG_REPLY, "voice": voice.name}, stream=True) as response:
        assert response.status_code == 200
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            assert response.content


def test_disconnecting_ends_the_calls(alice_api: Api, provider: FakeProvider, voice: VoiceProfile) -> None:
    provider.behaviour.audio_speed = 1
    with alice_api.post(PATH, json={"text": LONG_REPLY, "voice": voice.name}, stream=True) as response:
        assert next(response.raw.stream(1000))
    assert all(request.finished.wait(PATIENCE_SECONDS) for request in provider.requests_to(SPEECH))
    wait_until(UsageRecord.objects.exists)


@pytest.mark.django_db(transaction=True)
def test_a_server_without_streams_answers_when_all_is_spoken(
    client: Client, alice_token: str, remote_engines: FakeProvider, voice: VoiceProfile
) -> None:
    body = {"text": LONG_REPLY, "voice": voice.name}
    response = client.post(PATH, body, content_type="application/json", headers=bearer(alice_token))
    assert decode(response.content, sample_rate=24_000, max_seconds=60).seconds == pytest.approx(SECONDS, abs=0.3)
