"""Voices whose process was killed during cloning or deletion, and voices that are left at the provider."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from apps.background.reconciling import planned, reconcile
from apps.core.errors import UserError
from apps.usage.models import UsageDay
from apps.voices import services
from apps.voices.models import VoiceProfile, VoiceTag
from apps.webhooks.models import WebhookDelivery
from apps.webhooks.services import create_webhook
from tests.client import Api, error_of
from tests.factories import make_voice
from tests.fakes.elevenlabs import VOICES, VOICES_ADD, VOICES_SEARCH, elevenlabs_error

if TYPE_CHECKING:
    from apps.accounts.models import User
    from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.usefixtures("remote_engines")
ELEVENLABS = VoiceProfile.Provider.ELEVENLABS


def abandoned_voice(owner: User, status: str, **values: Any) -> VoiceProfile:
    """Return a voice whose lease has run out, after its id was sent to the provider."""
    long_ago = timezone.now() - timedelta(seconds=1)
    defaults: dict[str, Any] = {"voice_id": "", "lease_until": long_ago, "status": status}
    voice = make_voice(owner, **defaults | values)
    VoiceTag.objects.create(pk=voice.pk, provider=ELEVENLABS)
    return voice


def run_repairs() -> list[str]:
    return [outcome for _repair, outcome in reconcile()]


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_a_voice_that_the_provider_made_becomes_ready(alice: User, provider: FakeProvider, status: str) -> None:
    create_webhook(owner=alice, url="https://example.org/")
    voice = abandoned_voice(alice, status, error_code="provider_timeout" if status == "failed" else "")
    made = provider.add_voice(voice.provider_name)
    assert run_repairs() == ["done"]
    voice.refresh_from_db()
    assert (voice.status, voice.voice_id, voice.error_code, voice.is_default) == ("ready", made, "", True)
    assert WebhookDelivery.objects.get().event == "voice.ready"
    assert run_repairs() == []


def test_a_voice_that_was_not_made_fails_and_can_be_retried(alice: User, provider: FakeProvider) -> None:
    create_webhook(owner=alice, url="https://example.org/")
    voice = abandoned_voice(alice, "pending")
    UsageDay.objects.create(owner=alice, day=timezone.now().date(), running=1, requests=1)
    assert run_repairs() == ["done"]
    voice.refresh_from_db()
    assert (voice.status, voice.error_code) == ("failed", "server_stopped")
    assert "Try again" in voice.error_message
    assert WebhookDelivery.objects.get().event == "voice.failed"
    assert services.retry_cloning(voice=voice).status == "ready"
    assert run_repairs() == []


def test_a_voice_that_is_being_cloned_is_left_alone(alice: User, provider: FakeProvider) -> None:
    voice = abandoned_voice(alice, "pending", lease_until=timezone.now() + timedelta(hours=1))
    provider.add_voice(voice.provider_name)
    assert run_repairs() == []


def test_a_retry_uses_the_voice_of_an_earlier_try(alice_api: Api, alice: User, provider: FakeProvider) -> None:
    voice = abandoned_voice(alice, "failed", error_code="provider_incomplete")
    made = provider.add_voice(voice.provider_name)
    assert alice_api.post(f"/api/v1/voices/{voice.pk}/retry").json()["voice_id"] == made
    assert not provider.requests_to(VOICES_ADD)


def test_a_voice_without_a_row_is_deleted_at_the_provider(alice: User, provider: FakeProvider) -> None:
    voice = abandoned_voice(alice, "pending")
    provider.add_voice(voice.provider_name)
    alice.delete()
    assert run_repairs() == ["done"]
    assert not provider.voices


def test_a_second_voice_for_the_same_row_is_deleted(alice: User, provider: FakeProvider) -> None:
    first = provider.add_voice("Jane")
    voice = abandoned_voice(alice, "ready", voice_id=first)
    provider.voices[first].name = voice.provider_name
    provider.add_voice(voice.provider_name)
    assert run_repairs() == ["done"]
    assert list(provider.voices) == [first]


def test_of_two_voices_for_a_row_one_is_used_and_one_deleted(alice: User, provider: FakeProvider) -> None:
    voice = abandoned_voice(alice, "pending")
    for _number in range(2):
        provider.add_voice(voice.provider_name)
    assert run_repairs() == ["done", "done"]
    voice.refresh_from_db()
    assert list(provider.voices) == [voice.voice_id]


def test_an_unverified_voice_of_a_failed_row_is_deleted(alice: User, provider: FakeProvider) -> None:
    voice = abandoned_voice(alice, "failed", error_code="provider_voice_unverified")
    provider.add_voice(voice.provider_name)
    run_repairs()
    voice.refresh_from_db()
    assert (voice.status, provider.voices) == ("failed", {})


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_an_unverified_voice_is_not_used(alice: User, provider: FakeProvider, status: str) -> None:
    create_webhook(owner=alice, url="https://example.org/")
    voice = abandoned_voice(alice, status, error_code="provider_timeout" if status == "failed" else "")
    provider.behaviour.requires_verification = True
    provider.add_voice(voice.provider_name)
    assert run_repairs() == ["done"]
    voice.refresh_from_db()
    assert (voice.status, voice.error_code, provider.voices) == ("failed", "provider_voice_unverified", {})
    assert list(WebhookDelivery.objects.values_list("event", flat=True)) == ["voice.failed"] * (status == "pending")
    assert run_repairs() == []


def test_a_retry_does_not_use_an_unverified_voice(alice_api: Api, alice: User, provider: FakeProvider) -> None:
    voice = abandoned_voice(alice, "failed", error_code="provider_incomplete")
    provider.behaviour.requires_verification = True
    provider.add_voice(voice.provider_name)
    refusal = alice_api.post(f"/api/v1/voices/{voice.pk}/retry")
    assert error_of(refusal)["code"] == "provider_voice_unverified"
    voice.refresh_from_db()
    assert (voice.status, voice.error_code, provider.voices) == ("failed", "provider_voice_unverified", {})


def test_a_verified_voice_is_used(alice: User, provider: FakeProvider) -> None:
    voice = abandoned_voice(alice, "pending")
    made = provider.add_voice(voice.provider_name)
    provider.voices[made].voice_verification |= {"requires_verification": True, "is_verified": True}
    assert run_repairs() == ["done"]
    voice.refresh_from_db()
    assert (voice.status, voice.voice_id) == ("ready", made)


def test_voices_of_other_installations_are_not_touched(alice: User, provider: FakeProvider) -> None:
    abandoned_voice(alice, "failed", error_code="provider_busy")
    for name in ("Jane", f"Jane [{uuid4()}]", "Jane [not an id]", f"[{uuid4()}] Jane"):
        provider.add_voice(name)
    assert run_repairs() == []
    assert len(provider.voices) == 4


def test_a_deletion_is_repeated_until_it_succeeds(alice: User, provider: FakeProvider) -> None:
    voice = abandoned_voice(alice, "deleting", voice_id=provider.add_voice("Jane"))
    provider.fail_next(VOICES, status=401, body=elevenlabs_error("invalid_api_key"))
    assert run_repairs() == ["provider_key_invalid"]
    assert run_repairs() == []  # The last try extended the lease.
    VoiceProfile.objects.update(lease_until=timezone.now())
    assert run_repairs() == ["done"]
    assert not VoiceProfile.objects.filter(pk=voice.pk).exists()
    assert not provider.voices


def test_a_voice_already_deleted_at_the_provider_is_deleted_here(alice: User, provider: FakeProvider) -> None:
    abandoned_voice(alice, "deleting", voice_id="gone")
    assert run_repairs() == ["done"]
    assert not VoiceProfile.objects.exists()


def test_a_provider_that_cannot_list_its_voices_loses_none(alice: User, provider: FakeProvider) -> None:
    voice = abandoned_voice(alice, "pending")
    made = provider.add_voice(voice.provider_name)
    provider.fail_next(VOICES_SEARCH, status=401, body=elevenlabs_error("invalid_api_key"))
    assert run_repairs() == ["done"]
    voice.refresh_from_db()
    assert voice.status == "failed"
    assert run_repairs() == ["done"]
    voice.refresh_from_db()
    assert (voice.status, voice.voice_id) == ("ready", made)


def test_a_slow_process_gets_the_voice_that_a_repair_completed(alice: User, provider: FakeProvider) -> None:
    """A process stalls during cloning and continues after the repair."""
    slow = abandoned_voice(alice, "pending")
    made = provider.add_voice(slow.provider_name)
    run_repairs()
    services.complete_or_discard(voice=slow, voice_id=made)
    assert (slow.status, slow.voice_id, list(provider.voices)) == ("ready", made, [made])


def test_a_slow_process_discards_a_second_voice(alice: User, provider: FakeProvider) -> None:
    slow = abandoned_voice(alice, "pending")
    first = provider.add_voice(slow.provider_name)
    run_repairs()
    services.complete_or_discard(voice=slow, voice_id=provider.add_voice(slow.provider_name))
    assert (slow.voice_id, list(provider.voices)) == (first, [first])


def test_a_slow_process_discards_the_voice_of_a_deleted_row(alice: User, provider: FakeProvider) -> None:
    slow = abandoned_voice(alice, "pending")
    VoiceProfile.objects.all().delete()
    with pytest.raises(UserError, match="voice_not_found"):
        services.complete_or_discard(voice=slow, voice_id=provider.add_voice(slow.provider_name))
    assert not provider.voices


@pytest.mark.django_db(transaction=True)
def test_concurrent_reconcilers_do_no_harm(alice: User, provider: FakeProvider) -> None:
    create_webhook(owner=alice, url="https://example.org/")
    made = {provider.add_voice(abandoned_voice(alice, "pending").provider_name) for _number in range(4)}
    for _number in range(4):
        abandoned_voice(alice, "pending")
        abandoned_voice(alice, "deleting", voice_id=provider.add_voice("Old"))
        orphan = uuid4()
        VoiceTag.objects.create(pk=orphan, provider=ELEVENLABS)
        provider.add_voice(f"Orphan [{orphan}]")
    together, outcomes = Barrier(3), list[str]()

    def run() -> None:
        together.wait()
        outcomes.extend(run_repairs())
        connection.close()

    threads = [Thread(target=run) for _number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(outcomes) <= {"done", "no longer needed"}
    assert set(provider.voices) == made
    assert sorted(VoiceProfile.objects.values_list("status", flat=True)) == ["failed"] * 4 + ["ready"] * 4
    events = sorted(WebhookDelivery.objects.values_list("event", flat=True))
    assert events == ["voice.failed"] * 4 + ["voice.ready"] * 4
    assert list(planned()) == []
