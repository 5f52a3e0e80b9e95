"""A site whose voices are at each kind of voice server: cloning, talking, deleting, withdrawing, repairing."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as django_settings
from django.urls import reverse
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from apps.background.reconciling import reconcile
from apps.speech.audio.decoding import decode
from apps.voices.deletion import finish_deletion
from apps.voices.models import Consent, VoiceProfile, VoiceTag
from tests.client import NOWHERE, Api, error_of
from tests.conftest import serve
from tests.factories import make_voice
from tests.fakes.voice_servers import CHARACTERS_PER_SECOND, MODEL, Kind, heard_pitch, pitch, sha256
from tests.speech.voice_server_calls import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.fakes.provider import FakeProvider
    from tests.fakes.voice_servers import FakeVoiceServer

KINDS: list[Kind] = ["sglang", "openai", "omlx", "chatterbox"]
MADE = {
    "sglang": ["POST /v1/audio/voice_consents", "POST /v1/audio/voices"],
    "openai": ["POST /v1/audio/voice_consents", "POST /v1/audio/voices"],
    "omlx": [],
    "chatterbox": ["POST /upload_reference"],
}


@pytest.fixture(params=KINDS)
def site(
    request: pytest.FixtureRequest, voice_server: FakeVoiceServer, remote_engines: FakeProvider, settings: Settings
) -> FakeVoiceServer:
    """The voice server of a site that hears and thinks elsewhere."""
    voice_server.kind = request.param
    settings.TEXT_TO_SPEECH = "server"
    settings.VOICE_DIALECT = DIALECTS[request.param]
    settings.VOICE_BASE_URL = voice_server.base_url
    settings.VOICE_MODEL = MODEL
    return voice_server


@pytest.fixture
def api(site: FakeVoiceServer, transactional_db: None, alice_token: str, consent: Consent) -> Iterator[Api]:
    """A program that acts for Alice, who has consented. The server's own calls on its start are not counted."""
    with serve() as server, Api(server.url, alice_token) as api:
        site.requests.clear()
        yield api


def stored(site: FakeVoiceServer) -> list[str]:
    """Return what is left of voices: at the server, and in the folder of references."""
    folder = Path(django_settings.MEDIA_ROOT) / "server-voices"
    return [*site.references, *site.consents, *(path.name for path in folder.glob("*"))]


def remove_by_hand(site: FakeVoiceServer) -> None:
    """Do what the operator of a Chatterbox-TTS-Server has to do."""
    assert site.kind == "chatterbox"
    site.references.clear()


def test_a_voice_is_cloned_talks_and_is_deleted(api: Api, site: FakeVoiceServer, provider: FakeProvider) -> None:
    cloned = api.clone_voice()
    assert cloned.status_code == 201, cloned.text
    assert site.calls == MADE[site.kind]
    voice = VoiceProfile.objects.get()
    assert (voice.provider, voice.status, voice.voice_id) == ("server", "ready", cloned.json()["voice_id"])

    assert MODEL in {model["id"] for model in api.get("/v1/models").json()["data"]}

    site.requests.clear()
    answer = api.full_interaction(voice.voice_id)
    assert answer.status_code == 200, answer.text
    recording = decode(answer.content, sample_rate=24_000, max_seconds=60)
    assert recording.seconds == pytest.approx(len(provider.behaviour.reply) / CHARACTERS_PER_SECOND, abs=0.5)
    (reference,) = set(site.references.values()) or {_only_reference(site)}
    assert heard_pitch(recording.pcm, 24_000) == pytest.approx(pitch(reference), abs=2)
    assert b"AI_GENERATED" in answer.content
    assert set(site.calls) == {"POST /tts" if site.kind == "chatterbox" else "POST /v1/audio/speech"}

    deleted = api.delete(f"/api/v1/voices/{voice.pk}")
    if site.kind == "chatterbox":
        assert (deleted.status_code, error_of(deleted)["code"]) == (502, "provider_cannot_delete")
        assert VoiceProfile.objects.get().status == "deleting"
        assert error_of(api.full_interaction(voice.voice_id))["code"] == "voice_not_ready"
        remove_by_hand(site)
        deleted = api.delete(f"/api/v1/voices/{voice.pk}")
    assert deleted.status_code == 204
    assert not VoiceProfile.objects.exists()
    assert stored(site) == []


def _only_reference(site: FakeVoiceServer) -> str:
    """Return the SHA-256 of the reference in the last request for speech."""
    return sha256(base64.b64decode(site.last_request.json["ref_audio"]))


def test_after_a_withdrawal_nothing_is_left(api: Api, site: FakeVoiceServer) -> None:
    api.clone_voice()
    assert api.post(f"/api/v1/consents/{Consent.objects.get().pk}/withdraw").status_code == 200
    if site.kind == "chatterbox":
        _work()
        assert VoiceProfile.objects.get().error_code == "provider_cannot_delete"
        remove_by_hand(site)
    _work()
    assert not VoiceProfile.objects.exists()
    assert stored(site) == []


def _work() -> None:
    """Do what the worker does with the newest deletion."""
    task = DBTaskResult.objects.filter(task_path="apps.voices.deletion.finish_deletion").latest("enqueued_at")
    finish_deletion.call(*task.args_kwargs["args"], **task.args_kwargs["kwargs"])


@pytest.mark.parametrize("site", ["sglang", "omlx", "chatterbox"], indirect=True)  # OpenAI has no list of voices.
def test_a_voice_that_nobody_needs_is_found(site: FakeVoiceServer, alice: User, db: None) -> None:
    voice = make_voice(
        alice, "", provider="server", status="pending", lease_until=timezone.now() - timedelta(seconds=1)
    )
    VoiceTag.objects.create(pk=voice.pk, provider="server")
    name = f"voiceclone-{voice.pk.hex}"
    site.references["somebody-else"] = "0" * 64
    if site.kind == "omlx":
        folder = Path(django_settings.MEDIA_ROOT) / "server-voices"
        folder.mkdir(parents=True)
        (folder / f"server-{voice.pk.hex}.json").write_text("{}")
    else:
        site.references[f"{name}.wav" if site.kind == "chatterbox" else name] = "1" * 64
    VoiceProfile.objects.all().delete()
    outcomes = [outcome for _repair, outcome in reconcile()]
    if site.kind == "chatterbox":
        assert outcomes == ["provider_cannot_delete"]
    else:
        assert outcomes == ["done"]
        assert stored(site) == ["somebody-else"]


@pytest.mark.parametrize("site", ["sglang", "chatterbox"], indirect=True)  # Others have no list or store nothing.
def test_a_voice_whose_answer_was_lost_is_used(site: FakeVoiceServer, alice: User, db: None) -> None:
    voice = make_voice(alice, "", provider="server", status="failed", error_code="provider_incomplete")
    VoiceTag.objects.create(pk=voice.pk, provider="server")
    made = f"voiceclone-{voice.pk.hex}" + (".wav" if site.kind == "chatterbox" else "")
    site.references[made] = "1" * 64
    assert [outcome for _repair, outcome in reconcile()] == ["done"]
    voice.refresh_from_db()
    assert (voice.status, voice.voice_id) == ("ready", made)


@pytest.mark.parametrize("site", ["sglang"], indirect=True)
class TestFaults:
    def test_a_server_that_is_down(self, api: Api, site: FakeVoiceServer, alice_token: str, settings: Settings) -> None:
        api.clone_voice()
        voice = VoiceProfile.objects.get()
        settings.VOICE_BASE_URL, settings.PROVIDER_RETRIES, settings.BREAKER_FAILURES = NOWHERE, 0, 1
        with serve() as server, Api(server.url, alice_token) as other:
            turn = other.post(f"/api/v1/voices/{voice.pk}/preview", json={"text": "Hello."})
            assert (turn.status_code, error_of(turn)["code"]) == (503, "provider_unreachable")

    def test_the_wrong_key(self, api: Api, site: FakeVoiceServer) -> None:
        site.behaviour.key = "another"
        refused = api.clone_voice()
        assert (refused.status_code, error_of(refused)["code"]) == (502, "provider_key_invalid")
        assert VoiceProfile.objects.get().error_code == "provider_key_invalid"

    def test_a_voice_that_the_server_lost(self, api: Api, site: FakeVoiceServer) -> None:
        api.clone_voice()
        site.references.clear()
        voice = VoiceProfile.objects.get()
        refused = api.post(f"/api/v1/voices/{voice.pk}/preview", json={"text": "Hello."})
        assert (refused.status_code, error_of(refused)["code"]) == (502, "provider_voice_missing")

    def test_the_dialect_has_changed(
        self, api: Api, site: FakeVoiceServer, alice_token: str, settings: Settings
    ) -> None:
        api.clone_voice()
        voice = VoiceProfile.objects.get()
        settings.VOICE_DIALECT = "chatterbox"
        with serve() as server, Api(server.url, alice_token) as other:
            refused = other.post(f"/api/v1/voices/{voice.pk}/preview", json={"text": "Hello."})
            kept = other.delete(f"/api/v1/voices/{voice.pk}")
        for response in (refused, kept):
            assert (response.status_code, error_of(response)["code"]) == (503, "provider_not_configured")
        assert VoiceProfile.objects.get().status == "deleting"
        assert stored(site)


@pytest.mark.parametrize("site", ["sglang", "chatterbox"], indirect=True)
class TestPages:
    def test_the_privacy_page_names_the_server(self, site: FakeVoiceServer, client: Client, db: None) -> None:
        said = " ".join(client.get(reverse("privacy")).content.decode().split())
        assert "127.0.0.1" in said
        assert "a part of your recordings and the words in it" in said
        assert ("the recording of your consent, if it asks for one" in said) == (site.kind == "sglang")

    def test_a_server_that_speaks_with_older_voices_is_named(
        self, site: FakeVoiceServer, client: Client, alice: User, settings: Settings
    ) -> None:
        settings.TEXT_TO_SPEECH = "local"
        assert "every text that is spoken in your voice" not in client.get(reverse("privacy")).content.decode()
        make_voice(alice, "voiceclone-1", provider="server")
        said = client.get(reverse("privacy")).content.decode()
        assert "every text that is spoken in your voice" in said
        assert "a part of your recordings" not in said

    def test_the_card_of_a_voice(self, site: FakeVoiceServer, client: Client, alice: User) -> None:
        client.force_login(alice)
        voice = make_voice(alice, "voiceclone-1", provider="server")
        page = client.get(reverse("voices:list")).content.decode()
        assert "<dd>Voice server</dd>" in page
        assert "Speech settings" not in page
        VoiceProfile.objects.filter(pk=voice.pk).update(status="deleting", error_code="provider_cannot_delete")
        assert "has to remove this one from it by hand" in client.get(reverse("voices:list")).content.decode()
        assert "until the operator" in client.get(reverse("voices:delete", args=[voice.pk])).content.decode()
