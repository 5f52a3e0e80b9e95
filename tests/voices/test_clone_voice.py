from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as django_settings

from apps.speech.audio.decoding import decode
from apps.voices.models import VoiceProfile, VoiceSample
from tests.audio_samples import clip, webm
from tests.client import NOWHERE, QUESTION, SAMPLE_SECONDS, SAMPLES, Api, error_of, wait_until
from tests.conftest import serve
from tests.fakes.elevenlabs import VOICES_ADD, elevenlabs_error
from tests.storage import stored_files

if TYPE_CHECKING:
    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.usefixtures("consent")  # Cloning needs a consent.


def test_it_answers_201_with_the_voice_id(alice_api: Api, provider: FakeProvider) -> None:
    response = alice_api.clone_voice(voice_name="Jane Doe")
    assert response.status_code == 201
    body = response.json()
    assert body.keys() == {"success", "voice_id", "message"}
    assert body["success"] is True
    assert body["voice_id"] in provider.voices
    assert "Jane Doe" in body["message"]


def test_it_sends_the_name_and_every_recording_to_the_provider_once(alice_api: Api, provider: FakeProvider) -> None:
    alice_api.clone_voice(voice_name="Jane Doe")
    (request,) = provider.requests
    voice = VoiceProfile.objects.get()
    assert request.path == VOICES_ADD
    assert request.form["name"] == f"Jane Doe [{voice.pk}]"
    assert [file.content_type for file in request.files] == ["audio/mpeg"] * 2


def test_it_stores_the_voice_and_its_samples(alice_api: Api, alice: User) -> None:
    voice_id = alice_api.clone_voice().json()["voice_id"]
    voice = VoiceProfile.objects.get(owner=alice)
    assert (voice.name, voice.voice_id, voice.provider, voice.status) == ("Jane", voice_id, "elevenlabs", "ready")
    assert voice.sample_seconds == pytest.approx(SAMPLE_SECONDS, abs=0.01)
    for sample, data in zip(voice.samples.all(), SAMPLES, strict=True):
        assert sample.owner == alice
        assert sample.sha256 == hashlib.sha256(data).hexdigest()
        with sample.file.open("rb") as file:
            stored = decode(file.read(), sample_rate=44_100, max_seconds=180)
        assert stored.seconds == pytest.approx(sample.seconds)


def test_stored_recordings_have_our_names_and_private_permissions(alice_api: Api, alice: User) -> None:
    clips = [webm(clip(name)) for name in ("austen-0870.wav", "austen-0920.wav")]
    files = [("audio_file", ("../../Jane at home.webm", data)) for data in clips]
    assert alice_api.post("/clone-voice", data={"voice_name": "Jane"}, files=files).status_code == 201
    assert len(stored_files("samples")) == 2
    for path in stored_files("samples"):
        assert path.parent == Path(django_settings.MEDIA_ROOT) / "samples" / str(alice.pk)
        assert path.suffix == ".flac"
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_first_voice_becomes_the_default(alice_api: Api) -> None:
    first = alice_api.clone_voice().json()["voice_id"]
    alice_api.clone_voice()
    assert VoiceProfile.objects.get(is_default=True).voice_id == first


def test_the_user_id_of_somebody_else_is_ignored(alice_api: Api, alice: User, bob: User) -> None:
    assert alice_api.clone_voice(user_id=str(bob.pk)).status_code == 201
    assert VoiceProfile.objects.get().owner == alice


def test_it_refuses_a_form_without_name_and_recording(alice_api: Api) -> None:
    response = alice_api.post("/clone-voice", files={"other": b"x"})
    assert response.status_code == 400
    error = error_of(response)
    assert error["code"] == "invalid"
    assert error["fields"].keys() == {"voice_name", "audio_file"}


@pytest.mark.parametrize(
    "name", ["", " ", "x" * 61, "nul\0"], ids=["empty", "blank", "too long", "with a null character"]
)
def test_it_refuses_a_bad_name(alice_api: Api, provider: FakeProvider, name: str) -> None:
    response = alice_api.clone_voice(voice_name=name)
    assert response.status_code == 400
    assert error_of(response)["fields"].keys() == {"voice_name"}
    assert not provider.requests


def test_a_text_field_does_not_count_as_a_recording(alice_api: Api) -> None:
    response = alice_api.post("/clone-voice", files={"voice_name": (None, "Jane"), "audio_file": (None, "text")})
    assert error_of(response)["fields"].keys() == {"audio_file"}


def test_it_accepts_only_forms(alice_api: Api) -> None:
    response = alice_api.post("/clone-voice", json={"voice_name": "Jane"})
    assert response.status_code == 415
    assert error_of(response)["code"] == "unsupported_media_type"


def test_a_bad_recording_is_refused_before_anything_is_paid_or_stored(alice_api: Api, provider: FakeProvider) -> None:
    too_short = alice_api.clone_voice(recordings=[QUESTION])
    assert too_short.status_code == 422
    assert error_of(too_short)["code"] == "sample_too_short"
    no_audio = alice_api.clone_voice(recordings=[*SAMPLES, b"plain text"])
    assert no_audio.status_code == 422
    assert error_of(no_audio)["code"] == "audio_format_unknown"
    assert not provider.requests
    assert not VoiceProfile.objects.exists()
    assert not stored_files("samples")


@pytest.mark.parametrize(
    ("status", "reason", "code", "answer"),
    [
        (401, "invalid_api_key", "provider_key_invalid", 502),
        (401, "quota_exceeded", "provider_quota_exhausted", 502),
        (403, "only_for_creator+", "provider_plan_insufficient", 502),
        (401, "missing_permissions", "provider_permission_missing", 502),
        (401, "payment_issue", "provider_payment_failed", 502),
        (400, "voice_limit_reached", "provider_voice_limit", 502),
        (400, "duplicate_files", "provider_duplicate_samples", 422),
        (422, "invalid_content", "provider_audio_refused", 422),
        (429, "system_busy", "provider_busy", 503),
        (500, "internal_error", "provider_failed", 502),
    ],
)
def test_when_the_provider_refuses_the_voice_is_kept_as_failed(
    alice_api: Api,
    provider: FakeProvider,
    settings: Settings,
    status: int,
    reason: str,
    code: str,
    answer: int,
) -> None:
    settings.MIN_SAMPLE_SECONDS = 1
    provider.fail_next(VOICES_ADD, status=status, body=elevenlabs_error(reason))
    response = alice_api.clone_voice(recordings=[QUESTION])
    assert response.status_code == answer
    assert error_of(response)["code"] == code
    assert len(provider.requests) == 1
    voice = VoiceProfile.objects.get()
    assert (voice.status, voice.error_code, voice.voice_id, voice.is_default) == ("failed", code, "", False)
    assert VoiceSample.objects.filter(voice=voice).count() == len(stored_files("samples")) == 1


def test_when_the_provider_is_down_it_answers_503(
    transactional_db: None, alice_token: str, remote_engines: FakeProvider, settings: Settings
) -> None:
    settings.ELEVENLABS_BASE_URL = NOWHERE
    with serve() as server, Api(server.url, alice_token) as api:
        response = api.clone_voice()
    assert response.status_code == 503
    assert error_of(response)["code"] == "provider_unreachable"
    assert VoiceProfile.objects.get().status == "failed"


def test_a_voice_whose_speaker_must_be_verified_is_not_left_at_the_provider(
    alice_api: Api, provider: FakeProvider
) -> None:
    provider.behaviour.requires_verification = True
    response = alice_api.clone_voice()
    assert error_of(response)["code"] == "provider_voice_unverified"
    assert not provider.voices


def test_a_voice_that_is_deleted_meanwhile_is_not_left_at_the_provider(alice_api: Api, provider: FakeProvider) -> None:
    provider.delay(VOICES_ADD, 0.5)
    with ThreadPoolExecutor() as pool:
        cloning = pool.submit(alice_api.clone_voice)
        wait_until(lambda: provider.requests)
        assert alice_api.delete(f"/api/v1/voices/{VoiceProfile.objects.get().pk}").status_code == 204
    response = cloning.result()
    assert response.status_code == 404
    assert error_of(response)["code"] == "voice_not_found"
    assert not provider.voices
    assert not stored_files("samples")
