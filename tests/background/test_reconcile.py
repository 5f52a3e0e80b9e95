"""`manage.py reconcile`."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone

from apps.background.reconciling import reconcile
from apps.conversations.models import Conversation, Turn
from apps.voices.models import VoiceProfile, VoiceTag
from tests.factories import make_turn, make_voice

if TYPE_CHECKING:
    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.fakes.provider import FakeProvider

LONG_AGO = timezone.now() - timedelta(days=1)


def run(*arguments: str) -> list[str]:
    output = StringIO()
    call_command("reconcile", *arguments, stdout=output)
    return output.getvalue().splitlines()


@pytest.fixture
def left_behind(alice: User, remote_engines: FakeProvider, conversation: Conversation) -> tuple[VoiceProfile, Turn]:
    voice = make_voice(alice, "", status="pending", lease_until=LONG_AGO)
    VoiceTag.objects.create(pk=voice.pk, provider=voice.provider)
    remote_engines.add_voice(voice.provider_name)
    return voice, make_turn(conversation, status="answered", lease_until=LONG_AGO)


def test_a_dry_run_prints_the_repairs_and_does_nothing(
    left_behind: tuple[VoiceProfile, Turn], provider: FakeProvider
) -> None:
    voice, turn = left_behind
    voice_id = list(provider.voices)[-1]
    lines = run("--dry-run")
    assert f"Voice {voice_id} at elevenlabs: use it for voice {voice.pk}" in lines
    assert f"Turn {turn.pk}: end it as failed in the stage speak, ready for a retry" in lines
    assert not VoiceProfile.objects.filter(voice_id=voice_id).exists()
    assert Turn.objects.get().status == "answered"
    assert run("--dry-run") == lines
    assert lines[-1] == "2 to do."


def test_it_carries_out_the_repairs_and_leaves_nothing(
    left_behind: tuple[VoiceProfile, Turn], provider: FakeProvider
) -> None:
    voice, turn = left_behind
    lines = run()
    assert f"Turn {turn.pk}: end it as failed in the stage speak, ready for a retry (done)" in lines
    voice.refresh_from_db()
    turn.refresh_from_db()
    assert (voice.status, voice.voice_id, turn.status) == ("ready", list(provider.voices)[-1], "failed")
    assert run() == ["0 found."]
    assert run("--dry-run") == ["0 to do."]


def test_a_failure_of_one_app_does_not_stop_the_others(
    left_behind: tuple[VoiceProfile, Turn], settings: Settings
) -> None:
    voice, turn = left_behind
    VoiceTag.objects.filter(pk=voice.pk).update(provider="local")
    broken = Path(settings.MEDIA_ROOT) / "local-voices" / "local-1.npz"
    broken.parent.mkdir(parents=True)
    broken.write_text("no voice")
    assert len(run()) == 2
    turn.refresh_from_db()
    assert turn.status == "failed"


class TestAfterAnOlderBackup:
    """Voices that were made after the backup are still at their provider, and the database does not know them."""

    @pytest.fixture
    def lost(self, alice: User, remote_engines: FakeProvider, conversation: Conversation) -> str:
        """A voice that was made here, at its provider only, beside the voice of the conversation."""
        voice = make_voice(alice, "", status="pending")
        voice_id = remote_engines.add_voice(voice.provider_name)
        voice.delete()
        return voice_id

    def test_they_are_listed_and_stay(self, lost: str, provider: FakeProvider) -> None:
        line = f"Voice {lost} at elevenlabs: delete it, since this database has lost it"
        advice = "1 unknown to this database: --delete-unknown deletes them."
        assert run() == ["0 found.", line, advice]
        assert run("--dry-run") == run("--dry-run", "--delete-unknown") == ["0 to do.", line, advice]
        assert lost in provider.voices

    def test_they_are_deleted_on_request_and_no_others(
        self, lost: str, provider: FakeProvider, settings: Settings, alice: User
    ) -> None:
        settings.SECRET_KEY, own_key = "another installation" * 3, settings.SECRET_KEY
        theirs = make_voice(alice, "", status="pending")
        provider.add_voice(theirs.provider_name)
        theirs.delete()
        settings.SECRET_KEY = own_key
        provider.add_voice(f"Older [{uuid4()}]")
        others = provider.voices.keys() - {lost}
        assert run("--delete-unknown")[1:] == [
            f"Voice {lost} at elevenlabs: delete it, since this database has lost it (done)"
        ]
        assert provider.voices.keys() == others
        assert run("--delete-unknown") == ["0 found."]

    def test_an_earlier_secret_key_is_still_known(self, lost: str, settings: Settings) -> None:
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new" * 20, [settings.SECRET_KEY]
        assert len(run()) == 3
        settings.SECRET_KEY_FALLBACKS = []
        assert run() == ["0 found."]

    def test_the_worker_leaves_them(self, lost: str, provider: FakeProvider) -> None:
        assert not list(reconcile())
        assert lost in provider.voices
