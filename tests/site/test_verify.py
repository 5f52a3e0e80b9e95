"""`/verify` and `/api/v1/verify`: everybody can check the origin of a file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.conversations.models import Turn
from apps.site.verification import FILES_PER_NETWORK
from apps.speech import signer
from apps.speech.audio.mp3 import to_mp3
from apps.speech.audio.resampling import resample
from apps.speech.audio.wav import to_wav
from apps.speech.provenance.certificates import make_identity
from apps.speech.provenance.encoders import AudioFormat, create_encoder
from apps.speech.provenance.marks import Origin
from apps.speech.provenance.signing import Marker
from tests.audio_samples import clip, webm
from tests.client import LONG_REPLY, error_of

if TYPE_CHECKING:
    from pytest_django import Settings

    from apps.conversations.models import Conversation
    from apps.voices.models import VoiceProfile
    from tests.client import Api, Page

pytestmark = pytest.mark.django_db

SPEECH = resample(clip("austen-0930.wav"), sample_rate=24_000)
ORIGIN = Origin("elevenlabs", datetime(2026, 3, 2, 8, 15, 30, tzinfo=UTC))


def send(path: str, data: bytes, name: str = "file", **headers: str) -> Page:
    return Client().post(path, {"file": SimpleUploadedFile(name, data)}, headers=headers)


def verdict_on(data: bytes, name: str = "file") -> dict[str, object]:
    response = send("/api/v1/verify", data, name)
    assert response.status_code == 200, response.content
    return dict(json.loads(response.content))


def altered(data: bytes) -> bytes:
    return data[:-3000] + bytes([data[-3000] ^ 1]) + data[-2999:]


class TestOwnFiles:
    """Every kind of sound file from this site, through a real server."""

    @pytest.mark.parametrize("address", ["audio", "audio?as=mp3"])
    def test_a_stored_answer_and_its_changed_copy_are_recognised(
        self, alice_api: Api, conversation: Conversation, address: str
    ) -> None:
        turn = alice_api.ask(conversation, text="Hello?").json()
        data = alice_api.get(f"/api/v1/turns/{turn['id']}/{address}").content
        finding = verdict_on(data)
        assert (finding["verdict"], finding["engine"], finding["signed_here"]) == ("made_here", "elevenlabs", True)
        assert turn["id"].encode() in data
        finding = verdict_on(altered(data))
        assert (finding["verdict"], finding["signed_here"]) == ("altered", True)

    def test_a_preview_is_recognised(self, alice_api: Api, voice: VoiceProfile) -> None:
        mp3 = alice_api.post(f"/api/v1/voices/{voice.pk}/preview", json={"text": "Good morning."}).content
        assert verdict_on(mp3)["verdict"] == "made_here"

    def test_a_streamed_answer_is_recognised_by_its_tag(self, alice_api: Api, voice: VoiceProfile) -> None:
        response = alice_api.full_interaction(voice.voice_id)
        finding = verdict_on(response.content)
        assert (finding["verdict"], finding["engine"]) == ("tagged", "elevenlabs")
        assert Turn.objects.get().pk.hex in response.content.decode("latin-1").replace("-", "")

    @pytest.mark.parametrize("audio_format", ["mp3", "wav", "flac", "opus"])
    def test_streamed_speech_is_recognised_by_its_tag(
        self, alice_api: Api, voice: VoiceProfile, audio_format: str
    ) -> None:
        body = {"text": LONG_REPLY, "voice": "Jane", "format": audio_format}
        response = alice_api.post("/api/v1/speech", json=body)
        assert response.headers["X-AI-Generated"] == "true"
        assert verdict_on(response.content)["verdict"] == "tagged"

    def test_pcm_has_only_the_header(self, alice_api: Api, voice: VoiceProfile) -> None:
        body = {"text": "Hello.", "voice": "Jane", "format": "pcm"}
        assert alice_api.post("/api/v1/speech", json=body).headers["X-AI-Generated"] == "true"

    def test_a_question_is_not_marked(self, alice_api: Api, conversation: Conversation) -> None:
        turn = alice_api.ask(conversation).json()
        for address in ("question", "question?as=mp3"):
            response = alice_api.get(f"/api/v1/turns/{turn['id']}/{address}")
            assert verdict_on(response.content)["verdict"] == "unmarked"
            assert "X-AI-Generated" not in response.headers


class TestApi:
    @pytest.mark.parametrize("name", ["voice.wav", "holiday.jpg", "../../etc/passwd", "a" * 300])
    def test_the_file_name_does_not_matter(self, name: str) -> None:
        mp3 = signer.marker().to_mp3(SPEECH, ORIGIN)
        assert verdict_on(mp3, name)["verdict"] == "made_here"

    def test_a_file_from_another_installation_is_signed_elsewhere(self) -> None:
        other = Marker(make_identity(), b"", frozenset())
        finding = verdict_on(other.to_flac(SPEECH, ORIGIN))
        assert (finding["verdict"], finding["signed_here"], finding["signed_by"]) == ("elsewhere", False, "VoiceClone")

    def test_a_recording_of_a_person_proves_nothing(self) -> None:
        finding = verdict_on(webm(SPEECH))
        assert finding["verdict"] == "unmarked"
        assert "does not prove" in str(finding["message"])

    @pytest.mark.parametrize("data", [b"", b"text", bytes(3_000_000)])
    def test_a_file_without_sound_is_refused(self, data: bytes) -> None:
        response = send("/api/v1/verify", data)
        assert response.status_code == 422
        assert error_of(response)["code"] == "file_unreadable"

    def test_a_file_is_required(self) -> None:
        response = Client().post("/api/v1/verify", {})
        assert response.status_code == 400
        assert error_of(response)["code"] == "invalid"

    def test_other_origins_have_access(self) -> None:
        response = send("/api/v1/verify", to_mp3(SPEECH), origin="http://localhost:3000")
        assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"

    def test_the_number_of_files_from_a_network_is_limited(self, settings: Settings) -> None:
        settings.LIMITS = True
        cache.clear()
        for _number in range(FILES_PER_NETWORK.attempts):
            FILES_PER_NETWORK.take("127.0.0.1/32")
        response = send("/api/v1/verify", to_mp3(SPEECH))
        cache.clear()
        assert response.status_code == 429
        assert error_of(response)["code"] == "too_many_files"
        assert 0 < int(response["Retry-After"]) <= FILES_PER_NETWORK.seconds


class TestPage:
    def test_it_shows_the_verdict_and_the_facts(self) -> None:
        page = send("/verify", signer.marker().to_mp3(SPEECH, ORIGIN), "<b>answer.mp3").content.decode()
        assert "Made here, by AI" in page
        assert "2 March 2026, 08:15 UTC" in page
        assert "ElevenLabs" in page
        assert "&lt;b&gt;answer.mp3" in page
        assert "<b>answer" not in page

    def test_it_shows_each_verdict(self) -> None:
        encoder = create_encoder(AudioFormat.OPUS, 24_000, ORIGIN)
        streamed = encoder.encode(SPEECH.pcm) + encoder.finish()
        foreign = Marker(make_identity(), b"", frozenset()).to_mp3(SPEECH, ORIGIN)
        own = signer.marker().to_mp3(SPEECH, ORIGIN)
        files = {
            "Changed since it was signed": altered(own),
            "Signed by somebody else": foreign,
            "Tagged as made by AI": streamed,
            "No mark found": to_wav(SPEECH),
        }
        for title, data in files.items():
            assert title in send("/verify", data).content.decode()
        assert "no longer valid" in send("/verify", altered(foreign)).content.decode()

    def test_of_a_time_without_a_zone_it_shows_the_day(self) -> None:
        sample = (settings.BASE_DIR / "static" / "sound" / "clone.mp3").read_bytes()
        page = send("/verify", sample).content.decode()
        assert '<time datetime="2026-11-29">29 November 2026</time>' in page
        assert "T00:00" not in page

    def test_a_file_without_sound_is_a_form_error(self) -> None:
        response = send("/verify", b"text")
        assert response.status_code == 422
        assert b"There is a problem" in response.content

    def test_nothing_is_stored(self, alice_api: Api, settings: Settings) -> None:
        marked = signer.marker().to_flac(SPEECH, ORIGIN)
        send("/verify", marked)
        assert not list(settings.MEDIA_ROOT.glob("**/*.*"))
        assert not Turn.objects.exists()

    def test_a_form_of_another_site_is_refused(self) -> None:
        client = Client(enforce_csrf_checks=True)
        assert client.post("/verify", {"file": SimpleUploadedFile("a", b"text")}).status_code == 403

    @pytest.mark.parametrize("path", ["/", "/accounts/login/", "/verify"])
    def test_every_page_links_to_it(self, client: Client, path: str) -> None:
        assert b'href="/verify"' in client.get(path).content
