"""Anybody can report abuse. The operator gets a mail, and can suspend the voice at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import urllib3
from django.core import mail
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django_tasks_db.models import DBTaskResult

from apps.accounts.models import User
from apps.accounts.services import deactivate
from apps.conversations import report_views, reports
from apps.conversations.models import AbuseReport, Conversation
from apps.core.errors import UserError
from apps.voices import services
from apps.voices.models import VoiceProfile
from apps.voices.suspension import suspend_voice
from tests.client import LONG_REPLY, error_of, messages_of, wait_until
from tests.factories import make_administrator, make_turn, make_voice
from tests.fakes.elevenlabs import SPEECH

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from tests.client import Api, Page
    from tests.fakes.provider import FakeProvider

TEXT = "This is my brother's voice, and he never agreed."


def send(client: Client, **fields: Any) -> Page:
    return client.post(reverse("report"), {"text": TEXT} | fields)


@pytest.mark.django_db
class TestForm:
    def test_it_needs_no_account_and_only_words(self, client: Client) -> None:
        assert client.get(reverse("report")).status_code == 200
        sent = send(client)
        assert sent["Location"] == reverse("report")
        report = AbuseReport.objects.get()
        assert (report.text, report.about, report.contact, bool(report.file)) == (TEXT, "", "", False)
        assert report.reference in client.get(reverse("report")).content.decode()

    def test_a_label_that_asks_needs_no_colon(self, client: Client) -> None:
        text = send(client, text="", contact="nobody").content.decode()
        assert ">What happened? This field is required.<" in text
        assert ">Your email address: Enter a valid email address.<" in text

    def test_a_file_is_stored_unchanged_under_a_random_name(self, client: Client) -> None:
        file = SimpleUploadedFile("brother.html", b"<script>alert(1)</script>", "text/html")
        send(client, file=file, about="https://example.org/clip", contact="carol@example.org")
        report = AbuseReport.objects.get()
        assert (report.about, report.contact) == ("https://example.org/clip", "carol@example.org")
        assert str(report.file.name).startswith("reports/")
        assert str(report.file.name).endswith(".bin")
        with report.file.open("rb") as stored:
            assert stored.read() == b"<script>alert(1)</script>"

    @pytest.mark.parametrize(
        ("fields", "field"),
        [({"text": ""}, "text"), ({"contact": "nobody"}, "contact"), ({"about": "x" * 501}, "about")],
    )
    def test_an_invalid_field_is_named(self, client: Client, fields: dict[str, str], field: str) -> None:
        refused = send(client, **fields)
        assert refused.status_code == 422
        assert refused.context["form"].errors.keys() == {field}
        assert not AbuseReport.objects.exists()

    def test_a_file_that_is_too_large_is_refused(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(report_views, "MAX_FILE_BYTES", 10)
        refused = send(client, file=SimpleUploadedFile("a.mp3", b"x" * 11))
        assert refused.context["form"].errors.keys() == {"file"}

    def test_it_is_limited_by_address(self, client: Client, settings: Settings) -> None:
        settings.LIMITS = True
        cache.clear()
        for _number in range(reports.NETWORK_LIMIT.attempts):
            assert send(client).status_code == 302
        refused = send(client)
        assert refused.status_code == 429
        assert int(refused["Retry-After"]) > 0
        assert "Too many reports" in refused.content.decode()
        assert AbuseReport.objects.count() == reports.NETWORK_LIMIT.attempts
        client.defaults["REMOTE_ADDR"] = "192.0.2.9"
        assert send(client).status_code == 302

    def test_a_flood_from_everywhere_silences_nobody(self, client: Client, settings: Settings) -> None:
        settings.LIMITS = True
        settings.OPERATOR_EMAIL = "operator@example.org"
        cache.clear()
        flood = range(reports.FILE_LIMIT.attempts)
        for number in flood:
            file = SimpleUploadedFile("a.mp3", b"x")
            reports.report_abuse(address=f"198.51.{number // 256}.{number % 256}", text="Flood", file=file)
        refused = send(client, file=SimpleUploadedFile("a.mp3", b"x"))
        assert refused.status_code == 429
        assert "without the file" in refused.content.decode()
        assert send(client).status_code == 302
        assert AbuseReport.objects.filter(text=TEXT).count() == 1
        assert DBTaskResult.objects.filter(task_path=reports.mail_report.module_path).count() == (
            reports.MAIL_LIMIT.attempts
        )

    def test_a_network_of_ipv6_counts_as_one(self, settings: Settings) -> None:
        settings.LIMITS = True
        cache.clear()
        for number in range(reports.NETWORK_LIMIT.attempts):
            reports.report_abuse(address=f"2001:db8::{number}", text=TEXT)
        with pytest.raises(UserError):
            reports.report_abuse(address="2001:db8::ffff:1", text=TEXT)
        reports.report_abuse(address="2001:db8:0:1::1", text=TEXT)

    def test_the_space_that_reports_take_in_a_day_is_limited(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.LIMITS = True
        cache.clear()
        monkeypatch.setattr(reports, "TOTAL_LIMIT", replace(reports.TOTAL_LIMIT, attempts=1))
        reports.report_abuse(address="192.0.2.1", text=TEXT)
        with pytest.raises(UserError):
            reports.report_abuse(address="192.0.2.2", text=TEXT)

    def test_the_reporter_does_not_learn_whether_a_turn_exists(self, client: Client, alice: User) -> None:
        turn = make_turn(Conversation.objects.create(owner=alice))
        pages = []
        for number in (turn.pk, "00000000-0000-4000-8000-000000000000"):
            send(client, about=str(number))
            page = client.get(reverse("report"))
            pages.append(messages_of(page))
        assert pages[0] == pages[1]
        assert AbuseReport.objects.filter(turn=turn).count() == 1


class TestOperator:
    def test_the_operator_gets_a_mail(self, settings: Settings, db: None) -> None:
        settings.OPERATOR_EMAIL = "operator@example.org"
        report = reports.report_abuse(address="192.0.2.1", text=TEXT, contact="carol@example.org")
        reports.mail_report.call(str(report.pk))
        (sent,) = mail.outbox
        assert sent.to == ["operator@example.org"]
        assert report.reference in sent.subject
        assert TEXT in sent.body
        assert "192.0.2.1" not in sent.body

    @pytest.fixture
    def staff(self, admin_client: Client) -> Client:
        return admin_client

    def test_the_report_leads_to_the_voice_and_suspends_it(self, staff: Client, voice: VoiceProfile) -> None:
        turn = make_turn(Conversation.objects.create(owner=voice.owner, voice=voice))
        report = reports.report_abuse(address="192.0.2.1", text=f"Turn {turn.pk} is not theirs.")
        assert (report.turn, report.voice) == (turn, voice)
        path = reverse("admin:conversations_abusereport_changelist")
        assert report in staff.get(path).context["cl"].result_list
        assert (
            TEXT not in staff.get(reverse("admin:conversations_abusereport_change", args=[report.pk])).content.decode()
        )
        staff.post(path, {"action": "suspend", "_selected_action": [str(report.pk)]})
        voice.refresh_from_db()
        assert not voice.can_speak
        assert report.reference in voice.suspension_message
        staff.post(path, {"action": "note_handled", "_selected_action": [str(report.pk)]})
        assert AbuseReport.objects.get().handled_at

    def test_suspending_without_a_known_voice_is_a_warning(self, staff: Client) -> None:
        report = reports.report_abuse(address="192.0.2.1", text=TEXT)
        path = reverse("admin:conversations_abusereport_changelist")
        suspended = staff.post(path, {"action": "suspend", "_selected_action": [str(report.pk)]})
        assert messages_of(suspended) == ["warning"]

    def test_the_file_is_downloaded_and_never_opened(self, staff: Client, client: Client, alice: User) -> None:
        file = SimpleUploadedFile("a.html", b"<script>alert(1)</script>")
        report = reports.report_abuse(address="192.0.2.1", text=TEXT, file=file)
        path = reverse("admin:conversations_abusereport_file", args=[report.pk])
        answer = staff.get(path)
        assert answer.content == b"<script>alert(1)</script>"
        assert answer["Content-Type"] == "application/octet-stream"
        assert answer["Content-Disposition"].startswith("attachment")
        client.force_login(alice)
        assert client.get(path).status_code == 302

    def test_a_voice_can_be_suspended_in_the_list_of_voices_too(self, staff: Client, voice: VoiceProfile) -> None:
        path = reverse("admin:voices_voiceprofile_changelist")
        chosen = {"_selected_action": [str(voice.pk)], "confirmed": "yes", "reason": "We have a question."}
        staff.post(path, {"action": "suspend", **chosen})
        voice.refresh_from_db()
        assert "We have a question." in voice.suspension_message
        staff.post(path, {"action": "end_suspension", **chosen})
        voice.refresh_from_db()
        assert voice.can_speak

    def test_deleting_a_report_deletes_its_file(self, db: None) -> None:
        report = reports.report_abuse(address="192.0.2.1", text=TEXT, file=SimpleUploadedFile("a", b"x"))
        name = str(report.file.name)
        reports.delete_report(report)
        assert not default_storage.exists(name)


Block: TypeAlias = Callable[[VoiceProfile], object]


def suspend(voice: VoiceProfile) -> None:
    suspend_voice(voice=voice)


def block_account(voice: VoiceProfile) -> None:
    deactivate(users=[voice.owner], by=make_administrator())


class TestSuspension:
    def test_a_suspended_voice_speaks_nowhere(
        self,
        alice_api: Api,
        provider: FakeProvider,
        voice: VoiceProfile,
        conversation: Conversation,
        settings: Settings,
    ) -> None:
        failed = make_turn(conversation, status="failed", failed_stage="speak", error_code="provider_busy")
        suspend_voice(voice=voice, note="We have a question.")
        settings.OPERATOR_EMAIL = "operator@example.org"
        calls = {
            "turn": alice_api.ask(conversation, text="Hello?"),
            "full interaction": alice_api.full_interaction(voice.voice_id),
            "preview": alice_api.post(f"/api/v1/voices/{voice.pk}/preview", json={"text": "Hello."}),
            "speech": alice_api.post("/api/v1/speech", json={"text": "Hello.", "voice": "Jane"}),
            "retry": alice_api.post(f"/api/v1/turns/{failed.pk}/retry"),
        }
        for name, answer in calls.items():
            assert answer.status_code == 403, name
            error = error_of(answer)
            assert error["code"] == "voice_silenced", name
            assert "We have a question." in error["message"]
            assert "operator@example.org" in error["message"]
        openai = alice_api.post("/v1/audio/speech", json={"model": "x", "input": "Hello.", "voice": "Jane"})
        assert (openai.status_code, openai.json()["error"]["code"]) == (403, "voice_silenced")
        default = alice_api.patch(f"/api/v1/voices/{voice.pk}", json={"is_default": True})
        assert default.status_code == 409
        assert not provider.requests

    @pytest.mark.parametrize("block", [suspend, block_account])
    def test_a_running_turn_ends(
        self, alice_api: Api, provider: FakeProvider, voice: VoiceProfile, conversation: Conversation, block: Block
    ) -> None:
        provider.behaviour.reply = LONG_REPLY
        provider.behaviour.tokens_per_second = 4
        path = f"/api/v1/conversations/{conversation.pk}/turns"
        headers = {"Accept": "text/event-stream"}
        with alice_api.post(path, json={"text": "Hello?"}, headers=headers, stream=True) as response:
            assert response.raw.readline()
            block(voice)
            rest = response.raw.read().decode()
        assert "event: done" in rest
        wait_until(lambda: conversation.turns.get().status == "interrupted")

    @pytest.mark.parametrize("block", [suspend, block_account])
    def test_a_file_that_is_being_spoken_breaks_off(
        self, alice_api: Api, provider: FakeProvider, voice: VoiceProfile, block: Block
    ) -> None:
        provider.behaviour.audio_speed = 8
        text = " ".join([LONG_REPLY] * 8)
        with alice_api.post("/api/v1/speech", json={"text": text, "voice": "Jane"}, stream=True) as response:
            assert response.raw.read(1)
            block(voice)
            with pytest.raises(urllib3.exceptions.HTTPError):
                response.raw.read()
        asked = sum(len(request.json["text"]) for request in provider.requests_to(SPEECH))
        assert asked < len(text) / 2

    def test_its_owner_sees_why_and_another_voice_is_offered(self, client: Client, voice: VoiceProfile) -> None:
        other = make_voice(voice.owner, "other", name="June")
        suspend_voice(voice=voice, note="We have a question.")
        client.force_login(voice.owner)
        page = client.get(reverse("voices:list")).content.decode()
        assert "We have a question." in page
        assert "the operator of this site" in page
        assert list(client.get(reverse("conversations:talk")).context["voices"]) == [other]

    def test_the_api_shows_the_suspension(self, client: Client, alice_api: Api, voice: VoiceProfile) -> None:
        suspend_voice(voice=voice)
        body = alice_api.get(f"/api/v1/voices/{voice.pk}").json()
        assert body["silenced_at"]
        assert body["error"]["code"] == "voice_silenced"

    def test_checking_for_a_suspension_takes_no_extra_query(
        self, voice: VoiceProfile, django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(1):
            services.ready_voice(owner=voice.owner, pk=voice.pk)
