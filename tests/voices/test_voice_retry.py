from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apps.voices.models import VoiceProfile
from tests.client import Api, error_of
from tests.fakes.elevenlabs import VOICES_ADD, elevenlabs_error

if TYPE_CHECKING:
    from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.usefixtures("consent")  # Cloning needs a consent.

BUSY = elevenlabs_error("system_busy")


def failed_voice(api: Api, provider: FakeProvider) -> str:
    """Clone a voice while the provider is busy and return the address of its retry."""
    provider.fail_next(VOICES_ADD, status=429, body=BUSY)
    api.clone_voice()
    return f"/api/v1/voices/{VoiceProfile.objects.get().pk}/retry"


def test_it_clones_from_the_stored_recordings(alice_api: Api, provider: FakeProvider) -> None:
    response = alice_api.post(failed_voice(alice_api, provider))
    assert response.status_code == 200
    assert response.json()["status"] == "ready"
    assert response.json()["error"] is None
    assert response.json()["is_default"] is True
    assert response.json()["voice_id"] in provider.voices
    first, second = provider.requests_to(VOICES_ADD)
    assert second.form == first.form
    assert [file.sha256 for file in second.files] == [file.sha256 for file in first.files]


def test_it_can_fail_again(alice_api: Api, provider: FakeProvider) -> None:
    retry = failed_voice(alice_api, provider)
    provider.fail_next(VOICES_ADD, status=401, body=elevenlabs_error("invalid_api_key"))
    response = alice_api.post(retry)
    assert response.status_code == 502
    assert error_of(response)["code"] == "provider_key_invalid"
    voice = VoiceProfile.objects.get()
    assert (voice.status, voice.error_code) == ("failed", "provider_key_invalid")
    assert alice_api.post(retry).status_code == 200


def test_a_voice_that_did_not_fail_is_not_cloned_twice(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    response = alice_api.post(f"/api/v1/voices/{voice.pk}/retry")
    assert response.status_code == 409
    assert error_of(response)["code"] == "voice_not_failed"
    assert not provider.requests
