"""A request to delete an account: who can make it, and what holds until the erasure begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import create_api_token
from apps.conversations.models import Turn
from apps.core.errors import UserError
from apps.privacy import erasures
from apps.privacy.models import Erasure
from apps.voices.models import VoiceProfile
from tests.accounts.steps import confirm_identity, is_signed_in, sign_in
from tests.client import bearer
from tests.fakes.elevenlabs import VOICES, elevenlabs_error
from tests.privacy.erasing import NAME, after, ask_for_deletion, run_due

if TYPE_CHECKING:
    from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.usefixtures("real_transactions")


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


def test_the_voice_of_an_account_that_is_being_deleted_says_why(person: User) -> None:
    erasures.request_erasure(user=person)
    voice = VoiceProfile.objects.first()
    assert voice
    assert "being deleted" in voice.suspension_message
