"""A full disk, a missing database or an invalid response: people get a message, and nothing paid for is lost."""

from __future__ import annotations

import errno
import shutil
import sqlite3
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.db import OperationalError, connection
from django.test import Client

from apps.conversations.models import Conversation, Turn
from apps.core.storage import WholeFileStorage
from apps.speech.providers.connections import MAX_RESPONSE_BYTES
from tests.client import Api, bearer, error_of, read_events, turns_path, wait_until
from tests.fakes.elevenlabs import SPEECH
from tests.fakes.openai import CHAT, TRANSCRIPTIONS
from tests.fakes.provider import FakeProvider
from tests.processes import migrated_database, running_site
from voiceclone.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from apps.accounts.models import User
    from apps.voices.models import VoiceProfile

HUGE = "x" * (MAX_RESPONSE_BYTES + 1)
BROWSER = {"Accept": "text/html"}


def out_of_order(*_args: object) -> object:
    raise OperationalError


@contextmanager
def no_room_for(folder: str) -> Iterator[None]:
    """Prevent writing to a folder of recordings."""
    obstacle = Path(django_settings.MEDIA_ROOT) / folder
    shutil.rmtree(obstacle, ignore_errors=True)
    obstacle.parent.mkdir(parents=True, exist_ok=True)
    obstacle.touch()
    try:
        yield
    finally:
        obstacle.unlink()


class TestFullDisk:
    def test_new_work_is_refused_and_nothing_is_paid(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation, settings: Settings
    ) -> None:
        settings.MIN_FREE_BYTES = 10**18
        for answer in (alice_api.ask(conversation), alice_api.clone_voice()):
            assert answer.status_code == 503
            assert error_of(answer)["code"] == "storage_unavailable"
            assert int(answer.headers["Retry-After"])
        assert not provider.requests
        assert not Turn.objects.exists()

    def test_pages_say_what_still_works_and_the_process_is_not_ready(
        self, client: Client, alice: User, settings: Settings
    ) -> None:
        settings.MIN_FREE_BYTES = 10**18
        client.force_login(alice)
        assert "You can still read, play and download" in client.get("/history/").content.decode()
        response = client.get("/readyz")
        assert (response.status_code, response.json()["disk"]) == (503, False)

    def test_a_question_that_cannot_be_stored_is_still_answered(
        self, alice_api: Api, conversation: Conversation
    ) -> None:
        with no_room_for("questions"):
            turn = alice_api.ask(conversation).json()
        assert (turn["status"], turn["has_question"], turn["has_answer"]) == ("spoken", False, True)

    def test_an_answer_that_cannot_be_stored_is_played_and_can_be_spoken_again_without_a_new_reply(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation
    ) -> None:
        with no_room_for("answers"):
            events = alice_api.events_of_turn(conversation)
        assert "spoken" in {event.name for event in events}
        assert (events[-1].name, events[-1].data["code"]) == ("failed", "storage_unavailable")
        turn = Turn.objects.get()
        assert (turn.status, turn.failed_stage, turn.reply) == ("failed", "speak", provider.behaviour.reply)
        assert turn.retryable
        assert not turn.answer
        assert alice_api.post(f"/api/v1/turns/{turn.pk}/retry").json()["has_answer"]
        assert len(provider.requests_to(CHAT)) == len(provider.requests_to(TRANSCRIPTIONS)) == 1

    def test_an_incomplete_file_is_deleted(self, tmp_path: Path) -> None:
        class Broken:
            def chunks(self) -> Iterator[bytes]:
                yield b"half"
                raise OSError(errno.ENOSPC, "No space left on device")

            name = "sound.flac"

        with pytest.raises(OSError, match="No space left"):
            WholeFileStorage(location=tmp_path)._save("sound.flac", Broken())  # type: ignore[arg-type]
        assert not list(tmp_path.iterdir())


class TestDatabase:
    @pytest.fixture
    def page(self, alice: User) -> Client:
        page = Client(raise_request_exception=False)
        page.force_login(alice)
        return page

    def test_a_page_without_it_explains_the_problem(self, page: Client) -> None:
        with connection.execute_wrapper(out_of_order):
            response = page.get("/history/", headers=BROWSER)
        assert response.status_code == 503
        assert int(response["Retry-After"])
        assert "still there" in response.content.decode()

    @pytest.mark.parametrize("path", ["/api/v1/voices", "/v1/models"])
    def test_programs_get_an_error_code(self, page: Client, path: str) -> None:
        with connection.execute_wrapper(out_of_order):
            response = page.get(path)
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "storage_unavailable"

    @pytest.mark.skipif("sqlite" not in django_settings.DATABASES["default"]["ENGINE"], reason="SQLite's lock")
    def test_a_turn_waits_for_a_lock(self, alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
        other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(1, other.execute, ["ROLLBACK"])
        release.start()
        try:
            assert alice_api.ask(conversation, text="Hello?").json()["status"] == "spoken"
        finally:
            release.join()
            other.close()

    def test_a_turn_whose_row_cannot_be_written_is_played_and_ends_with_an_error(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation
    ) -> None:
        provider.behaviour.reply, provider.behaviour.audio_speed = "One sentence. " * 5, 2
        url, headers = turns_path(conversation), {"Accept": "text/event-stream"}
        with alice_api.post(url, json={"text": "Hello?"}, headers=headers, stream=True) as response:
            events = read_events(response)
            assert any(event.name == "spoken" for event in events)
            wait_until(Turn.objects.filter(status="answered").exists)
            rename("conversations_turn", "conversations_away")
            try:
                last = list(events)[-1]
            finally:
                rename("conversations_away", "conversations_turn")
        assert (last.name, last.data["code"]) == ("failed", "storage_unavailable")
        assert Turn.objects.get().reply == provider.behaviour.reply.strip()


class TestCache:
    """Redis does not answer, which is where attempts are counted."""

    @pytest.fixture(autouse=True)
    def away(self, settings: Settings) -> None:
        settings.LIMITS, settings.ACCOUNT_RATE_LIMITS = True, {}
        settings.CACHES = {"default": Environment(Path("none")).cache("CACHE_URL", "redis://127.0.0.1:9/0")}

    @pytest.mark.parametrize(
        ("path", "form"),
        [
            ("/accounts/login/", {"login": "alice", "password": "a long password for tests"}),
            ("/accounts/signup/", {"username": "eve", "email": "eve@example.org"}),
            ("/accounts/password/reset/", {"email": "alice@example.org"}),
            ("/report/", {"text": "It is my voice."}),
            ("/verify", {"file": ContentFile(b"sound", name="sound.mp3")}),
        ],
    )
    def test_pages_that_count_attempts_explain_the_problem(self, alice: User, path: str, form: dict[str, Any]) -> None:
        page = Client(raise_request_exception=False).post(path, form, headers=BROWSER)
        assert page.status_code == 503
        assert int(page["Retry-After"])
        assert "cannot count attempts" in page.content.decode()

    @pytest.mark.django_db
    def test_programs_get_an_error_code(self) -> None:
        file = ContentFile(b"sound", name="sound.mp3")
        answer = Client(raise_request_exception=False).post("/api/v1/verify", {"file": file})
        assert (answer.status_code, error_of(answer)["code"]) == (503, "cache_unavailable")
        assert int(answer["Retry-After"])

    def test_people_who_are_signed_in_go_on(self, alice_api: Api, conversation: Conversation) -> None:
        assert alice_api.ask(conversation, text="Hello?").json()["status"] == "spoken"
        ready = alice_api.get("/readyz")
        assert (ready.status_code, ready.json()["status"], ready.json()["cache"]) == (200, "degraded", False)


def rename(old: str, new: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")


class TestInvalidResponses:
    def test_a_huge_response_is_refused(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation
    ) -> None:
        provider.fail_next(TRANSCRIPTIONS, status=200, body={"text": HUGE})
        assert alice_api.ask(conversation).json()["error"]["code"] == "provider_answer_invalid"
        assert len(provider.requests) == 1

    def test_endless_audio_is_refused(self, alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
        provider.fail_next(SPEECH, status=200, body=HUGE, headers={"content-type": "audio/pcm"})
        assert alice_api.ask(conversation, text="Hello?").json()["error"]["code"] == "provider_answer_invalid"

    def test_an_implausibly_long_transcript_is_refused(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation
    ) -> None:
        provider.behaviour.transcript = "word " * 10_000
        assert alice_api.ask(conversation).json()["error"]["code"] == "provider_answer_invalid"
        assert not provider.requests_to(CHAT)

    def test_an_endless_reply_is_cut(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation, settings: Settings
    ) -> None:
        settings.MAX_REPLY_TOKENS = 20
        provider.behaviour.reply = "And so on. " * 1000
        turn = alice_api.ask(conversation, text="Hello?").json()
        assert turn["status"] == "spoken"
        assert len(turn["reply"]) <= 240
        spoken = sum(len(request.json["text"]) for request in provider.requests_to(SPEECH))
        assert spoken <= 240

    def test_a_turn_has_a_time_limit(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation, settings: Settings
    ) -> None:
        settings.TURN_SECONDS = 0.5
        provider.behaviour.hear_seconds = 60
        error = alice_api.ask(conversation).json()["error"]
        assert (error["stage"], error["code"], error["retryable"]) == ("hear", "provider_timeout", True)
        assert Turn.objects.get().question

    def test_a_response_without_audio_is_an_error(
        self, alice_api: Api, provider: FakeProvider, voice: VoiceProfile
    ) -> None:
        provider.fail_next(SPEECH, status=200, headers={"content-type": "audio/pcm"})
        answer = alice_api.post("/api/v1/speech", json={"text": "Hello.", "voice": voice.voice_id})
        assert (answer.status_code, error_of(answer)["code"]) == (502, "provider_incomplete")


QUEUED = """
from apps.voices.deletion import enqueue_deletions
enqueue_deletions(["00000000-0000-0000-0000-000000000000"])
"""
STATES = "SELECT status FROM django_tasks_database_dbtaskresult"


def test_the_site_and_its_worker_survive_a_missing_database(tmp_path: Path) -> None:
    folder = tmp_path / "database"
    folder.mkdir()
    shutil.copy(migrated_database(), folder / "db.sqlite3")
    address = {"DATABASE_URL": f"sqlite:///{folder}/db.sqlite3"}
    with running_site(["voiceclone.run", "--log-level", "warning"], tmp_path, **address) as site:
        with moved_away(folder):
            wait_until(lambda: "background work continues when it does" in site.log.read_text())
            assert requests.get(f"{site.url}/readyz", timeout=60).json()["database"] is False
            assert requests.get(f"{site.url}/api/v1/voices", headers=bearer("x"), timeout=60).status_code == 503
        site.shell(QUEUED)
        wait_until(lambda: ("SUCCESSFUL",) in site.rows(STATES))
        assert requests.get(f"{site.url}/readyz", timeout=60).json()["worker"] is True
        assert site.process.poll() is None


@contextmanager
def moved_away(folder: Path) -> Iterator[None]:
    """Move a folder away, all its files in one step: the site might create a file in the place of one that is gone."""
    away = folder.with_name("away")
    folder.rename(away)
    yield
    away.rename(folder)
