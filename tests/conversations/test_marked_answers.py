"""Stored answers are marked as synthetic, and everybody gets the same bytes."""

from __future__ import annotations

import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.core.files.storage import default_storage
from mutagen.flac import FLAC

from apps.conversations import services
from apps.conversations.models import Turn
from apps.speech.audio.decoding import decode
from apps.speech.provenance.certificates import OWN_FILE
from tests.client import LONG_REPLY, error_of, names_in_order
from tests.factories import make_turn

if TYPE_CHECKING:
    from pytest_django import Settings

    from apps.conversations.models import Conversation
    from apps.voices.models import VoiceProfile
    from tests.client import Api
    from tests.fakes.provider import FakeProvider


def test_the_answer_is_stored_with_tags_and_signature(alice_api: Api, conversation: Conversation) -> None:
    turn = Turn.objects.get(pk=alice_api.ask(conversation, text="Hello?").json()["id"])
    with turn.answer.open("rb") as file:
        data = file.read()
    assert b"application/c2pa" in data
    turn.answer.open("rb")
    assert FLAC(turn.answer)["TURN"] == [str(turn.pk)]
    turn.answer.close()


def test_a_player_gets_flac_without_a_leading_tag(alice_api: Api, conversation: Conversation) -> None:
    path = f"/api/v1/turns/{alice_api.ask(conversation, text='Hello?').json()['id']}/audio"
    played = alice_api.get(path, headers={"Sec-Fetch-Dest": "audio"}).content
    assert played.startswith(b"fLaC")
    assert b"AI_GENERATED=true" in played
    assert alice_api.get(path).content.endswith(played)
    part = alice_api.get(path, headers={"Sec-Fetch-Dest": "audio", "Range": "bytes=100-199"})
    assert part.content == played[100:200]


def test_ranges_of_an_mp3_fit_together(alice_api: Api, conversation: Conversation) -> None:
    turn = alice_api.ask(conversation, text="Hello?").json()
    path = f"/api/v1/turns/{turn['id']}/audio?as=mp3"
    head = alice_api.get(path, headers={"Range": "bytes=0-4999"})
    rest = alice_api.get(path, headers={"Range": "bytes=5000-"})
    assert (head.status_code, rest.status_code) == (206, 206)
    assert head.content + rest.content == alice_api.get(path).content
    assert head.headers["X-AI-Generated"] == "true"


def test_only_the_requested_part_of_an_mp3_is_read(alice_api: Api, conversation: Conversation) -> None:
    turn = make_turn(conversation)
    path = f"/api/v1/turns/{turn.pk}/audio?as=mp3"
    assert alice_api.get(path).ok
    turn.refresh_from_db()
    os.truncate(turn.answer_mp3.path, 64 << 20)
    tracemalloc.start()
    try:
        part = alice_api.get(path, headers={"Range": "bytes=-10"})
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (part.status_code, part.content) == (206, bytes(10))
    assert peak < 16 << 20


def test_concurrent_first_requests_get_the_same_mp3(alice_api: Api, conversation: Conversation) -> None:
    turn = make_turn(conversation)
    with ThreadPoolExecutor(4) as people:
        paths = [f"/api/v1/turns/{turn.pk}/audio?as=mp3"] * 4
        bodies = {response.content for response in people.map(alice_api.get, paths)}
    assert len(bodies) == 1
    folder, _name = str(turn.answer.name).rsplit("/", 1)
    assert sum(name.endswith(".mp3") for name in default_storage.listdir(folder)[1]) == 1


def test_an_answer_that_is_spoken_again_has_another_mp3(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    turn = make_turn(conversation)
    path = f"/api/v1/turns/{turn.pk}/audio?as=mp3"
    before = alice_api.get(path).content
    Turn.objects.filter(pk=turn.pk).update(status="failed", failed_stage="speak", reply=LONG_REPLY)
    assert alice_api.post(f"/api/v1/turns/{turn.pk}/retry").json()["status"] == "spoken"
    after = alice_api.get(path).content
    assert after != before
    turn.refresh_from_db()
    with turn.answer.open("rb") as file:
        sound = decode(file.read(), sample_rate=24_000, max_seconds=60)
    assert decode(after, sample_rate=24_000, max_seconds=60).seconds == pytest.approx(sound.seconds, abs=0.1)


def test_the_mp3_is_deleted_with_its_conversation(alice_api: Api, conversation: Conversation) -> None:
    turn = make_turn(conversation)
    alice_api.get(f"/api/v1/turns/{turn.pk}/audio?as=mp3")
    turn.refresh_from_db()
    names = [str(file.name) for file in turn.recordings]
    assert len(names) == 3
    services.delete_conversation(conversation=conversation)
    assert not any(map(default_storage.exists, names))


def test_the_mark_names_the_engine_of_a_deleted_voice(
    alice_api: Api, conversation: Conversation, voice: VoiceProfile
) -> None:
    turn = alice_api.ask(conversation, text="Hello?").json()
    voice.delete()
    assert b"elevenlabs" in alice_api.get(f"/api/v1/turns/{turn['id']}/audio?as=mp3").content


def test_an_event_stream_is_marked_as_ai_generated(alice_api: Api, conversation: Conversation) -> None:
    headers = {"Accept": "text/event-stream"}
    response = alice_api.ask(conversation, text="Hello?", headers=headers)
    assert response.headers["X-AI-Generated"] == "true"


class TestWithoutKey:
    @pytest.fixture(autouse=True)
    def no_key(self, settings: Settings, tmp_path: Path) -> None:
        (tmp_path / OWN_FILE).write_text("no key")
        settings.MARKS_DIR = tmp_path

    def test_a_paid_answer_is_stored_with_its_tags(self, alice_api: Api, conversation: Conversation) -> None:
        events = alice_api.events_of_turn(conversation, text="Hello?")
        assert names_in_order(events)[-1] == "done"
        turn = Turn.objects.get()
        assert FLAC(turn.answer)["AI_GENERATED"] == ["true"]
        turn.answer.close()

    def test_a_download_fails_with_an_error_code(self, alice_api: Api, conversation: Conversation) -> None:
        response = alice_api.get(f"/api/v1/turns/{make_turn(conversation).pk}/audio?as=mp3")
        assert response.status_code == 503
        assert error_of(response)["code"] == "marking_failed"
