"""A voice is not kept if its consent is withdrawn, or its owner erased, at any moment while it is being made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from django.db import connections, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.core.errors import UserError
from apps.privacy.erasures import request_erasure
from apps.voices import services
from apps.voices.consent import renew_voices, withdraw_consent
from apps.voices.deletion import finish_deletion
from apps.voices.models import Consent, VoiceProfile
from apps.voices.suspension import end_suspension, suspend_voice
from tests.client import SAMPLES, Api, error_of
from tests.factories import make_consent, make_voice
from tests.fakes.behaviour import Moment
from tests.fakes.elevenlabs import VOICES, VOICES_ADD, VOICES_SEARCH, elevenlabs_error
from tests.storage import stored_files
from tests.worker import make_due, work

if TYPE_CHECKING:
    import requests

    from tests.fakes.provider import FakeProvider

pytestmark = [pytest.mark.usefixtures("consent"), pytest.mark.django_db(transaction=True)]
Result = TypeVar("Result")

WHILE_MADE = [Moment.HALF_RECEIVED, Moment.RECEIVED, Moment.DONE]


def withdraw() -> None:
    consent = Consent.objects.order_by("given_at").first()
    assert consent
    withdraw_consent(consent=consent)


def in_thread(action: Callable[[], Result]) -> Result:
    """Run `action` in a thread with a connection of its own, and wait for it."""

    def act() -> Result:
        try:
            return action()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).result()


def at(provider: FakeProvider, moment: Moment, action: Callable[[], object]) -> None:
    """Run `action` when the provider has come so far with the next voice."""

    def act() -> None:
        in_thread(action)

    provider.at("POST", VOICES_ADD, moment, act)


def assert_nothing_is_kept(provider: FakeProvider, alice: User) -> None:
    """Check that the worker deletes everything, and that a new consent brings nothing back."""
    renew_voices(consent=make_consent(alice))
    assert not VoiceProfile.objects.that_speak().exists()
    for _try in range(3):
        make_due()
        work()
    assert not provider.voices
    assert not VoiceProfile.objects.exists()
    assert not stored_files("samples")


class Recordings(list[bytes]):
    """Recordings that do something when they are about to be decoded, which is after the consent was checked."""

    def __init__(self, action: Callable[[], object]) -> None:
        super().__init__(SAMPLES)
        self._action = action

    def __iter__(self) -> Iterator[bytes]:
        self._action()
        return super().__iter__()


class TestWithdrawal:
    def test_before_the_row_is_stored(self, alice: User, remote_engines: FakeProvider) -> None:
        with pytest.raises(UserError, match="consent_required"):
            services.clone_voice(owner=alice, name="Jane", files=Recordings(withdraw))
        assert not VoiceProfile.objects.exists()
        assert not stored_files("samples")
        assert not remote_engines.requests

    def test_while_the_row_is_being_stored(self, alice: User, remote_engines: FakeProvider) -> None:
        withdrawal = Thread(target=in_thread, args=[withdraw])

        def withdraw_meanwhile(_pk: object) -> None:
            """Withdraw before the transaction ends: the withdrawal has to wait for it, and then finds the row."""
            withdrawal.start()
            withdrawal.join(0.3)
            assert withdrawal.is_alive()

        at(remote_engines, Moment.DONE, withdrawal.join)
        with pytest.raises(UserError, match="consent_required"):
            services.clone_voice(owner=alice, name="Jane", files=SAMPLES, note=withdraw_meanwhile)
        assert_nothing_is_kept(remote_engines, alice)

    @pytest.mark.parametrize("moment", WHILE_MADE)
    def test_while_the_provider_works(
        self, alice_api: Api, alice: User, provider: FakeProvider, moment: Moment
    ) -> None:
        at(provider, moment, withdraw)
        refusal(alice_api.clone_voice(), 403, "consent_required")
        assert_nothing_is_kept(provider, alice)

    def test_after_the_worker_has_deleted_the_row(self, alice_api: Api, alice: User, provider: FakeProvider) -> None:
        def withdraw_and_delete() -> None:
            withdraw()
            finish_deletion.call(str(VoiceProfile.objects.get().pk))

        at(provider, Moment.DONE, withdraw_and_delete)
        refusal(alice_api.clone_voice(), 403, "consent_required")
        assert_nothing_is_kept(provider, alice)

    @pytest.mark.parametrize("row_is_gone", [False, True])
    def test_while_the_provider_cannot_delete(
        self, alice_api: Api, alice: User, provider: FakeProvider, row_is_gone: bool
    ) -> None:
        def withdraw_and_fail() -> None:
            withdraw()
            if row_is_gone:
                finish_deletion.call(str(VoiceProfile.objects.get().pk))
            provider.fail_next(VOICES, status=401, body=elevenlabs_error("invalid_api_key"), times=2)

        at(provider, Moment.DONE, withdraw_and_fail)
        refusal(alice_api.clone_voice(), 403, "consent_required")
        work()
        assert len(provider.voices) == 1
        assert_nothing_is_kept(provider, alice)


class TestRetry:
    @pytest.fixture
    def failed(self, alice: User) -> VoiceProfile:
        return make_voice(alice, "", status="failed", error_code="provider_busy")

    @pytest.mark.parametrize(
        ("method", "path"), [("GET", VOICES_SEARCH), ("POST", VOICES_ADD)], ids=["earlier try", "this try"]
    )
    def test_a_withdrawal_while_the_provider_works(
        self, alice_api: Api, alice: User, provider: FakeProvider, failed: VoiceProfile, method: str, path: str
    ) -> None:
        provider.at(method, path, Moment.RECEIVED, lambda: in_thread(withdraw))
        refusal(alice_api.post(f"/api/v1/voices/{failed.pk}/retry"), 403, "consent_required")
        assert_nothing_is_kept(provider, alice)

    def test_a_withdrawal_before_it_is_claimed(
        self, alice: User, remote_engines: FakeProvider, failed: VoiceProfile
    ) -> None:
        with ThreadPoolExecutor(1) as pool, transaction.atomic():
            withdraw()
            retry = pool.submit(in_thread, lambda: services.retry_cloning(voice=failed))
            wait_for_lock(retry)
        with pytest.raises(UserError, match="consent_required"):
            retry.result()
        assert not remote_engines.requests
        assert_nothing_is_kept(remote_engines, alice)

    def test_a_suspended_voice_is_not_cloned_again(
        self, alice_api: Api, provider: FakeProvider, failed: VoiceProfile
    ) -> None:
        suspend_voice(voice=failed)
        refusal(alice_api.post(f"/api/v1/voices/{failed.pk}/retry"), 403, "voice_silenced")
        assert not provider.requests


class TestOwner:
    @pytest.mark.parametrize("moment", WHILE_MADE)
    def test_an_erasure_while_the_provider_works(
        self, alice_api: Api, alice: User, provider: FakeProvider, moment: Moment
    ) -> None:
        at(provider, moment, lambda: request_erasure(user=alice))
        refusal(alice_api.clone_voice(), 403, "permission_denied")
        assert_nothing_is_kept(provider, alice)

    def test_an_erasure_before_the_row_is_stored(self, alice: User, remote_engines: FakeProvider) -> None:
        recordings = Recordings(lambda: request_erasure(user=alice))
        with pytest.raises(UserError, match="permission_denied"):
            services.clone_voice(owner=alice, name="Jane", files=recordings)
        assert not VoiceProfile.objects.exists()

    def test_a_deleted_account_leaves_nothing_at_a_provider_that_cannot_delete(
        self, alice: User, remote_engines: FakeProvider
    ) -> None:
        voice = make_voice(alice, "", status="pending")
        voice_id = remote_engines.add_voice(voice.provider_name)
        User.objects.get().delete()
        remote_engines.fail_next(VOICES, status=401, body=elevenlabs_error("invalid_api_key"))
        with pytest.raises(UserError, match="permission_denied"):
            services.complete_or_discard(voice=voice, voice_id=voice_id)
        make_due()
        work()
        assert not remote_engines.voices


def test_a_consent_that_expires_meanwhile(alice: User, remote_engines: FakeProvider) -> None:
    voice = make_voice(alice, "", status="pending", consent=make_consent(alice, valid_until=timezone.now()))
    voice_id = remote_engines.add_voice(voice.provider_name)
    with pytest.raises(UserError, match="consent_required"):
        services.complete_or_discard(voice=voice, voice_id=voice_id)
    assert_nothing_is_kept(remote_engines, alice)


def test_a_voice_that_is_suspended_meanwhile_is_kept_and_does_not_speak(
    alice_api: Api, alice: User, provider: FakeProvider
) -> None:
    at(provider, Moment.DONE, lambda: suspend_voice(voice=VoiceProfile.objects.get()))
    refusal(alice_api.clone_voice(), 403, "voice_silenced")
    voice = VoiceProfile.objects.get()
    assert (voice.status, voice.is_default, voice.can_speak) == ("ready", False, False)
    assert list(provider.voices) == [voice.voice_id]
    end_suspension(voice=voice)
    assert alice_api.full_interaction(voice.voice_id).status_code == 200


class TestRenewal:
    def test_a_withdrawal_meanwhile(self, alice: User, remote_engines: FakeProvider, voice: VoiceProfile) -> None:
        new = make_consent(alice)
        with ThreadPoolExecutor(1) as pool, transaction.atomic():
            withdraw()
            renewal = pool.submit(in_thread, lambda: renew_voices(consent=new))
            wait_for_lock(renewal)
        renewal.result()
        row = VoiceProfile.objects.get()
        assert (row.status, row.consent_id) == ("deleting", voice.consent_id)

    def test_a_voice_whose_consent_is_withdrawn_is_never_renewed(self, alice: User, voice: VoiceProfile) -> None:
        Consent.objects.filter(pk=voice.consent_id).update(withdrawn_at=timezone.now())
        renew_voices(consent=make_consent(alice))
        voice.refresh_from_db()
        assert not voice.can_speak


def wait_for_lock(other: Any) -> None:
    """Give another thread the time to come to the lock that this transaction holds."""
    with pytest.raises(TimeoutError):
        other.result(timeout=0.5)


def refusal(response: requests.Response, status: int, code: str) -> None:
    assert (response.status_code, error_of(response)["code"]) == (status, code)
