"""An export holds all data of one person, only theirs, and is deleted after a day."""

from __future__ import annotations

import hashlib
import io
import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_STORED, ZipFile

import pytest
import time_machine
from django.conf import settings as django_settings
from django.core import mail
from django.core.files.storage import default_storage
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import ApiToken, Invitation, User
from apps.accounts.services import create_api_token
from apps.core.personal_data import all_personal_data
from apps.privacy import exports
from apps.privacy.models import Erasure, Export
from apps.webhooks import services as webhooks
from apps.webhooks.models import Webhook
from tests.client import bearer, error_of
from tests.factories import CONSENT_CLIP, SAMPLE, SOUND, make_turn
from tests.worker import work

if TYPE_CHECKING:
    from django.test import Client

    from apps.conversations.models import Conversation
    from apps.voices.models import VoiceProfile
    from tests.client import Api
    from tests.conftest import Server

pytestmark = pytest.mark.usefixtures("real_transactions")

# Not personal data of the owner alone, or the same as in other tables.
NOT_EXPORTED = {"LogEntry", "Erasure", "EmailConfirmation"}


def make_export(owner: User) -> Export:
    exports.start_export(owner=owner)
    work()
    return Export.objects.get(owner=owner)


def content_of(export: Export) -> bytes:
    return Path(default_storage.path(str(export.file.name))).read_bytes()


def opened(export: Export) -> ZipFile:
    return ZipFile(io.BytesIO(content_of(export)))


def rows_in(archive: ZipFile, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(archive.read(f"{name}.json"))
    return rows


class TestContent:
    def test_it_holds_the_data_of_the_person(
        self, alice: User, alice_token: str, voice: VoiceProfile, conversation: Conversation
    ) -> None:
        turn = make_turn(conversation, transcript="Où est la bibliothèque ?", reply="Beneath the palm.")
        archive = opened(make_export(alice))
        assert archive.testzip() is None
        (account,) = rows_in(archive, "account")
        assert (account["username"], account["email"]) == ("alice", "alice@example.org")
        (kept_voice,) = rows_in(archive, "voices")
        assert (kept_voice["name"], kept_voice["voice_id"]) == ("Jane", voice.voice_id)
        (kept_turn,) = rows_in(archive, "turns")
        assert (kept_turn["transcript"], kept_turn["reply"]) == ("Où est la bibliothèque ?", "Beneath the palm.")
        assert archive.read(kept_turn["question"]) == archive.read(f"turns/{turn.pk}-answer.flac") == SOUND
        (sample,) = rows_in(archive, "voice-samples")
        assert archive.read(sample["file"]) == SAMPLE
        assert archive.getinfo(sample["file"]).compress_type == ZIP_STORED
        (consent,) = rows_in(archive, "consents")
        assert archive.read(consent["clip"]) == CONSENT_CLIP
        readme = archive.read("README.txt").decode()
        for name in archive.namelist():
            assert name.split("/")[0].removesuffix(".json") in readme or name == "README.txt"

    def test_it_holds_no_secret(self, alice: User, alice_token: str, conversation: Conversation) -> None:
        webhook = webhooks.create_webhook(owner=alice, url="https://example.org/")
        earlier = webhook.salt
        webhooks.change_secret(webhook=webhook)
        archive = opened(make_export(alice))
        everything = b"".join(archive.read(name) for name in archive.namelist()).decode(errors="replace")
        alice.refresh_from_db()
        of_webhook = (webhook.secret, webhook.salt, earlier)
        for secret in (alice.password, ApiToken.objects.get().digest, alice_token, *of_webhook):
            assert secret not in everything
        assert "https://example.org/" in everything

    def test_it_holds_no_data_of_other_users(self, alice: User, bob: User, conversation: Conversation) -> None:
        make_turn(conversation)
        Invitation.objects.create(email="carol@example.org", digest="x", invited_by=bob, expires_at=timezone.now())
        archive = opened(make_export(bob))
        everything = b"".join(archive.read(name) for name in archive.namelist()).decode(errors="replace")
        for word in ("alice", "Jane", "France", "carol"):
            assert word not in everything
        assert rows_in(archive, "turns") == []

    def test_it_holds_every_table_with_an_owner(self, alice: User) -> None:
        exported = {table.rows.model for data in all_personal_data() for table in data.tables(alice)}
        owned = {
            relation.related_model
            for relation in User._meta.related_objects
            if not relation.field.many_to_many and relation.related_model.__name__ not in NOT_EXPORTED
        }
        assert owned <= exported

    def test_it_is_readable_by_the_service_alone(self, alice: User) -> None:
        export = make_export(alice)
        assert stat.S_IMODE(Path(default_storage.path(str(export.file.name))).stat().st_mode) == 0o600


class TestLife:
    def test_its_owner_gets_a_mail_and_sees_the_progress(self, alice: User, conversation: Conversation) -> None:
        make_turn(conversation)
        export = make_export(alice)
        assert export.parts == export.parts_done > 10
        assert export.size == default_storage.size(str(export.file.name))
        (told,) = mail.outbox
        assert told.to == ["alice@example.org"]
        assert "Your data" in told.body

    def test_there_is_one_at_a_time_and_a_new_one_replaces_the_old(self, client: Client, alice: User) -> None:
        client.force_login(alice)
        assert client.post(reverse("api:exports")).status_code == 201
        refused = client.post(reverse("api:exports"))
        assert (refused.status_code, error_of(refused)["code"]) == (409, "export_under_way")
        work()
        old = Export.objects.get()
        new = make_export(alice)
        assert Export.objects.get() == new != old
        assert not default_storage.exists(str(old.file.name))

    def test_it_is_deleted_after_a_day_with_its_file(self, alice: User) -> None:
        export = make_export(alice)
        with time_machine.travel(timezone.now() + timedelta(hours=23, minutes=59), tick=False):
            exports.delete_expired()
            assert default_storage.exists(str(export.file.name))
        with time_machine.travel(timezone.now() + timedelta(hours=24, minutes=1), tick=False):
            exports.delete_expired()
        assert not Export.objects.exists()
        assert not default_storage.exists(str(export.file.name))

    def test_the_export_of_a_killed_worker_restarts_and_leaves_no_second_file(
        self, alice: User, conversation: Conversation
    ) -> None:
        exports.start_export(owner=alice)
        name = f"exports/{alice.pk}/begun.zip"
        path = Path(default_storage.path(name))
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half of a fi")
        lost = timezone.now() - timedelta(seconds=1)
        Export.objects.update(state="running", starts=1, file=name, lease_until=lost)
        work()
        assert Export.objects.get().state == "running"  # The first task does nothing: another worker owns the export.
        exports.restart_abandoned()
        work()
        export = Export.objects.get()
        assert (export.state, export.starts, str(export.file.name)) == ("ready", 2, name)
        assert opened(export).testzip() is None
        assert [file.name for file in path.parent.iterdir()] == ["begun.zip"]

    def test_an_export_that_kills_every_worker_is_given_up(self, alice: User) -> None:
        exports.start_export(owner=alice)
        lost = timezone.now() - timedelta(seconds=1)
        Export.objects.update(state="running", starts=exports.MAX_EXPORT_STARTS, lease_until=lost)
        exports.restart_abandoned()
        assert Export.objects.get().state == "failed"

    def test_a_cancelled_export_leaves_nothing(self, client: Client, alice: User) -> None:
        client.force_login(alice)
        client.post(reverse("privacy:start-export"))
        client.post(reverse("privacy:delete-export"))
        work()
        assert not Export.objects.exists()
        assert not (Path(django_settings.MEDIA_ROOT) / "exports").exists()

    def test_a_failure_is_shown(self, client: Client, alice: User, tmp_path: Path) -> None:
        (Path(django_settings.MEDIA_ROOT)).mkdir(parents=True, exist_ok=True)
        (Path(django_settings.MEDIA_ROOT) / "exports").write_text("in the way")
        assert make_export(alice).state == "failed"
        client.force_login(alice)
        assert "could not be exported" in client.get(reverse("privacy:data")).content.decode()


class TestDownload:
    def test_the_owner_gets_the_file_and_nobody_else(
        self, server: Server, alice_api: Api, bob_api: Api, alice: User
    ) -> None:
        export = make_export(alice)
        path = f"/api/v1/exports/{export.pk}/download"
        answer = alice_api.get(path, headers={"Accept": "application/zip"})
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/zip"
        assert answer.headers["X-AI-Generated"] == "true"
        assert answer.headers["Content-Disposition"].startswith('attachment; filename="voiceclone-')
        assert "no-store" in answer.headers["Cache-Control"]
        assert int(answer.headers["Content-Length"]) == export.size == len(answer.content)
        assert hashlib.sha256(answer.content).digest() == hashlib.sha256(content_of(export)).digest()
        assert bob_api.get(path).status_code == 404
        assert alice_api.delete(f"/api/v1/exports/{export.pk}").status_code == 204
        assert alice_api.get(path).status_code == 404

    def test_there_is_no_file_before_it_is_ready(self, client: Client, alice: User, alice_token: str) -> None:
        export = exports.start_export(owner=alice)
        path = reverse("api:export-download", args=[export.pk])
        assert client.get(path, headers=bearer(alice_token)).status_code == 404

    def test_a_token_without_the_scope_is_refused(self, client: Client, alice: User) -> None:
        token = create_api_token(owner=alice, name="talker", scopes=["talk"])
        answers = [client.post(reverse("api:exports"), headers=bearer(token))]
        answers.append(client.get(reverse("api:exports"), headers=bearer(token)))
        assert [answer.status_code for answer in answers] == [403, 403]


class TestPage:
    def test_it_leads_from_the_request_to_the_file(self, client: Client, alice: User) -> None:
        client.force_login(alice)
        path = reverse("privacy:data")
        assert "Export my data" in client.get(path).content.decode()
        assert client.post(reverse("privacy:start-export"))["Location"] == path
        assert "being exported" in client.get(path).content.decode()
        work()
        ready = client.get(path).content.decode()
        assert reverse("api:export-download", args=[Export.objects.get().pk]) in ready

    def test_it_counts_the_data(self, client: Client, alice: User, conversation: Conversation) -> None:
        make_turn(conversation)
        Webhook.objects.create(owner=alice, url="https://example.org/")
        client.force_login(alice)
        counts = dict(client.get(reverse("privacy:data")).context["kept"])
        assert counts["Webhooks"] == 1
        assert "Exports such as this one" not in counts
        assert not Erasure.objects.exists()
