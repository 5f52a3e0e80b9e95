"""Unused data is deleted after its term, not a day earlier, and its owner is notified before."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import time_machine
from django.core import mail
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from apps.accounts.models import User
from apps.conversations.models import AbuseReport, Conversation, Turn
from apps.conversations.reports import report_abuse
from apps.privacy import retention
from apps.voices.models import VoiceProfile
from tests.factories import make_turn, make_voice
from tests.fakes.elevenlabs import VOICES, elevenlabs_error
from tests.storage import stored_files

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from tests.fakes.provider import FakeProvider

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def day(number: float) -> time_machine.travel:
    """Travel to so many days after the voice was made."""
    return time_machine.travel(START + timedelta(days=number), tick=False)


def apply(*options: str) -> str:
    """Run the command and return its output."""
    said = io.StringIO()
    call_command("apply_retention", *options, stdout=said)
    return said.getvalue()


@pytest.fixture
def idle(alice: User, remote_engines: FakeProvider) -> VoiceProfile:
    """A voice of Alice that has never spoken."""
    voice = make_voice(alice, remote_engines.add_voice("Jane"), is_default=True)
    VoiceProfile.objects.update(created_at=START)
    voice.refresh_from_db()
    return voice


class TestVoices:
    def test_an_idle_voice_is_announced_and_then_deleted_here_and_at_the_provider(
        self, idle: VoiceProfile, remote_engines: FakeProvider
    ) -> None:
        sample = str(idle.samples.get().file.name)
        with day(334):
            assert apply() == ""
            assert mail.outbox == []
        with day(336):
            apply()
        (told,) = mail.outbox
        assert told.to == ["alice@example.org"]
        assert "“Jane” will be deleted on 2027-03-03" in told.body
        for number in (337, 350, 364):
            with day(number):
                assert apply() == ""
        assert remote_engines.voices.keys() == {idle.voice_id}
        assert default_storage.exists(sample)
        with day(366.5):
            apply()
        assert not VoiceProfile.objects.exists()
        assert remote_engines.voices == {}
        assert not default_storage.exists(sample)
        assert len(mail.outbox) == 1

    def test_speaking_once_keeps_it_for_another_term(self, idle: VoiceProfile) -> None:
        with day(336):
            apply()
        VoiceProfile.objects.update(last_used_at=START + timedelta(days=340))
        with day(400):
            assert apply() == ""
        with day(340 + 336):
            apply()
        assert len(mail.outbox) == 2
        with day(340 + 366.5):
            apply()
        assert not VoiceProfile.objects.exists()

    def test_after_a_late_notice_the_voice_stays_for_the_announced_days(self, idle: VoiceProfile) -> None:
        with day(500):
            apply()
        with day(529):
            assert apply() == ""
        with day(530.5):
            apply()
        assert not VoiceProfile.objects.exists()

    def test_one_mail_names_all_voices_of_a_person(self, idle: VoiceProfile, remote_engines: FakeProvider) -> None:
        make_voice(idle.owner, remote_engines.add_voice("June"), name="June")
        VoiceProfile.objects.update(created_at=START)
        with day(336):
            apply()
        (told,) = mail.outbox
        assert "Jane" in told.body
        assert "June" in told.body

    def test_the_page_shows_the_date_of_the_deletion(self, client: Client, idle: VoiceProfile) -> None:
        client.force_login(idle.owner)
        assert "going to be deleted" not in client.get(reverse("voices:list")).content.decode()
        with day(336):
            apply()
        assert "3 March 2027" in client.get(reverse("voices:list")).content.decode()

    def test_a_failed_mail_is_tried_again_the_next_day(self, idle: VoiceProfile, settings: Settings) -> None:
        delivered = settings.EMAIL_BACKEND
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
        with day(336), pytest.raises(CommandError, match="1 could not be done"):
            apply()
        settings.EMAIL_BACKEND = delivered
        with day(337):
            apply()
        assert len(mail.outbox) == 1

    def test_if_the_provider_fails_the_voice_is_blocked_and_tried_again_the_next_day(
        self, idle: VoiceProfile, remote_engines: FakeProvider
    ) -> None:
        with day(336):
            apply()
        remote_engines.fail_next(VOICES, status=401, body=elevenlabs_error("invalid_api_key"))
        with day(367), pytest.raises(CommandError):
            apply()
        idle.refresh_from_db()
        assert (idle.status, idle.error_code) == ("deleting", "provider_key_invalid")
        with day(368):
            apply()
        assert remote_engines.voices == {}
        assert not VoiceProfile.objects.exists()

    def test_a_voice_that_waits_for_its_deletion_has_not_failed(self, idle: VoiceProfile) -> None:
        VoiceProfile.objects.update(status=VoiceProfile.Status.DELETING)
        assert apply("--dry-run") == ""
        VoiceProfile.objects.update(error_code="provider_key_invalid")
        assert "voice whose deletion failed" in apply("--dry-run")

    def test_without_a_term_voices_stay(self, idle: VoiceProfile, settings: Settings) -> None:
        settings.RETENTION_DAYS = 0
        with day(5000):
            assert apply() == ""

    def test_without_notice_voices_are_deleted_after_the_term(self, idle: VoiceProfile, settings: Settings) -> None:
        settings.RETENTION_NOTICE_DAYS = 0
        with day(364):
            assert apply() == ""
        with day(366):
            apply()
        assert not VoiceProfile.objects.exists()
        assert mail.outbox == []


class TestSound:
    def test_sound_is_deleted_after_its_days_and_words_stay(self, alice: User, settings: Settings) -> None:
        settings.CONVERSATION_AUDIO_DAYS = 30
        turn = make_turn(Conversation.objects.create(owner=alice), created_at=START)
        names = [str(turn.question.name), str(turn.answer.name)]
        with day(29):
            assert apply() == ""
        with day(31):
            apply()
            assert apply() == ""
        turn = Turn.objects.get()
        assert (turn.has_question, turn.has_answer, turn.reply) == (False, False, "Paris.")
        assert not any(default_storage.exists(name) for name in names)

    def test_only_the_names_of_the_files_are_read(self, alice: User, settings: Settings) -> None:
        settings.CONVERSATION_AUDIO_DAYS = 30
        conversation = Conversation.objects.create(owner=alice)
        for _number in range(3):
            make_turn(conversation, created_at=START)
        with day(31), CaptureQueriesContext(connection) as queries:
            apply()
        assert not [query for query in queries if '"reply"' in query["sql"]]
        assert sum("UPDATE" in query["sql"] and "conversations_turn" in query["sql"] for query in queries) == 1
        assert not stored_files()

    def test_by_default_sound_stays(self, alice: User) -> None:
        make_turn(Conversation.objects.create(owner=alice), created_at=START)
        with day(5000):
            assert apply() == ""


def test_reports_of_abuse_are_deleted_after_a_year(db: None) -> None:
    report_abuse(address="192.0.2.1", text="Something happened.")
    AbuseReport.objects.update(created_at=START)
    with day(364):
        assert apply() == ""
    with day(366):
        apply()
    assert not AbuseReport.objects.exists()


class TestCommands:
    def test_a_dry_run_prints_the_plan_and_does_nothing(self, idle: VoiceProfile, remote_engines: FakeProvider) -> None:
        with day(336):
            assert (
                apply("--dry-run")
                == f"would announce: idle voice of user {idle.owner_id}, since 2026-03-02: {idle.pk}\n"
            )
            assert mail.outbox == []
            apply()
        with day(367):
            assert "would delete: idle voice" in apply("--dry-run")
            assert "Jane" not in apply("--dry-run")
        assert VoiceProfile.objects.exists()
        assert not remote_engines.requests

    def test_the_report_prints_the_schedule_and_the_deletions_to_come(self, idle: VoiceProfile) -> None:
        said = io.StringIO()
        with day(320):
            call_command("retention_report", "--days", "20", stdout=said)
        assert "365 days" in said.getvalue()
        assert "Due within 20 days: 1" in said.getvalue()
        assert f"would announce: idle voice of user {idle.owner_id}" in said.getvalue()


class TestWorker:
    def test_it_queues_the_task_once_a_day(self, db: None) -> None:
        with day(0):
            retention.apply_daily()
            retention.apply_daily()
        with day(0.9):
            retention.apply_daily()
        assert DBTaskResult.objects.count() == 1
        with day(1.1):
            retention.apply_daily()
        assert DBTaskResult.objects.count() == 2

    def test_a_failed_deletion_does_not_stop_the_others(
        self, idle: VoiceProfile, remote_engines: FakeProvider, settings: Settings
    ) -> None:
        settings.RETENTION_NOTICE_DAYS = 0
        make_voice(idle.owner, remote_engines.add_voice("June"), name="June")
        VoiceProfile.objects.update(created_at=START)
        remote_engines.fail_next(VOICES, status=401, body=elevenlabs_error("invalid_api_key"))
        with day(366):
            retention.apply_retention.call()
        assert VoiceProfile.objects.count() == len(remote_engines.voices) == 1
        assert timezone.now() > START
