"""The privacy page describes the current settings."""

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


def page_text(client: Client) -> str:
    page = client.get("/privacy/")
    assert page.status_code == 200
    return " ".join(page.content.decode().split())


@pytest.mark.django_db
class TestRecipients:
    def test_without_keys_no_service_is_named(self, client: Client) -> None:
        said = page_text(client)
        assert "do not leave this machine" in said
        assert "OpenAI" not in said
        assert "ElevenLabs" not in said

    def test_services_in_use_are_named_with_their_hosts(self, client: Client, remote_engines: FakeProvider) -> None:
        said = page_text(client)
        assert "do not leave this machine" not in said
        assert "<dt>127.0.0.1</dt>" in said
        assert '<dt>ElevenLabs</dt> <dd> <p class="facts-line">127.0.0.1</p>' in said
        assert "OpenAI" not in said

    def test_who_hears_live_conversations_is_named(self, client: Client, settings: Settings) -> None:
        assert "in a live conversation" not in page_text(client)
        settings.LIVE_SPEECH_TO_TEXT = "elevenlabs"
        said = page_text(client)
        assert "<dt>ElevenLabs</dt>" in said
        assert "what you say in a live conversation" in said
        assert "ElevenLabs" in client.get("/").content.decode()
        settings.LIVE_SPEECH_TO_TEXT, settings.STT_BASE_URL = "openai", "https://ears.example.org/v1"
        said = page_text(client)
        assert "<dt>ears.example.org</dt>" in said
        assert "the recordings of your questions" not in said

    def test_each_stage_names_its_own_host(self, client: Client, settings: Settings) -> None:
        settings.SPEECH_TO_TEXT = settings.LANGUAGE_MODEL = "openai"
        settings.STT_BASE_URL = "https://user:secret@ears.example.org:8443/v1"
        settings.CHAT_BASE_URL = "https://eu.api.openai.com/v1"
        ears, _, mind = page_text(client).partition("<dt>OpenAI</dt>")
        assert "<dt>ears.example.org</dt>" in ears
        assert "the recordings of your questions, to" in ears
        assert "eu.api.openai.com" in mind
        assert "to write the next answer" in mind
        assert "secret" not in ears + mind

    def test_the_home_page_names_the_same_hosts(self, client: Client, settings: Settings) -> None:
        settings.SPEECH_TO_TEXT = settings.LANGUAGE_MODEL = "openai"
        settings.TEXT_TO_SPEECH = "elevenlabs"
        settings.STT_BASE_URL = "https://ears.example.org/v1"
        assert "ears.example.org, OpenAI, ElevenLabs" in client.get("/").content.decode()

    def test_a_service_is_named_only_for_its_own_stages(self, client: Client, settings: Settings) -> None:
        settings.LANGUAGE_MODEL = "openai"
        said = page_text(client)
        assert "api.openai.com" in said
        assert "to write the next answer" in said
        assert "the recordings of your questions, to" not in said
        assert "the recording of your consent, which" not in said

    def test_the_service_that_transcribes_consents_gets_the_name_in_them(
        self, client: Client, remote_engines: FakeProvider, settings: Settings
    ) -> None:
        assert "the recording of your consent, which contains your name" in page_text(client)
        settings.CONSENT = "attested"
        assert "the recording of your consent, which" not in page_text(client)

    def test_a_fallback_service_is_named_too(self, client: Client, settings: Settings) -> None:
        settings.SPEECH_TO_TEXT_FALLBACK = "openai"
        said = page_text(client)
        assert "the recordings of your questions, to" in said
        assert "do not leave this machine" not in said

    def test_the_service_for_error_reports_is_named(self, client: Client, settings: Settings) -> None:
        settings.SENTRY_DSN = "https://key@faults.example.org/1"
        said = page_text(client)
        assert "Sentry" in said
        assert "faults.example.org" in said

    def test_the_mail_server_and_receivers_of_webhooks_are_named(self, client: Client, settings: Settings) -> None:
        settings.EMAIL_HOST = "mail.example.org"
        said = page_text(client)
        assert "do not leave this machine" in said
        assert "The servers of your own webhooks" in said
        assert "mail.example.org" not in said
        settings.MAIL_IS_DELIVERED = True
        said = page_text(client)
        assert "mail.example.org" in said
        assert "your email address, and the mails" in said
        assert "reports of abuse on their way to the operator" not in said
        settings.OPERATOR_EMAIL = "help@example.org"
        assert "reports of abuse on their way to the operator" in page_text(client)

    def test_a_service_that_speaks_with_older_voices_is_named(
        self, client: Client, alice: User, settings: Settings
    ) -> None:
        settings.ELEVENLABS_API_KEY = "key"
        assert "ElevenLabs" not in page_text(client)
        make_voice(alice, "voice")
        said = page_text(client)
        assert "ElevenLabs" in said
        assert "to clone it" not in said


@pytest.mark.django_db
class TestSchedule:
    def test_it_follows_the_settings(self, client: Client, settings: Settings) -> None:
        settings.RETENTION_DAYS, settings.RETENTION_NOTICE_DAYS, settings.CONVERSATION_AUDIO_DAYS = 200, 14, 45
        settings.ERASURE_COOLING_OFF_DAYS = 3
        said = page_text(client)
        for text in (
            "it has not spoken for 200 days; we tell you 14 days before",
            "45 days, or",
            "For 3 days, you can",
        ):
            assert text in said

    def test_switched_off_periods_are_not_mentioned(self, client: Client, settings: Settings) -> None:
        settings.RETENTION_DAYS = settings.ERASURE_COOLING_OFF_DAYS = 0
        said = page_text(client)
        assert "has not spoken for" not in said
        assert "to cancel the deletion" not in said

    def test_the_operator_is_named(self, client: Client, settings: Settings) -> None:
        assert "has not given a name or an address here" in page_text(client)
        settings.OPERATOR_NAME, settings.OPERATOR_EMAIL = "Example Ltd", "help@example.org"
        said = page_text(client)
        assert "run by Example Ltd" in said
        assert 'href="mailto:help@example.org"' in said


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/accounts/login/", "/accounts/signup/", "/nothing", "/privacy/", "/report/"])
def test_every_page_links_to_privacy_and_reports(client: Client, path: str) -> None:
    page = client.get(path).content.decode()
    assert f'href="{reverse("privacy")}"' in page
    assert f'href="{reverse("report")}"' in page


def test_pages_that_collect_data_have_a_second_link_to_privacy(client: Client, alice: User) -> None:
    assert client.get("/accounts/signup/").content.decode().count(reverse("privacy")) == 2
    client.force_login(alice)
    assert client.get(reverse("voices:consent")).content.decode().count(reverse("privacy")) == 2
    make_consent(alice)
    assert client.get(reverse("voices:list")).content.decode().count(reverse("privacy")) == 2
