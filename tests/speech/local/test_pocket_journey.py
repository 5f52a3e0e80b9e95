"""A person's way through the application with Pocket TTS: consent, clone, talk, delete, withdraw."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.urls import reverse

from apps.speech.audio.decoding import decode
from apps.speech.audio.resampling import resample
from apps.speech.base import Recording
from apps.voices.deletion import finish_deletion
from apps.voices.models import VoiceProfile
from tests.audio_samples import clip, to_wav
from tests.client import Api, error_of
from tests.conftest import Server, serve
from tests.factories import make_consent, make_voice
from tests.pocket import STAND_IN_DIR, bundle_of, pitch_of, tone

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.fakes.provider import FakeProvider


@pytest.fixture
def model_dir(remote_engines: FakeProvider, settings: Settings, tmp_path: Path) -> Path:
    """A copy of the stand-in for Pocket TTS, which the settings name."""
    settings.TEXT_TO_SPEECH = "pocket"
    settings.POCKET_BUNDLE = bundle_of(STAND_IN_DIR)
    folder = tmp_path / "pocket-tts"
    settings.POCKET_MODEL_DIR = shutil.copytree(STAND_IN_DIR, folder)
    return folder


@pytest.fixture
def server(transactional_db: None, model_dir: Path) -> Iterator[Server]:
    with serve() as running:
        yield running


@pytest.fixture
def api(server: Server, alice_token: str) -> Iterator[Api]:
    with Api(server.url, alice_token) as client:
        yield client


def voice_files() -> list[Path]:
    return sorted((Path(django_settings.MEDIA_ROOT) / "local-voices").glob("*"))


def sample(pitch: float) -> bytes:
    """Return a recording that is a voice of `pitch` for the stand-in. It has words, since mere noise is refused."""
    words = resample(clip("austen-0930.wav"), sample_rate=24_000).pcm[: 2 * 24_000]
    return to_wav(Recording(tone(pitch, seconds=40).pcm + words, 24_000))


def clone(api: Api, *, pitch: float, name: str) -> VoiceProfile:
    response = api.clone_voice(recordings=[sample(pitch)], voice_name=name)
    assert response.status_code == 201, response.text
    return VoiceProfile.objects.get(voice_id=response.json()["voice_id"])


def spoken(api: Api, voice: VoiceProfile) -> Recording:
    """Ask `voice` something and return its answer."""
    conversation = api.post("/api/v1/conversations", json={"voice": str(voice.pk)}).json()["id"]
    events = api.events_of_turn(conversation, text="What is the capital of France?")
    assert events[-1].name == "done", events[-1]
    chunks = [event.data for event in events if event.name == "spoken"]
    pcm = b"".join(base64.b64decode(chunk["audio"]) for chunk in chunks)
    return Recording(pcm, chunks[0]["sample_rate"])


def test_without_consent_nothing_is_cloned(api: Api) -> None:
    response = api.clone_voice(recordings=[sample(220)])
    assert error_of(response)["code"] == "consent_required"
    assert voice_files() == []


def test_two_people_answer_in_their_own_voices(api: Api, alice: User, bob: User, bob_token: str) -> None:
    make_consent(alice)
    make_consent(bob)
    with Api(api.url, bob_token) as bobs_api:
        for client, pitch in ((api, 220), (bobs_api, 330)):
            voice = clone(client, pitch=pitch, name="Mine")
            assert voice.provider == "pocket"
            assert pitch_of(spoken(client, voice)) == pytest.approx(pitch, abs=3)
    assert len(voice_files()) == 2


def test_answers_are_files_too(api: Api, alice: User) -> None:
    make_consent(alice)
    voice = clone(api, pitch=220, name="Mine")
    response = api.full_interaction(voice.voice_id)
    assert response.headers["X-AI-Generated"] == "true"
    answer = decode(response.content, sample_rate=24_000, max_seconds=60)
    assert pitch_of(answer) == pytest.approx(220, abs=3)


def test_a_deleted_voice_leaves_nothing(api: Api, alice: User) -> None:
    make_consent(alice)
    voice, kept = clone(api, pitch=220, name="Mine"), clone(api, pitch=330, name="Kept")
    spoken(api, voice)
    assert api.delete(f"/api/v1/voices/{voice.pk}").status_code == 204
    assert [path.stem for path in voice_files()] == [kept.voice_id]
    assert api.full_interaction(voice.voice_id).status_code == 404
    assert pitch_of(spoken(api, kept)) == pytest.approx(330, abs=3)


def test_a_withdrawn_consent_deletes_the_voices(api: Api, alice: User) -> None:
    consent = make_consent(alice)
    voice = clone(api, pitch=220, name="Mine")
    assert api.post(f"/api/v1/consents/{consent.pk}/withdraw").status_code == 200
    assert error_of(api.full_interaction(voice.voice_id))["code"] == "voice_not_ready"
    finish_deletion.call(str(voice.pk))
    assert not VoiceProfile.objects.exists()
    assert voice_files() == []


def test_a_site_with_broken_files_says_so_until_they_are_there(
    transactional_db: None, model_dir: Path, alice: User, alice_token: str
) -> None:
    make_consent(alice)
    encoder = model_dir / "encoder.onnx"
    content = encoder.read_bytes()
    encoder.write_bytes(content[:-1] + b"x")
    with serve() as running, Api(running.url, alice_token) as api:
        error = error_of(api.clone_voice(recordings=[sample(220)]))
        assert error["code"] == "models_missing"
        assert "manage.py fetch_models" in error["message"]
        voice = VoiceProfile.objects.get()
        assert (voice.status, voice.error_code) == ("failed", "models_missing")
        encoder.write_bytes(content)
        assert api.post(f"/api/v1/voices/{voice.pk}/retry").status_code == 200
        voice.refresh_from_db()
        assert pitch_of(spoken(api, voice)) == pytest.approx(220, abs=3)


def test_the_api_names_its_model_and_no_settings(api: Api, alice: User) -> None:
    voice = make_voice(alice, "pocket-" + "0" * 32, provider="pocket")
    assert api.get(f"/api/v1/voices/{voice.pk}").json()["adjustable"] == []
    assert "pocket-tts" in [model["id"] for model in api.get("/v1/models").json()["data"]]


@pytest.mark.usefixtures("model_dir")
class TestPages:
    """It is called experimental wherever it appears, until somebody has measured it."""

    def test_the_card_of_a_voice(self, client: Client, alice: User) -> None:
        make_voice(alice, "pocket-" + "0" * 32, provider="pocket")
        client.force_login(alice)
        page = client.get(reverse("voices:list")).content.decode()
        assert "Pocket TTS (experimental)" in page
        assert "This voice is an experimental clone, made on this machine." in page
        assert 'class="settings"' not in page

    def test_its_deletion(self, client: Client, alice: User) -> None:
        voice = make_voice(alice, "pocket-" + "0" * 32, provider="pocket")
        client.force_login(alice)
        page = client.get(reverse("voices:delete", args=[voice.pk])).content.decode()
        assert "The voice is deleted. Nobody can speak with it any more." in page

    def test_the_admin(self, admin_client: Client, alice: User) -> None:
        make_voice(alice, "pocket-" + "0" * 32, provider="pocket")
        page = admin_client.get(reverse("admin:voices_voiceprofile_changelist")).content.decode()
        assert "Pocket TTS (experimental)" in page

    def test_the_page_to_talk_on_says_that_it_speaks_english_only(self, client: Client, alice: User) -> None:
        make_voice(alice, "pocket-" + "0" * 32, provider="pocket")
        client.force_login(alice)
        page = client.get(reverse("conversations:talk")).content.decode()
        assert "pronounce every text as English" in page


@pytest.mark.usefixtures("model_dir", "db")
def test_the_check_of_engines_measures_it(settings: Settings) -> None:
    output = io.StringIO()
    call_command("check_engines", clone=True, stdout=output)
    for text in (
        "speak   pocket at this machine, pocket-tts: OK",
        "experimental",
        "sherpa-onnx 2.0.1",
        "real-time factor",
    ):
        assert text in output.getvalue()
    (settings.POCKET_MODEL_DIR / "decoder.int8.onnx").unlink()
    with pytest.raises(CommandError, match=r"decoder.int8.onnx is missing. Run: manage.py fetch_models"):
        call_command("check_engines", clone=True, stdout=output)
