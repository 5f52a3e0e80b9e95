"""Voices in the admin: what the list and the page show, their players, and the actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.privacy.models import ContentAccess
from apps.usage.models import UsageRecord
from apps.voices.models import VoiceProfile, VoiceTag
from tests.factories import make_administrator, make_voice
from tests.fakes.elevenlabs import VOICES_SEARCH, elevenlabs_error
from tests.worker import work

if TYPE_CHECKING:
    from tests.client import Page
    from tests.fakes.provider import FakeProvider

LIST = reverse("admin:voices_voiceprofile_changelist")
REASON = "Somebody says that this is her voice."


def page_of(voice: VoiceProfile, name: str = "change", *more: object) -> str:
    return reverse(f"admin:voices_voiceprofile_{name}", args=[voice.pk, *more])


def act(client: Client, action: str, *voices: VoiceProfile, **form: object) -> Page:
    selected = {"action": action, "_selected_action": [str(voice.pk) for voice in voices]}
    return client.post(LIST, {**selected, **form}, follow=True)


def listed(client: Client, **query: str) -> list[VoiceProfile]:
    return list(client.get(LIST, query).context["cl"].result_list)


@pytest.fixture
def helper_without_content(db: None) -> Client:
    """Staff who see all rows of the admin, but may not read content nor change anything."""
    from django.contrib.auth.models import Permission

    user = make_administrator(User.objects.create_user("support", "support@example.org"))
    user.is_superuser = False
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(user)
    return client


class TestList:
    def test_it_shows_samples_level_similarity_consent_and_use(self, admin_client: Client, voice: VoiceProfile) -> None:
        voice.samples.update(speaker_similarity=0.83)
        VoiceProfile.objects.update(spoken_characters=4321, last_used_at=timezone.now())
        text = admin_client.get(LIST).content.decode()
        for shown in ("alice", "ElevenLabs", "ready", "spoken, ", "-25 / -5 dB", "0.83", "4321"):
            assert shown in text, shown

    def test_the_number_of_queries_does_not_grow(
        self, admin_client: Client, alice: User, django_assert_num_queries: Any
    ) -> None:
        make_voice(alice, "first")
        with CaptureQueriesContext(connection) as few:
            admin_client.get(LIST)
        for number in range(20):
            make_voice(alice, f"voice-{number}")
        with django_assert_num_queries(len(few)):
            admin_client.get(LIST)

    @pytest.mark.parametrize(
        ("look", "values"),
        [
            ("missing", {"is_missing": True}),
            ("no_id", {"voice_id": ""}),
            ("deleting", {"status": "deleting"}),
            ("idle", {"idle_notice_at": timezone.now()}),
        ],
    )
    def test_what_needs_attention_can_be_filtered(
        self, admin_client: Client, alice: User, voice: VoiceProfile, look: str, values: dict[str, Any]
    ) -> None:
        other = make_voice(alice, "other")
        VoiceProfile.objects.filter(pk=other.pk).update(**values)
        assert listed(admin_client, look=look) == [other]

    def test_voices_without_samples_and_those_of_a_person_can_be_filtered(
        self, admin_client: Client, voice: VoiceProfile, bob: User
    ) -> None:
        other = make_voice(bob, "other")
        other.samples.all().delete()
        assert listed(admin_client, look="no_samples") == [other]
        assert listed(admin_client, person="BOB") == [other]
        assert listed(admin_client, person="nobody") == []


class TestSound:
    def test_samples_and_the_consent_are_played_and_recorded(
        self, admin_client: Client, admin_user: User, voice: VoiceProfile
    ) -> None:
        sample = voice.samples.get()
        text = admin_client.get(page_of(voice)).content.decode()
        for address in (page_of(voice, "sample", sample.pk), page_of(voice, "consent")):
            assert f'src="{address}"' in text
            part = admin_client.get(address, headers={"Range": "bytes=0-3"})
            assert (part.status_code, part.content) == (206, b"fLaC")
        accesses = ContentAccess.objects.filter(owner=voice.owner, reader=admin_user)
        assert set(accesses.values_list("kind", flat=True)) == {"sample", "consent_clip"}

    def test_a_missing_file_is_told(self, admin_client: Client, voice: VoiceProfile) -> None:
        sample = voice.samples.get()
        sample.file.storage.delete(str(sample.file.name))
        assert admin_client.get(page_of(voice, "sample", sample.pk)).status_code == 410

    def test_a_preview_is_paid_by_who_listens(
        self, admin_client: Client, admin_user: User, voice: VoiceProfile, remote_engines: FakeProvider
    ) -> None:
        answer = admin_client.post(page_of(voice, "preview"), {"text": "Hello there."})
        assert (answer.status_code, answer["Content-Type"]) == (200, "audio/mpeg")
        assert UsageRecord.objects.get().owner == admin_user
        voice.refresh_from_db()
        assert (voice.last_used_at, voice.spoken_characters) == (None, 0)
        assert ContentAccess.objects.get().kind == "preview"
        assert admin_client.get(page_of(voice, "preview")).status_code == 405

    def test_a_suspended_voice_gives_no_preview_but_a_message(
        self, admin_client: Client, voice: VoiceProfile, remote_engines: FakeProvider
    ) -> None:
        act(admin_client, "suspend", voice, confirmed="yes", reason=REASON)
        answer = admin_client.post(page_of(voice, "preview"), {"text": "Hello there."})
        assert (answer.status_code, answer["Content-Type"]) == (403, "text/plain; charset=utf-8")
        assert REASON in answer.content.decode()

    def test_without_the_permission_there_is_no_sound(
        self, helper_without_content: Client, voice: VoiceProfile
    ) -> None:
        client = helper_without_content
        sample = voice.samples.get()
        text = client.get(page_of(voice)).content.decode()
        assert "<audio" not in text
        assert "Hidden" in text
        assert client.get(page_of(voice, "sample", sample.pk)).status_code == 403
        assert client.get(page_of(voice, "consent")).status_code == 403
        assert client.post(page_of(voice, "preview")).status_code == 403
        assert not ContentAccess.objects.exists()


class TestActions:
    def test_a_suspension_asks_for_the_reason_which_the_owner_reads(
        self, admin_client: Client, voice: VoiceProfile
    ) -> None:
        assert "Reason" in act(admin_client, "suspend", voice).content.decode()
        assert "required" in act(admin_client, "suspend", voice, confirmed="yes", reason=" ").content.decode()
        voice.refresh_from_db()
        assert voice.can_speak
        act(admin_client, "suspend", voice, confirmed="yes", reason=REASON)
        voice.refresh_from_db()
        assert not voice.can_speak
        assert REASON in voice.suspension_message
        act(admin_client, "end_suspension", voice)
        voice.refresh_from_db()
        assert voice.can_speak
        entries = LogEntry.objects.order_by("pk").values_list("object_repr", "change_message")
        assert list(entries) == [(str(voice.pk), "Suspended."), (str(voice.pk), "Allowed to speak again.")]

    def test_only_suspended_voices_are_allowed_to_speak_again(
        self, admin_client: Client, alice: User, voice: VoiceProfile
    ) -> None:
        suspended, leaving = make_voice(alice, "suspended"), make_voice(alice, "leaving")
        VoiceProfile.objects.filter(pk=leaving.pk).update(suspended_at=timezone.now(), suspended_by="erasure")
        act(admin_client, "suspend", suspended, confirmed="yes", reason=REASON)
        text = act(admin_client, "end_suspension", voice, suspended, leaving).content.decode()
        assert "1 voice can speak again." in text
        assert "2 voices were not suspended by the operator" in text
        assert LogEntry.objects.filter(change_message="Allowed to speak again.").count() == 1
        text = act(admin_client, "end_suspension", voice).content.decode()
        assert "can speak again." not in text

    def test_the_page_of_a_voice_has_its_actions(self, admin_client: Client, voice: VoiceProfile) -> None:
        text = admin_client.get(page_of(voice)).content.decode()
        assert all(f'value="{name}"' in text for name in ("suspend", "look_at_provider", "delete_voices"))
        assert 'value="end_suspension"' not in text

    @pytest.mark.usefixtures("real_transactions")
    def test_a_deletion_is_confirmed_and_done_by_the_queue_also_at_the_provider(
        self, admin_client: Client, voice: VoiceProfile, remote_engines: FakeProvider
    ) -> None:
        assert "cannot be undone" in act(admin_client, "delete_voices", voice).content.decode()
        assert VoiceProfile.objects.get().can_speak
        act(admin_client, "delete_voices", voice, confirmed="yes")
        assert VoiceProfile.objects.get().status == VoiceProfile.Status.DELETING
        assert LogEntry.objects.get().object_repr == str(voice.pk)
        work()
        assert not VoiceProfile.objects.exists()
        assert not remote_engines.voices

    def test_a_check_finds_what_is_missing_and_what_belongs_to_nobody(
        self, admin_client: Client, alice: User, voice: VoiceProfile, remote_engines: FakeProvider
    ) -> None:
        gone = make_voice(alice, "gone", name="Gone")
        pending = make_voice(alice, "", name="Pending", status="pending")
        lost = VoiceTag.objects.create(pk="11111111-2222-4333-8444-555555555555", provider="elevenlabs")
        remote_engines.add_voice(f"Lost [{lost.pk}]")
        remote_engines.requests.clear()
        text = act(admin_client, "look_at_provider", voice, gone, pending).content.decode()
        assert len(remote_engines.requests) == 1
        for shown in ("1 voice is at its provider", "missing at its provider: Gone (alice)", "1 of these", "1 more"):
            assert shown in text, shown
        assert dict(VoiceProfile.objects.values_list("name", "is_missing")) == {
            "Jane": False,
            "Gone": True,
            "Pending": False,
        }
        assert listed(admin_client, look="missing") == [gone]

    def test_a_provider_that_does_not_answer_changes_nothing(
        self, admin_client: Client, voice: VoiceProfile, remote_engines: FakeProvider
    ) -> None:
        remote_engines.fail_next(VOICES_SEARCH, status=401, body=elevenlabs_error("invalid_api_key"))
        assert "ElevenLabs:" in act(admin_client, "look_at_provider", voice).content.decode()
        voice.refresh_from_db()
        assert voice.checked_at is None

    @pytest.mark.parametrize("action", ["suspend", "end_suspension", "delete_voices", "look_at_provider"])
    def test_each_action_needs_its_permission(
        self, helper_without_content: Client, voice: VoiceProfile, action: str
    ) -> None:
        act(helper_without_content, action, voice, confirmed="yes", reason=REASON)
        voice.refresh_from_db()
        assert (voice.can_speak, voice.checked_at) == (True, None)
        assert not LogEntry.objects.exists()
        assert f'value="{action}"' not in helper_without_content.get(page_of(voice)).content.decode()
