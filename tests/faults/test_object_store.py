"""Recordings in an object store: everything that a person does, and a store that is down, silent or lacks an object."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest
import time_machine
from django.conf import settings as django_settings
from django.urls import reverse
from django.utils import timezone

from apps.conversations.models import Turn
from apps.core import object_storage
from apps.core.audio_response import STREAMED_BYTES
from apps.core.object_streams import PART_BYTES
from apps.core.storage import media
from apps.privacy import erasures, exports
from apps.privacy.models import Erasure, Export
from apps.speech.audio.flac import to_flac
from apps.speech.audio.formats import start_of_sound
from apps.voices.models import VoiceProfile
from tests.audio_samples import clip
from tests.client import LONG_REPLY, NOWHERE, Api, error_of, read_events
from tests.factories import make_turn
from tests.fakes.elevenlabs import VOICES_ADD
from tests.fakes.fixtures import use_storage
from tests.fakes.object_store import PREFIX, ObjectStore, client_of, keys_in
from tests.fakes.openai import TRANSCRIPTIONS
from tests.worker import work

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests
    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User
    from apps.conversations.models import Conversation
    from apps.voices.models import Consent
    from tests.fakes.provider import FakeProvider


@pytest.fixture(autouse=True)
def store(bucket: ObjectStore) -> ObjectStore:
    """Before everything else that a test has, so that all of it is in the store."""
    return bucket


@pytest.fixture
def impatient(store: ObjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """The store, to which the site gives less time than it does otherwise."""
    monkeypatch.setattr(object_storage, "READ_SECONDS", 0.2)
    use_storage(settings, store.address)
    yield store
    client_of(media()).close()  # type: ignore[arg-type]


def stored() -> list[str]:
    return keys_in(media())  # type: ignore[arg-type]


def assert_unavailable(response: requests.Response) -> None:
    assert response.status_code == 503, response.text
    assert error_of(response)["code"] == "recordings_unavailable"
    assert int(response.headers["Retry-After"]) > 0


def test_a_person_uses_everything_and_leaves_nothing(
    alice_api: Api, alice: User, client: Client, consent: Consent, settings: Settings
) -> None:
    voice_id = alice_api.clone_voice().json()["voice_id"]
    voice = VoiceProfile.objects.get(voice_id=voice_id)
    conversation = alice_api.post("/api/v1/conversations", json={"voice": str(voice.pk)}).json()["id"]
    assert alice_api.events_of_turn(conversation)[-1].name == "done"
    turn = Turn.objects.get()
    assert {name.split("/")[1] for name in stored()} == {"answers", "consents", "questions", "samples"}
    assert not list(django_settings.MEDIA_ROOT.glob("**/*.*"))

    address = reverse("api:turn-audio", args=[turn.pk])
    whole = alice_api.get(address).content
    part = alice_api.get(address, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(whole)}"
    played = alice_api.get(address, headers={"Sec-Fetch-Dest": "audio", "Range": "bytes=0-"})
    assert played.content == whole[start_of_sound(whole) :]
    assert played.content.startswith(b"fLaC")
    mp3 = f"{address}?as=mp3"
    assert alice_api.get(mp3).content == alice_api.get(mp3).content

    exports.start_export(owner=alice)
    work()
    export = Export.objects.get()
    assert (export.state, export.missing) == ("ready", 0)
    client.force_login(alice)
    archive = alice_api.get(reverse("api:export-download", args=[export.pk]))
    with ZipFile(io.BytesIO(archive.content)) as file:
        assert file.testzip() is None
        assert file.read(f"turns/{turn.pk}-answer.flac") == whole

    settings.ERASURE_COOLING_OFF_DAYS = 0
    erasures.request_erasure(user=alice)
    work()
    assert Erasure.objects.get().state == "done"
    assert stored() == []


def test_a_long_recording_is_streamed(alice_api: Api, conversation: Conversation) -> None:
    turn = make_turn(conversation)
    data = bytes(range(256)) * (STREAMED_BYTES // 128)
    with media().writing(str(turn.answer.name)) as stream:
        stream.write(data)
    response = alice_api.get(reverse("api:turn-audio", args=[turn.pk]), headers={"Range": "bytes=7-"})
    assert response.headers["Content-Length"] == str(len(data) - 7)
    assert response.content == data[7:]


def test_a_missing_object_is_a_missing_recording(alice_api: Api, alice: User, conversation: Conversation) -> None:
    turn = make_turn(conversation)
    media().delete(str(turn.answer.name))
    response = alice_api.get(reverse("api:turn-audio", args=[turn.pk]))
    assert (response.status_code, error_of(response)["code"]) == (410, "recording_missing")
    exports.start_export(owner=alice)
    work()
    assert Export.objects.get().missing == 1


def test_a_signed_address(alice_api: Api, conversation: Conversation, settings: Settings, store: ObjectStore) -> None:
    settings.MEDIA_SIGNED_URLS = True
    turn = make_turn(conversation)
    address = reverse("api:turn-question", args=[turn.pk])
    response = alice_api.get(address, allow_redirects=False)
    assert (response.status_code, response.headers["Cache-Control"]) == (302, "private, no-store")
    assert response.headers["Location"].startswith(f"{store.url}/{store.bucket}/")
    followed = alice_api.get(address)
    assert followed.headers["Content-Type"] == "audio/flac"
    assert followed.content == to_flac(clip("austen-0880.wav"))
    for reader in ("empty", "cors"):  # A script of a page may not read another origin.
        assert alice_api.get(address, headers={"Sec-Fetch-Dest": reader}, allow_redirects=False).status_code == 200
    media().delete(str(turn.question.name))
    assert alice_api.get(address).status_code == 410


class TestDown:
    @pytest.fixture
    def down(self, store: ObjectStore, settings: Settings, turn: Turn) -> None:
        use_storage(settings, store.address.replace(store.url, NOWHERE))

    @pytest.fixture
    def turn(self, conversation: Conversation) -> Turn:
        return make_turn(conversation)

    @pytest.mark.usefixtures("down")
    def test_what_is_stored_is_not_called_missing(
        self, alice_api: Api, turn: Turn, store: ObjectStore, settings: Settings
    ) -> None:
        address = reverse("api:turn-audio", args=[turn.pk])
        assert_unavailable(alice_api.get(address))
        assert_unavailable(alice_api.get(address, headers={"Sec-Fetch-Dest": "audio"}))
        ready = alice_api.get("/readyz")
        assert (ready.status_code, ready.json()["status"], ready.json()["recordings"]) == (200, "degraded", False)
        use_storage(settings, store.address)
        assert alice_api.get(address).status_code == 200
        assert alice_api.get("/readyz").json()["recordings"] is True

    @pytest.mark.usefixtures("down")
    def test_nothing_is_paid_for_that_cannot_be_stored(
        self, alice_api: Api, turn: Turn, provider: FakeProvider
    ) -> None:
        assert_unavailable(alice_api.get(reverse("api:turn-audio", args=[turn.pk])))
        assert_unavailable(alice_api.ask(turn.conversation_id))
        assert_unavailable(alice_api.clone_voice())
        assert not provider.requests

    @pytest.mark.usefixtures("consent", "down")
    def test_a_voice_whose_samples_cannot_be_stored_is_not_cloned(self, alice_api: Api, provider: FakeProvider) -> None:
        assert_unavailable(alice_api.clone_voice())
        assert not provider.requests_to(VOICES_ADD)

    @pytest.mark.usefixtures("down")
    def test_an_export_fails_and_lacks_nothing(self, real_transactions: None, alice: User) -> None:
        exports.start_export(owner=alice)
        work()
        assert Export.objects.get().state == "failed"

    def test_an_erasure_waits_for_it(
        self, server: object, alice: User, turn: Turn, store: ObjectStore, settings: Settings
    ) -> None:
        settings.ERASURE_COOLING_OFF_DAYS = 0
        erasures.request_erasure(user=alice)
        use_storage(settings, store.address.replace(store.url, NOWHERE))
        work()
        erasure = Erasure.objects.get()
        assert (erasure.state, erasure.error_code, erasure.tries) == ("running", "recordings_unavailable", 1)
        use_storage(settings, store.address)
        with time_machine.travel(timezone.now() + erasures.ERASURE_RETRY_DELAYS[0] * 1.1, tick=False):
            erasures.enqueue_due_tries()
        work()
        assert Erasure.objects.get().state == "done"
        assert stored() == []


def test_a_silent_store_takes_no_answer_and_loses_none(
    alice_api: Api, conversation: Conversation, provider: FakeProvider, impatient: ObjectStore
) -> None:
    with impatient.silent():
        events = alice_api.events_of_turn(conversation)
        assert "spoken" in {event.name for event in events}
        failed = events[-1]
        assert (failed.name, failed.data["stage"], failed.data["code"]) == ("failed", "speak", "recordings_unavailable")
        assert failed.data["retryable"]
    turn = Turn.objects.get()
    assert turn.transcript
    assert turn.reply
    assert media().is_available()
    events = alice_api.events_of(f"/api/v1/turns/{turn.pk}/retry")
    assert events[-1].name == "done"
    assert Turn.objects.get().answer


def test_a_question_that_is_neither_heard_nor_stored_cannot_be_tried_again(
    alice_api: Api, conversation: Conversation, provider: FakeProvider, impatient: ObjectStore
) -> None:
    provider.fail_next(TRANSCRIPTIONS, status=500, times=3)
    with impatient.silent():
        failed = alice_api.events_of_turn(conversation)[-1]
        assert (failed.name, failed.data["stage"], failed.data["retryable"]) == ("failed", "hear", False)
    assert alice_api.get(f"/api/v1/turns/{failed.data['turn_id']}").json()["error"]["retryable"] is False


def test_an_answer_that_is_stopped_while_the_store_is_silent(
    alice_api: Api, conversation: Conversation, provider: FakeProvider, impatient: ObjectStore
) -> None:
    """It ends, and its words are kept, although its sound cannot be."""
    provider.behaviour.reply, provider.behaviour.audio_speed = LONG_REPLY, 4
    with impatient.silent():
        response = alice_api.ask(conversation, text="Why?", headers={"Accept": "text/event-stream"}, stream=True)
        events = read_events(response)
        assert any(event.name == "spoken" and event.data["index"] == 1 for event in events)
        alice_api.post(f"/api/v1/turns/{response.headers['X-Turn-Id']}/stop", json={"heard_seconds": 3})
        assert list(events)[-1].name == "done"
    turn = Turn.objects.get()
    assert (turn.status, turn.answer.name, turn.heard_seconds) == ("interrupted", "", None)
    assert turn.spoken_text
    assert turn.spoken_text in turn.reply
    assert media().is_available()
    assert alice_api.events_of(f"/api/v1/turns/{turn.pk}/retry")[-1].name == "done"


def test_no_answer_waits_for_the_store(alice_api: Api, conversation: Conversation, store: ObjectStore) -> None:
    """It is silent until the answer is heard: less long than it takes until the site gives it up."""
    with store.silent():
        headers = {"Accept": "text/event-stream"}
        response = alice_api.ask(conversation, headers=headers, stream=True)
        events = read_events(response)
        assert any(event.name == "spoken" for event in events)
    assert list(events)[-1].name == "done"
    turn = Turn.objects.get()
    assert {f"{PREFIX}/{file.name}" for file in (turn.question, turn.answer)} <= set(stored())


def test_an_export_larger_than_a_part(alice: User, conversation: Conversation, real_transactions: None) -> None:
    turn = make_turn(conversation)
    with media().writing(str(turn.answer.name)) as stream:
        stream.write(bytes(PART_BYTES + 1))
    exports.start_export(owner=alice)
    work()
    export = Export.objects.get()
    assert (export.state, export.missing) == ("ready", 0)
    assert export.size > PART_BYTES
    with media().open(str(export.file.name)) as file, ZipFile(file) as archive:
        assert archive.testzip() is None
