from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from apps.voices.models import Consent, ConsentChallenge, VoiceProfile
from apps.voices.suspension import suspend_voice
from tests.audio_samples import clip, to_wav
from tests.client import messages_of
from tests.factories import make_administrator, make_consent, make_voice
from tests.fakes.openai import TRANSCRIPTIONS, openai_error

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.client import Page
    from tests.fakes.provider import FakeProvider

URL = reverse("voices:consent")
LIST = reverse("voices:list")


@pytest.fixture
def page(client: Client, alice: User, remote_engines: FakeProvider) -> Client:
    client.force_login(alice)
    return client


def text(response: Page) -> str:
    return response.content.decode()


def send(page: Client) -> Page:
    upload = SimpleUploadedFile("statement.wav", to_wav(clip("austen-0920.wav")))
    return page.post(URL, {"challenge": str(ConsentChallenge.objects.get().pk), "audio": upload, "name": "Alice"})


def test_without_a_consent_the_list_leads_to_the_consent_page(page: Client) -> None:
    assert URL in text(page.get(LIST))
    assert "clone-form" not in text(page.get(LIST))


def test_with_a_consent_the_list_offers_recording(page: Client, alice: User) -> None:
    make_consent(alice)
    assert "clone-form" in text(page.get(LIST))


def test_the_statement_contains_the_chosen_name(page: Client) -> None:
    shown = text(page.get(URL, {"name": "Alice Liddell"}))
    challenge = ConsentChallenge.objects.get()
    assert "My name is Alice Liddell." in challenge.statement
    assert challenge.statement in shown
    assert all(f"<li>{word}</li>" in shown for word in challenge.code_words)


def test_the_form_takes_the_recording_without_javascript(page: Client, alice: User, provider: FakeProvider) -> None:
    page.get(URL)
    provider.behaviour.transcript = ConsentChallenge.objects.get().statement
    response = send(page)
    assert response["Location"] == f"{LIST}#new-voice"
    assert messages_of(response) == ["success"]
    assert Consent.objects.get().owner == alice


def test_a_refusal_shows_a_new_statement(page: Client) -> None:
    page.get(URL)
    first = ConsentChallenge.objects.get()
    response = send(page)
    assert response.status_code == 422
    assert response.context["form"].errors.keys() == {"audio"}
    assert ConsentChallenge.objects.get().pk != first.pk
    assert "My name is Alice." in ConsentChallenge.objects.get().statement
    assert re.search(r'id="heard"[^>]*>\s*<mark>What</mark>\s*is', text(response))
    assert not Consent.objects.exists()


def test_after_a_provider_failure_the_same_recording_can_be_sent_again(page: Client, provider: FakeProvider) -> None:
    page.get(URL)
    first = ConsentChallenge.objects.get()
    provider.behaviour.transcript = first.statement
    provider.fail_next(TRANSCRIPTIONS, status=401, body=openai_error("invalid_api_key"))
    response = send(page)
    assert response.status_code == 502
    assert response.context["form"].errors.keys() == {"audio"}
    assert first.statement in text(response)
    assert ConsentChallenge.objects.get() == first
    assert messages_of(send(page)) == ["success"]


def test_the_page_shows_the_statement_that_waits_for_a_recording_again(page: Client) -> None:
    page.get(URL)
    first = ConsentChallenge.objects.get()
    assert first.statement in text(page.get(URL))
    assert "My name is Alice Liddell." in text(page.get(URL, {"name": "Alice Liddell"}))
    assert ConsentChallenge.objects.get() != first


@pytest.mark.parametrize(
    "changes", [{"used_at": timezone.now()}, {"expires_at": timezone.now() + timedelta(seconds=50)}]
)
def test_a_statement_that_cannot_be_read_any_more_is_not_shown_again(page: Client, changes: dict[str, Any]) -> None:
    page.get(URL)
    first = ConsentChallenge.objects.get()
    ConsentChallenge.objects.update(**changes)
    assert first.statement not in text(page.get(URL))


def test_an_attested_consent_needs_a_tick(page: Client, settings: Settings) -> None:
    settings.CONSENT = "attested"
    assert "My name is alice." in text(page.get(URL))
    assert page.post(URL, {"name": "Alice"}).status_code == 422
    response = page.post(URL, {"name": "Alice", "attested": "on"})
    assert response["Location"] == f"{LIST}#new-voice"
    assert Consent.objects.get().method == "attested"


def test_consents_are_listed_and_withdrawn_in_one_click(page: Client, voice: VoiceProfile) -> None:
    shown = text(page.get(URL))
    assert reverse("api:consent-audio", args=[voice.consent.pk]) in shown
    withdraw = reverse("voices:withdraw-consent", args=[voice.consent.pk])
    assert shown.index("Your consents so far") < shown.index("Renew your consent") < shown.index(withdraw)
    assert messages_of(page.post(withdraw)) == ["success"]
    voice.refresh_from_db()
    assert voice.status == "deleting"
    assert withdraw not in text(page.get(URL))


def test_a_voice_without_a_valid_consent_says_so_and_where_to_renew(page: Client, alice: User) -> None:
    make_voice(alice, "voice", consent=make_consent(alice, valid_until=timezone.now()))
    shown = text(page.get(LIST))
    assert "This voice cannot speak" in shown
    assert 'class="preview' not in shown
    talk = page.get(reverse("conversations:talk"))
    assert talk.context["voices"] == []


def test_a_suspended_voice_does_not_offer_a_renewal(page: Client, alice: User) -> None:
    voice = make_voice(alice, "voice", consent=make_consent(alice, valid_until=timezone.now()))
    suspend_voice(voice=voice, note="Somebody says that it is not yours.")
    shown = text(page.get(LIST))
    assert "Somebody says that it is not yours." in shown
    assert "to let it speak again" not in shown


def test_the_admin_warns_about_attested_consents(client: Client, alice: User, settings: Settings) -> None:
    client.force_login(make_administrator(alice))
    address = reverse("admin:voices_consent_changelist")
    assert "CONSENT=attested" not in text(client.get(address))
    settings.CONSENT = "attested"
    assert "CONSENT=attested" in text(client.get(address))
