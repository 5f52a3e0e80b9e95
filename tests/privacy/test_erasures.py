"""An erasure deletes an account with all its data, here and at the provider."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from apps.accounts.models import User
from apps.conversations.models import AbuseReport, Conversation, Turn
from apps.core.personal_data import Erased, all_personal_data, erase_rows
from apps.privacy import erasures
from apps.privacy.models import Erasure
from apps.usage.models import UsageRecord
from apps.voices.models import Consent, VoiceProfile, VoiceSample
from tests.accounts.steps import is_signed_in
from tests.factories import make_administrator, make_turn, make_voice
from tests.fakes.elevenlabs import VOICES, elevenlabs_error
from tests.privacy.erasing import (
    EMAIL,
    NAME,
    WORDS,
    after,
    ask_for_deletion,
    database_files,
    dump,
    found,
    media,
    run_due,
)
from tests.storage import stored_files
from tests.worker import work

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.usefixtures("real_transactions")

RECEIPT = {
    "Recordings that a voice was cloned from": 2,
    "Voice made with ElevenLabs, deleted there and here": 2,
    "Consent: your name, your words and their recording": 1,
    "Turns, with their sound": 2,
    "Conversations": 2,
    "Devices that were signed in": 1,
    "Second factors": 2,
    "API tokens": 1,
    "Background tasks": 1,
    "Messages to webhooks": 1,
    "Webhooks": 1,
    "Stored answers to programs": 1,
    "Invitations": 1,
    "Exports": 1,
    "Email addresses": 1,
    "Entries in the admin’s log": 1,
    "Account, with its name and email addresses": 1,
}


def counts_of(erasure: Erasure) -> Counter[str]:
    """Return the number of deleted items of each kind in the receipt."""
    counts: Counter[str] = Counter()
    for line in erasure.receipt:
        counts[line["what"]] += line["count"]
    return counts


def fail_to_erase(erasure: Erasure, attempt: int) -> None:
    """Run a try that the provider refuses: everything here is deleted, and the voice is left for another try."""
    run_due()
    erasure.refresh_from_db()
    assert (erasure.state, erasure.tries, erasure.error_code) == ("running", attempt, "provider_key_invalid")
    assert [voice.status for voice in VoiceProfile.objects.all()] == ["deleting"]
    assert not Turn.objects.exists()
    assert not VoiceSample.objects.exists()
    run_due()  # The next try is not due yet.


def next_try_of(erasure: Erasure) -> datetime:
    assert erasure.next_try_at
    return erasure.next_try_at


class TestWhole:
    def test_a_provider_that_fails_five_times_and_does_not_know_a_voice(
        self, browser: Client, person: User, remote_engines: FakeProvider, caplog: pytest.LogCaptureFixture
    ) -> None:
        provider = remote_engines
        assert found(dump()) == WORDS
        pk = person.pk
        gone, kept_longer = VoiceProfile.objects.order_by("created_at")
        # The deletion of one voice fails five times and then succeeds. The provider does not know the other voice.
        refusal = elevenlabs_error("invalid_api_key")
        provider.fail_next(f"{VOICES}/{gone.voice_id}", status=401, body=refusal, times=5)
        provider.voices.pop(kept_longer.voice_id)

        asked = ask_for_deletion(browser)
        erasure = Erasure.objects.get()
        assert asked["Location"] == reverse("privacy:erasure", args=[erasure.pk])
        assert not any(voice.can_speak for voice in VoiceProfile.objects.all())
        assert provider.requests == []
        told = mail.outbox[-1]
        assert "cannot speak" in told.body

        with after(7) as clock:
            for attempt in range(1, 6):
                fail_to_erase(erasure, attempt)
                assert len(provider.requests_to(f"{VOICES}/{gone.voice_id}")) == attempt
                clock.move_to(next_try_of(erasure) + timedelta(seconds=1))
            run_due()
        erasure.refresh_from_db()
        assert (erasure.state, erasure.user, erasure.next_try_at) == ("done", None, None)
        assert provider.voices == {}
        assert not VoiceProfile.objects.exists()
        assert not User.objects.filter(pk=pk).exists()

        receipt = counts_of(erasure)
        assert receipt == RECEIPT | {name: receipt[name] for name in receipt.keys() & {"Sessions"}}
        proof = Consent.objects.get()
        assert [line["reference"] for line in erasure.kept] == [str(proof.pk)]
        assert (proof.owner, proof.statement, proof.transcript, proof.clip.name) == (None, "", "", "")
        assert proof.sha256
        told = mail.outbox[-1]
        assert told.to == [EMAIL]
        for what in receipt:
            assert f"× {what}" in told.body

        assert found(dump()) == []
        assert found(database_files()) == []
        assert stored_files() == []
        logged = caplog.text + "".join(str(vars(record)) for record in caplog.records)
        assert found(logged) == []

    def test_the_receipt_stays_available_and_names_nobody(self, browser: Client, person: User) -> None:
        ask_for_deletion(browser)
        with after(7.01):
            run_due()
        erasure = Erasure.objects.get()
        assert found(json.dumps(Erasure.objects.values().get(), default=str)) == []
        page = Client().get(reverse("privacy:erasure", args=[erasure.pk]))
        text = Client().get(reverse("privacy:receipt", args=[erasure.pk]))
        assert text["Content-Disposition"].startswith("attachment")
        for answer in (page, text):
            assert "Voice made with ElevenLabs, deleted there and here" in answer.content.decode()
            assert found(answer.content.decode()) == []

    def test_other_users_keep_their_data(self, browser: Client, bob: User, remote_engines: FakeProvider) -> None:
        voice = make_voice(bob, remote_engines.add_voice("Bob"), name="Bob")
        turn = make_turn(Conversation.objects.create(owner=bob, voice=voice))
        bobs = Client()
        bobs.force_login(bob)
        ask_for_deletion(browser)
        with after(7.01):
            run_due()
        assert not User.objects.filter(username=NAME).exists()
        assert list(remote_engines.voices) == [voice.voice_id]
        assert is_signed_in(bobs)
        turn.refresh_from_db()
        assert turn.question.storage.exists(str(turn.question.name))

    def test_without_cooling_off_it_begins_at_once(
        self, browser: Client, settings: Settings, remote_engines: FakeProvider
    ) -> None:
        settings.ERASURE_COOLING_OFF_DAYS = 0
        page = browser.get(reverse("privacy:delete-account")).content.decode()
        assert "at once" in page
        ask_for_deletion(browser)
        assert not Erasure.objects.filter(state="waiting").exists()
        work()
        assert Erasure.objects.get().state == "done"
        assert not remote_engines.voices


class TestWorker:
    def test_another_try_follows_a_killed_worker(self, person: User, settings: Settings) -> None:
        settings.ERASURE_COOLING_OFF_DAYS = 0
        erasures.request_erasure(user=person)
        DBTaskResult.objects.all().delete()
        run_due()
        assert Erasure.objects.get().state == "running"
        with time_machine.travel(timezone.now() + erasures.ERASURE_LEASE + timedelta(seconds=1), tick=False):
            run_due()
        assert Erasure.objects.get().state == "done"

    def test_it_waits_for_a_running_turn(self, person: User, settings: Settings) -> None:
        settings.ERASURE_COOLING_OFF_DAYS = 0
        Turn.objects.filter(owner=person).update(status="heard")
        erasures.request_erasure(user=person)
        work()
        erasure = Erasure.objects.get()
        assert (erasure.error_code, erasure.tries) == ("still_in_use", 0)
        Turn.objects.filter(owner=person).update(status="interrupted")
        with time_machine.travel(timezone.now() + timedelta(minutes=1), tick=False):
            run_due()
        assert Erasure.objects.get().state == "done"

    def test_a_failing_mail_server_does_not_delay_it(self, person: User, settings: Settings) -> None:
        settings.ERASURE_COOLING_OFF_DAYS = 0
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
        erasures.request_erasure(user=person)
        work()
        assert Erasure.objects.get().state == "done"
        assert not User.objects.filter(username=NAME).exists()


class TestAdmin:
    def test_erasures_are_listed_and_can_be_run_again(self, person: User, remote_engines: FakeProvider) -> None:
        staff = Client()
        staff.force_login(make_administrator())
        erasures.request_erasure(user=person)
        remote_engines.fail_next(VOICES, status=401, body=elevenlabs_error("invalid_api_key"), times=2)
        path = reverse("admin:privacy_erasure_changelist")
        run = {"action": "run_again", "_selected_action": [str(Erasure.objects.get().pk)]}
        staff.post(path, run)
        assert Erasure.objects.get().state == "waiting"  # Retrying does not shorten the cooling-off period.
        with after(7.01):
            run_due()
        page = staff.get(path).content.decode()
        assert "provider_key_invalid" in page
        assert staff.get(reverse("admin:privacy_erasure_change", args=[Erasure.objects.get().pk])).status_code == 200
        staff.post(path, run)
        work()
        assert Erasure.objects.get().state == "done"
        assert NAME not in staff.get(path).content.decode()


def test_every_row_of_the_person_is_erased_before_the_account(person: User) -> None:
    for data in all_personal_data():
        list(data.erase(person))
    left = {
        relation.related_model.__name__
        for relation in User._meta.related_objects
        if relation.related_model._default_manager.filter(**{relation.field.name: person}).exists()
    }
    assert left == set()


def test_a_report_outlives_the_account_without_its_address(person: User, settings: Settings) -> None:
    settings.ERASURE_COOLING_OFF_DAYS = 0
    erasures.request_erasure(user=person)
    work()
    assert AbuseReport.objects.get().contact == ""


def test_the_search_for_the_words_finds_them(person: User) -> None:
    assert found(dump()) == WORDS
    assert found(media()) == WORDS


def test_many_rows_take_as_few_queries_as_one_and_their_log_entries_go_with_them(
    alice: User, bob: User, django_assert_num_queries: Any
) -> None:
    kept, *erased = [UsageRecord.objects.create(owner=owner, kind="turn") for owner in (bob, alice, alice)]
    content_type = ContentType.objects.get_for_model(UsageRecord)
    for row in (kept, erased[0]):
        LogEntry.objects.create(user=bob, content_type=content_type, object_id=str(row.pk), action_flag=CHANGE)
    with CaptureQueriesContext(connection) as queries:
        list(erase_rows("usage", UsageRecord.objects.for_user(alice)))
    assert [entry.object_id for entry in LogEntry.objects.all()] == [str(kept.pk)]
    UsageRecord.objects.bulk_create(UsageRecord(owner=alice, kind="turn") for _number in range(1200))
    with django_assert_num_queries(len(queries) - 1):  # There is no entry to delete.
        assert list(erase_rows("usage", UsageRecord.objects.for_user(alice))) == [Erased("usage", 1200)]
