"""The page on privacy says what the settings in force make true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.urls import reverse

from apps.accounts.models import User
from tests.factories import make_consent, make_voice
from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings


def words(client: Client) -> str:
    page = client.get("/privacy/")
    assert page.status_code == 200
    return " ".join(page.content.decode().split())


@pytest.mark.django_db
class TestRecipients:
    def test_without_keys_nothing_leaves_the_machine(self, client: Client) -> None:
        said = words(client)
        assert "nothing leaves this machine" in said
        assert "OpenAI" not in said
        assert "ElevenLabs" not in said

    def test_the_services_that_are_switched_on_are_named_with_their_addresses(
        self, client: Client, remote_engines: FakeProvider
    ) -> None:
        said = words(client)
        assert "nothing leaves this machine" not in said
        assert "OpenAI" in said
        assert "ElevenLabs" in said
        assert "127.0.0.1" in said

    def test_each_is_named_for_its_part_alone(self, client: Client, settings: Settings) -> None:
        settings.LANGUAGE_MODEL, settings.OPENAI_BASE_URL = "openai", None
        said = words(client)
        assert "api.openai.com" in said
        assert "to write the next answer" in said
        assert "the sound of your questions, to" not in said
        assert "the recording of your consent, with" not in said

    def test_who_hears_consents_gets_the_name_in_them(
        self, client: Client, remote_engines: FakeProvider, settings: Settings
    ) -> None:
        assert "the recording of your consent, with the name that you say in it" in words(client)
        settings.CONSENT = "attested"
        assert "the recording of your consent, with" not in words(client)

    def test_a_service_that_only_takes_over_is_named_too(self, client: Client, settings: Settings) -> None:
        settings.SPEECH_TO_TEXT_FALLBACK = "openai"
        said = words(client)
        assert "the sound of your questions, to" in said
        assert "nothing leaves this machine" not in said

    def test_who_is_told_of_faults_is_named(self, client: Client, settings: Settings) -> None:
        settings.SENTRY_DSN = "https://key@faults.example.org/1"
        said = words(client)
        assert "Sentry" in said
        assert "faults.example.org" in said

    def test_voices_that_were_made_elsewhere_still_speak_there(
        self, client: Client, alice: User, settings: Settings
    ) -> None:
        settings.ELEVENLABS_API_KEY = "key"
        assert "ElevenLabs" not in words(client)
        make_voice(alice, "voice")
        said = words(client)
        assert "ElevenLabs" in said
        assert "to clone it" not in said


@pytest.mark.django_db
class TestSchedule:
    def test_it_follows_the_settings(self, client: Client, settings: Settings) -> None:
        settings.RETENTION_DAYS, settings.RETENTION_NOTICE_DAYS, settings.CONVERSATION_AUDIO_DAYS = 200, 14, 45
        settings.ERASURE_COOLING_OFF_DAYS = 3
        said = words(client)
        for text in ("it has not spoken for 200 days; we tell you 14 days before", "45 days, or", "For 3 days you can"):
            assert text in said

    def test_what_is_kept_without_a_term_says_so(self, client: Client, settings: Settings) -> None:
        settings.RETENTION_DAYS = settings.ERASURE_COOLING_OFF_DAYS = 0
        said = words(client)
        assert "has not spoken for" not in said
        assert "days you can take it back" not in said

    def test_the_operator_is_named(self, client: Client, settings: Settings) -> None:
        assert "has not said here who they are" in words(client)
        settings.OPERATOR_NAME, settings.OPERATOR_EMAIL = "Example Ltd", "help@example.org"
        said = words(client)
        assert "run by Example Ltd" in said
        assert 'href="mailto:help@example.org"' in said


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/accounts/login/", "/accounts/signup/", "/nothing", "/privacy/", "/report/"])
def test_every_page_leads_there(client: Client, path: str) -> None:
    page = client.get(path).content.decode()
    assert f'href="{reverse("privacy")}"' in page
    assert f'href="{reverse("report")}"' in page


def test_the_page_on_which_one_signs_up_and_the_one_on_which_one_records_lead_there(
    client: Client, alice: User
) -> None:
    assert client.get("/accounts/signup/").content.decode().count(reverse("privacy")) == 2
    client.force_login(alice)
    assert client.get(reverse("voices:consent")).content.decode().count(reverse("privacy")) == 2
    make_consent(alice)
    assert client.get(reverse("voices:list")).content.decode().count(reverse("privacy")) == 2
