"""Stored files are missing on the disk, as after an incomplete backup: one error, and nothing is left out silently."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest
from django.core import mail
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.conversations.models import AbuseReport, Turn
from apps.privacy.models import Export
from apps.voices import consent as consents
from apps.voices.models import Consent, VoiceProfile
from tests.client import QUESTION, Api, Event, error_of, read_events
from tests.factories import make_consent, make_turn, make_voice
from tests.fakes.elevenlabs import SPEECH, VOICES_ADD, elevenlabs_error
from tests.fakes.openai import TRANSCRIPTIONS, openai_error
from tests.storage import stored_files
from tests.worker import work

if TYPE_CHECKING:
    import requests
    from django.test import Client
    from pytest_django import Settings

    from apps.conversations.models import Conversation
    from tests.fakes.provider import FakeProvider

KEY = {"Idempotency-Key": "once"}
MESSAGE = "missing on the server"


def lose_all(folder: str = "") -> None:
    files = stored_files(folder)
    assert files
    for file in files:
        file.unlink()


def assert_missing(response: requests.Response) -> None:
    assert response.status_code == 410, response.text
    error = error_of(response)
    assert error["code"] == "recording_missing"
    assert MESSAGE in error["message"]


@pytest.mark.parametrize("accept", ["*/*", "audio/mpeg"])
@pytest.mark.parametrize("name", ["turn-audio", "turn-question"])
def test_the_sound_of_a_turn(alice_api: Api, conversation: Conversation, name: str, accept: str) -> None:
    path = reverse(f"api:{name}", args=[make_turn(conversation).pk])
    lose_all()
    assert_missing(alice_api.get(path, headers={"Accept": accept}))
    if accept == "*/*":
        assert_missing(alice_api.get(path, headers={"Sec-Fetch-Dest": "audio"}))


def test_a_damaged_file_is_as_good_as_missing(alice_api: Api, conversation: Conversation) -> None:
    path = reverse("api:turn-question", args=[make_turn(conversation).pk])
    for file in stored_files("questions"):
        file.write_bytes(b"")
    assert_missing(alice_api.get(path, headers={"Accept": "audio/mpeg"}))


def test_the_mp3_of_an_answer_is_made_again(alice_api: Api, conversation: Conversation) -> None:
    path = f"{reverse('api:turn-audio', args=[make_turn(conversation).pk])}?as=mp3"
    first = alice_api.get(path)
    for file in stored_files("answers"):
        if file.suffix == ".mp3":
            file.unlink()
    assert alice_api.get(path).status_code == first.status_code == 200
    assert [file.suffix for file in stored_files("answers")].count(".mp3") == 1


def test_the_sound_of_a_voice_and_of_a_consent(alice_api: Api, voice: VoiceProfile) -> None:
    lose_all()
    assert_missing(alice_api.get(reverse("api:voice-sample", args=[voice.pk, voice.samples.get().pk])))
    assert_missing(alice_api.get(reverse("api:consent-audio", args=[voice.consent_id])))


class TestCloning:
    @pytest.fixture
    def failed(self, alice: User) -> VoiceProfile:
        return make_voice(alice, "", status="failed", error_code="provider_busy")

    def test_again(self, alice_api: Api, provider: FakeProvider, failed: VoiceProfile) -> None:
        lose_all("samples")
        assert_missing(alice_api.post(reverse("api:voice-retry", args=[failed.pk])))
        assert VoiceProfile.objects.get().status == "failed"
        assert not provider.requests

    def test_again_on_the_page(self, client: Client, remote_engines: FakeProvider, failed: VoiceProfile) -> None:
        lose_all("samples")
        client.force_login(failed.owner)
        assert MESSAGE in client.post(reverse("voices:retry", args=[failed.pk]), follow=True).content.decode()

    def test_with_a_consent_whose_recording_is_missing(
        self, alice_api: Api, provider: FakeProvider, consent: Consent
    ) -> None:
        lose_all("consents")
        response = alice_api.clone_voice()
        assert_missing(response)
        assert reverse("voices:consent") in error_of(response)["message"]
        assert not provider.requests_to(VOICES_ADD)
        assert not VoiceProfile.objects.exists()


class TestReplay:
    def test_of_a_full_interaction(self, alice_api: Api, voice: VoiceProfile) -> None:
        def ask() -> requests.Response:
            files = {"audio_file": ("question.wav", QUESTION)}
            return alice_api.post("/full-interaction", data={"voice_id": voice.voice_id}, files=files, headers=KEY)

        assert ask().status_code == 200
        lose_all("answers")
        assert_missing(ask())

    def test_of_events(self, alice_api: Api, conversation: Conversation) -> None:
        def ask() -> list[Event]:
            headers = {"Accept": "text/event-stream", **KEY}
            with alice_api.ask(conversation, text="Hello?", headers=headers, stream=True) as response:
                return list(read_events(response))

        assert ask()[-1].name == "done"
        lose_all("answers")
        events = ask()
        assert [event.name for event in events] == ["heard", "said", "failed"]
        assert (events[-1].data["code"], events[-1].data["retryable"]) == ("recording_missing", False)


class TestRetryOfATurn:
    def test_that_was_not_heard(self, alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
        provider.fail_next(TRANSCRIPTIONS, status=401, body=openai_error("invalid_api_key"))
        turn = alice_api.ask(conversation).json()
        lose_all("questions")
        error = alice_api.post(f"/api/v1/turns/{turn['id']}/retry").json()["error"]
        assert (error["stage"], error["code"], error["retryable"]) == ("hear", "recording_missing", False)
        assert MESSAGE in error["message"]
        assert MESSAGE in Turn.objects.get().error_message

    def test_that_was_half_spoken(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation, settings: Settings
    ) -> None:
        """The lost half is spoken again: its text is stored."""
        settings.SPEECH_IN_FLIGHT = 1
        whole = alice_api.ask(conversation, text="Hello?").json()["answer_seconds"]
        lose_all("answers")
        provider.delay(SPEECH, 0)
        provider.fail_next(SPEECH, status=401, body=elevenlabs_error("quota_exceeded"))
        turn = alice_api.ask(conversation, text="Hello?").json()
        lose_all("answers")
        again = alice_api.post(f"/api/v1/turns/{turn['id']}/retry").json()
        assert (again["status"], again["error"]) == ("spoken", None)
        assert again["answer_seconds"] == pytest.approx(whole, abs=0.01)


class TestConsent:
    """A consent that is given stays given, whatever happens to the voices that it renews."""

    @pytest.fixture
    def voices(self, alice: User, provider: FakeProvider) -> list[VoiceProfile]:
        """Two voices with an expired consent; the samples of the first one are lost."""
        now = timezone.now()
        expired = make_consent(alice, valid_until=now)
        voices = [make_voice(alice, provider.add_voice("Jane"), consent=expired) for _number in range(2)]
        default_storage.delete(str(voices[0].samples.get().file.name))
        return voices

    def test_spoken(self, alice_api: Api, provider: FakeProvider, voices: list[VoiceProfile]) -> None:
        asked = alice_api.post(reverse("api:consent-challenges"), json={}).json()
        provider.behaviour.transcript = asked["statement"]
        recording = {"audio": ("statement.wav", QUESTION)}
        given = alice_api.post(reverse("api:consents"), data={"challenge": asked["id"]}, files=recording)
        assert given.status_code == 201
        assert [VoiceProfile.objects.get(pk=voice.pk).can_speak for voice in voices] == [False, True]

    def test_attested(self, alice: User, voices: list[VoiceProfile], settings: Settings) -> None:
        settings.CONSENT = "attested"
        consents.attest(owner=alice)
        assert [VoiceProfile.objects.get(pk=voice.pk).can_speak for voice in voices] == [True, True]


class TestExport:
    @pytest.fixture
    def export(self, real_transactions: None, client: Client, alice: User, voice: VoiceProfile) -> Export:
        default_storage.delete(str(voice.samples.get().file.name))
        client.force_login(alice)
        client.post(reverse("privacy:start-export"))
        work()
        return Export.objects.get()

    def test_it_lists_what_it_lacks(self, client: Client, voice: VoiceProfile, export: Export) -> None:
        assert (export.state, export.missing) == ("ready", 1)
        with export.file.open("rb") as file:
            archive = ZipFile(io.BytesIO(file.read()))
        sample = f"voice-samples/{voice.samples.get().pk}-file.flac"
        assert sample not in archive.namelist()
        assert sample in archive.read("MISSING.txt").decode().splitlines()
        assert MESSAGE in archive.read("MISSING.txt").decode()

    def test_page_mail_and_api_say_so(self, client: Client, export: Export) -> None:
        assert "1 recording is missing on the server" in client.get(reverse("privacy:data")).content.decode()
        assert "1 recording is missing on the server" in mail.outbox[-1].body
        shown: dict[str, Any] = client.get(reverse("api:export", args=[export.pk])).json()
        assert shown["missing"] == 1


def test_the_file_of_a_report(client: Client, db: None) -> None:
    report = AbuseReport.objects.create(text="It is me.", file=SimpleUploadedFile("clip.mp3", b"sound"))
    lose_all()
    client.force_login(User.objects.create_superuser("root"))
    page = client.get(reverse("admin:conversations_abusereport_file", args=[report.pk]), follow=True)
    assert page.status_code == 200
    assert MESSAGE in page.content.decode()
