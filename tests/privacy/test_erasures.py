"""An erasure deletes an account with all its data, here and at the provider."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.conf import settings as django_settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from apps.accounts.models import IdempotencyKey, Invitation, User
from apps.accounts.services import create_api_token
from apps.conversations.models import AbuseReport, Conversation, Turn
from apps.conversations.reports import report_abuse
from apps.core.errors import UserError
from apps.core.personal_data import all_personal_data
from apps.privacy import erasures, exports
from apps.privacy.models import Erasure
from apps.voices.models import Consent, VoiceProfile, VoiceSample
from apps.webhooks import services as webhooks
from apps.webhooks.models import Webhook, WebhookEvent
from tests.accounts.steps import confirm_identity, is_signed_in, sign_in, switch_second_factor_on
from tests.client import bearer
from tests.factories import make_turn, make_voice
from tests.fakes.provider import VOICES, elevenlabs_error
from tests.worker import work

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.client import Page
    from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.usefixtures("real_transactions")

NAME, EMAIL = "Zerafina", "zerafina@example.net"
SAID, ANSWERED, VOICE_NAME = "Where is the treasure buried", "Beneath the crooked palm", "Goldfinch"
PASSWORD = "a long password for tests"
# Words of the person's data. "example" is not among them, because it also occurs elsewhere.
WORDS = [NAME, "zerafina", "treasure", "buried", "crooked", VOICE_NAME, "Kitchen speaker", "hook-of-"]


@pytest.fixture
def person(remote_engines: FakeProvider) -> User:
    """A person with data of every kind."""
    user = User.objects.create_user(NAME, EMAIL, PASSWORD, first_name=NAME)
    EmailAddress.objects.create(user=user, email=EMAIL, verified=True, primary=True)
    Invitation.objects.create(email=EMAIL.upper(), digest="x", expires_at=timezone.now(), accepted_by=user)
    create_api_token(owner=user, name="Kitchen speaker")
    Webhook.objects.create(owner=user, url="https://127.0.0.1/hook-of-zerafina")
    first, second = (
        make_voice(user, remote_engines.add_voice(f"{VOICE_NAME} {n}"), name=f"{VOICE_NAME} {n}") for n in (1, 2)
    )
    for voice in (first, second):
        make_turn(Conversation.objects.create(owner=user, voice=voice, title=SAID), transcript=SAID, reply=ANSWERED)
    webhooks.notify(owner_id=user.pk, event=WebhookEvent.VOICE_READY, data={"said": SAID})
    IdempotencyKey.objects.create(
        owner=user, key=NAME, fingerprint="x", claimed_at=timezone.now(), status=200, body=ANSWERED.encode()
    )
    exports.start_export(owner=user)
    work()
    report_abuse(address="192.0.2.1", text="Somebody sounds like me.", contact=EMAIL)
    LogEntry.objects.log_actions(user.pk, User.objects.filter(pk=user.pk), CHANGE, "Changed.")
    mail.outbox.clear()
    return user


@pytest.fixture
def browser(person: User) -> Client:
    """The person's browser, signed in with the password and with a second factor."""
    client = Client()
    sign_in(client, NAME)
    switch_second_factor_on(client, person)
    return client


def ask_for_deletion(client: Client) -> Page:
    return client.post(reverse("privacy:delete-account"))


def run_due() -> None:
    """Do what the worker does each minute, and then the tasks that this has queued."""
    erasures.enqueue_due_tries()
    work()


def after(days: float) -> time_machine.travel:
    return time_machine.travel(timezone.now() + timedelta(days=days), tick=False)


def dump() -> str:
    """Return the rows of all tables as text."""
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        rows = []
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - the tables' own names
            rows += [str(row) for row in cursor.fetchall()]
    return "\n".join(rows)


def database_files() -> str:
    """Return the content of SQLite's files, including deleted data."""
    if connection.vendor != "sqlite":
        return ""
    path = Path(connection.settings_dict["NAME"])
    return "".join(file.read_bytes().decode("latin-1") for file in path.parent.glob(f"{path.name}*"))


def stored_files() -> list[Path]:
    return [path for path in Path(django_settings.MEDIA_ROOT).rglob("*") if path.is_file()]


def media() -> str:
    """Return the names and contents of all stored files, and the contents of ZIP files."""
    texts = []
    for path in stored_files():
        texts += [str(path), path.read_bytes().decode("latin-1")]
        if path.suffix == ".zip":
            with ZipFile(path) as archive:
                texts += [archive.read(name).decode("latin-1") for name in archive.namelist()]
    return "\n".join(texts)


def found(text: str) -> list[str]:
    return [word for word in WORDS if re.search(re.escape(word), text, re.IGNORECASE)]


RECEIPT = {
    "Recordings that a voice was cloned from": 2,
    "Voice made with ElevenLabs, deleted there and here": 2,
    "Consent: your name, your words and their recording": 1,
    "Turns, with their sound": 2,
    "Conversations": 2,
    "Devices that were signed in": 1,
    "Second factors": 2,
    "API tokens": 1,
    "Background tasks": 3,
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


class TestCoolingOff:
    def test_nobody_can_use_the_account_or_its_voices(self, browser: Client, person: User) -> None:
        other_browser = Client()
        other_browser.force_login(person)
        token = create_api_token(owner=person, name="tests")
        voice = VoiceProfile.objects.first()
        ask_for_deletion(browser)
        for client in (browser, other_browser):
            assert not is_signed_in(client)
        assert Client().get("/api/v1/voices", headers=bearer(token)).status_code == 401
        body = {"model": "x", "input": "Hello.", "voice": str(voice and voice.pk)}
        spoken = Client().post("/v1/audio/speech", body, content_type="application/json", headers=bearer(token))
        assert spoken.status_code == 401

    def test_running_turns_are_asked_to_end(self, browser: Client, person: User) -> None:
        turn = Turn.objects.filter(owner=person).first()
        Turn.objects.update(status="heard")
        ask_for_deletion(browser)
        assert turn
        turn.refresh_from_db()
        assert turn.stop_requested

    def test_signing_in_offers_to_cancel_which_restores_everything(self, browser: Client, person: User) -> None:
        suspended = VoiceProfile.objects.order_by("created_at").first()
        assert suspended
        VoiceProfile.objects.filter(pk=suspended.pk).update(suspended_at=timezone.now(), suspended_by="operator")
        ask_for_deletion(browser)
        erasure = Erasure.objects.get()
        later = Client()
        with after(6):
            offered = sign_in(later, NAME)
            assert offered["Location"] == reverse("privacy:erasure", args=[erasure.pk])
            page = later.get(offered["Location"]).content.decode()
            assert "Keep my account" in page
            taken_back = later.post(reverse("privacy:cancel-erasure", args=[erasure.pk]))
        assert taken_back["Location"] == reverse("account_login")
        assert not Erasure.objects.exists()
        person.refresh_from_db()
        assert person.is_active
        assert [voice.can_speak for voice in VoiceProfile.objects.order_by("created_at")] == [False, True]
        with after(8):
            run_due()
        assert User.objects.filter(pk=person.pk).exists()
        assert Turn.objects.count() == 2

    def test_knowing_the_address_is_not_enough_to_cancel(self, browser: Client) -> None:
        ask_for_deletion(browser)
        erasure = Erasure.objects.get()
        stranger = Client()
        assert "Keep my account" not in stranger.get(reverse("privacy:erasure", args=[erasure.pk])).content.decode()
        refused = stranger.post(reverse("privacy:cancel-erasure", args=[erasure.pk]))
        assert refused["Location"] == reverse("account_login")
        assert Erasure.objects.exists()

    def test_a_deletion_that_has_begun_cannot_be_cancelled(self, browser: Client, remote_engines: FakeProvider) -> None:
        ask_for_deletion(browser)
        remote_engines.fail_next(VOICES, status=401, body=elevenlabs_error("invalid_api_key"), times=2)
        with after(7.01):
            run_due()
        erasure = Erasure.objects.get()
        assert sign_in(Client(), NAME)["Location"] == reverse("privacy:erasure", args=[erasure.pk])
        browser.post(reverse("privacy:cancel-erasure", args=[erasure.pk]))
        assert Erasure.objects.get().state == "running"

    def test_nothing_is_deleted_before_it_is_due(self, browser: Client) -> None:
        ask_for_deletion(browser)
        with after(6.99):
            run_due()
        assert Turn.objects.count() == 2

    def test_an_account_that_the_operator_switched_off_has_no_erasure_page(self, person: User) -> None:
        User.objects.update(is_active=False)
        assert sign_in(Client(), NAME)["Location"] == reverse("account_inactive")


class TestAsking:
    def test_the_password_is_asked_for_first(self, client: Client, alice: User) -> None:
        client.force_login(alice)
        assert client.get(reverse("privacy:delete-account"))["Location"].startswith(reverse("account_reauthenticate"))
        assert ask_for_deletion(client).status_code == 302
        assert not Erasure.objects.exists()
        confirm_identity(client)
        assert client.get(reverse("privacy:delete-account")).status_code == 200
        ask_for_deletion(client)
        assert Erasure.objects.exists()

    def test_a_token_cannot_delete_the_account(self, client: Client, alice_token: str) -> None:
        assert client.post(reverse("privacy:delete-account"), headers=bearer(alice_token)).status_code == 302
        assert not Erasure.objects.exists()

    def test_an_account_has_only_one_erasure(self, alice: User) -> None:
        erasures.request_erasure(user=alice)
        with pytest.raises(UserError) as refused:
            erasures.request_erasure(user=alice)
        assert refused.value.code == "erasure_under_way"


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
        staff.force_login(User.objects.create_superuser("root"))
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


def test_the_voice_of_an_account_that_is_being_deleted_says_why(person: User) -> None:
    erasures.request_erasure(user=person)
    voice = VoiceProfile.objects.first()
    assert voice
    assert "being deleted" in voice.suspension_message
