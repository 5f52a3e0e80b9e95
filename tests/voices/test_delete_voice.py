from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.files.storage import default_storage

from apps.voices.deletion import delete_voice
from apps.voices.models import VoiceProfile, VoiceSample
from tests.client import Api, error_of
from tests.fakes.elevenlabs import VOICES, elevenlabs_error

if TYPE_CHECKING:
    import requests

    from apps.conversations.models import Conversation
    from tests.fakes.provider import FakeProvider


def delete(api: Api, voice: VoiceProfile) -> requests.Response:
    return api.delete(f"/api/v1/voices/{voice.pk}")


def fail_deletion(provider: FakeProvider) -> None:
    provider.fail_next(VOICES, status=401, body=elevenlabs_error("invalid_api_key"))


def test_it_deletes_the_voice_here_and_at_the_provider(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    sample = voice.samples.get()
    assert delete(alice_api, voice).status_code == 204
    assert not provider.voices
    assert not VoiceProfile.objects.exists()
    assert not VoiceSample.objects.exists()
    assert not default_storage.exists(str(sample.file.name))


def test_a_voice_that_the_provider_no_longer_has_is_deleted_here(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    provider.voices.clear()
    assert delete(alice_api, voice).status_code == 204
    assert not VoiceProfile.objects.exists()


def test_when_the_provider_fails_the_voice_is_kept_and_cannot_speak(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile, conversation: Conversation
) -> None:
    fail_deletion(provider)
    response = delete(alice_api, voice)
    assert response.status_code == 502
    assert error_of(response)["code"] == "provider_key_invalid"
    voice.refresh_from_db()
    assert (voice.status, voice.is_default, voice.samples.count()) == ("deleting", False, 1)
    assert alice_api.ask(conversation, text="Hello?").status_code == 409
    assert alice_api.full_interaction(voice.voice_id).status_code == 409
    assert alice_api.patch(f"/api/v1/voices/{voice.pk}", json={"is_default": True}).status_code == 409
    assert len(provider.requests) == 1


def test_a_later_call_succeeds(alice_api: Api, provider: FakeProvider, voice: VoiceProfile) -> None:
    fail_deletion(provider)
    delete(alice_api, voice)
    assert delete(alice_api, voice).status_code == 204
    assert not provider.voices
    assert not VoiceProfile.objects.exists()


def test_a_voice_that_was_never_cloned_needs_no_call(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    VoiceProfile.objects.filter(pk=voice.pk).update(voice_id="", status="failed")
    assert delete(alice_api, voice).status_code == 204
    assert not provider.requests


def test_a_voice_that_became_ready_since_it_was_read_is_deleted_at_the_provider(
    remote_engines: FakeProvider, voice: VoiceProfile
) -> None:
    read_before = VoiceProfile.objects.get()
    read_before.voice_id = ""
    delete_voice(voice=read_before)
    assert not remote_engines.voices


def test_conversations_outlive_their_voice(alice_api: Api, voice: VoiceProfile, conversation: Conversation) -> None:
    delete(alice_api, voice)
    assert alice_api.get(f"/api/v1/conversations/{conversation.pk}").json()["voice"] is None
    response = alice_api.ask(conversation, text="Hello?")
    assert response.status_code == 409
    assert error_of(response)["code"] == "voice_not_found"
