"""While a service is down, requests are refused at once and without cost, and pages explain what still works."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apps.conversations.models import Conversation, Turn
from apps.speech import availability
from apps.usage.models import UsageRecord
from apps.voices.models import Consent, VoiceProfile
from tests.client import QUESTION, Api, error_of
from tests.conftest import Server, remote_settings, serve
from tests.fakes.elevenlabs import SPEECH, VOICES_ADD
from tests.fakes.openai import CHAT, TRANSCRIPTIONS
from tests.fakes.provider import FakeProvider
from tests.outages import switch_off

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User
    from apps.speech.base import Stage

MANY = 1000


def test_after_repeated_failures_a_turn_is_refused_before_any_paid_call(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.fail_next(SPEECH, status=500, headers={"retry-after": "0"}, times=MANY)
    while availability.is_working("speak"):
        assert alice_api.ask(conversation, text="Hello?").json()["status"] == "failed"
    calls, turns = len(provider.requests), Turn.objects.count()
    refused = alice_api.ask(conversation)
    assert refused.status_code == 503
    assert error_of(refused)["code"] == "provider_unavailable"
    assert 0 < int(refused.headers["Retry-After"]) <= 30
    assert (len(provider.requests), Turn.objects.count()) == (calls, turns)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 429])
def test_refusals_of_the_provider_do_not_open_the_breaker(
    alice_api: Api, provider: FakeProvider, conversation: Conversation, status: int
) -> None:
    provider.fail_next(CHAT, status=status, headers={"retry-after": "0"}, times=MANY)
    for _ in range(7):
        alice_api.ask(conversation, text="Hello?")
    assert availability.is_working("think")


@pytest.mark.parametrize(("engine", "stage"), [("openai", "hear"), ("openai", "think"), ("elevenlabs", "speak")])
def test_a_stream_is_refused_as_json_before_it_begins(
    alice_api: Api, provider: FakeProvider, conversation: Conversation, engine: str, stage: Stage
) -> None:
    switch_off(engine, stage)
    refused = alice_api.ask(conversation, headers={"Accept": "text/event-stream"})
    assert (refused.status_code, error_of(refused)["code"]) == (503, "provider_unavailable")
    assert not provider.requests


def test_a_typed_question_needs_no_transcription(alice_api: Api, conversation: Conversation) -> None:
    switch_off("openai", "hear")
    assert alice_api.ask(conversation, text="Hello?").json()["status"] == "spoken"


def test_a_retry_needs_only_the_services_of_its_remaining_stages(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.fail_next(SPEECH, status=401)
    turn = alice_api.ask(conversation).json()
    for stage in ("hear", "think"):
        switch_off("openai", stage)
    switch_off("elevenlabs", "speak")
    assert alice_api.post(f"/api/v1/turns/{turn['id']}/retry").status_code == 503
    availability.breakers_of("elevenlabs").close()
    assert alice_api.post(f"/api/v1/turns/{turn['id']}/retry").json()["status"] == "spoken"


def test_all_other_endpoints_refuse_too(alice_api: Api, provider: FakeProvider, voice: VoiceProfile) -> None:
    switch_off("openai", "hear")
    switch_off("elevenlabs", "speak")
    switch_off("elevenlabs", "clone")
    answers = [
        alice_api.full_interaction(voice.voice_id),
        alice_api.post("/api/v1/transcriptions", files={"audio": ("q.wav", QUESTION)}),
        alice_api.post("/api/v1/speech", json={"text": "Hello.", "voice": voice.voice_id}),
        alice_api.post(f"/api/v1/voices/{voice.pk}/preview", json={"text": "Hello."}),
        alice_api.clone_voice(),
    ]
    for answer in answers:
        assert answer.status_code == 503, answer.text
        assert error_of(answer)["code"] == "provider_unavailable"
        assert int(answer.headers["Retry-After"])
    assert not provider.requests
    assert VoiceProfile.objects.count() == 1


def test_a_successful_call_closes_the_breaker(alice_api: Api, conversation: Conversation) -> None:
    switch_off("openai", "think")
    availability.breakers_of("openai")["think"]._open_until = 0
    assert alice_api.ask(conversation, text="Hello?").json()["status"] == "spoken"
    assert availability.breakers_of("openai")["think"].state == "closed"


def test_repeated_failures_of_cloning_open_only_its_breaker(
    alice_api: Api, provider: FakeProvider, consent: Consent
) -> None:
    provider.fail_next(VOICES_ADD, status=500, times=MANY)
    while availability.is_working("clone"):
        alice_api.clone_voice()
    assert availability.is_working("speak")


class TestPages:
    @pytest.fixture
    def page(self, client: Client, alice: User, remote_engines: FakeProvider) -> Client:
        client.force_login(alice)
        return client

    @pytest.mark.parametrize(
        ("engine", "stage", "words"),
        [
            ("openai", "think", "Answers cannot be made"),
            ("elevenlabs", "speak", "Answers cannot be made"),
            ("openai", "hear", "Type your question"),
            ("elevenlabs", "clone", "Your existing voices still work"),
        ],
    )
    def test_they_explain_the_outage_and_what_still_works(
        self, page: Client, engine: str, stage: Stage, words: str
    ) -> None:
        switch_off(engine, stage)
        for path in ("/talk/", "/voices/", "/history/"):
            assert words in page.get(path).content.decode()

    def test_they_have_no_notice_without_an_outage(self, page: Client) -> None:
        assert "outage" not in page.get("/talk/").content.decode()

    def test_people_who_are_not_signed_in_see_no_notice(self, client: Client, remote_engines: FakeProvider) -> None:
        switch_off("openai", "think")
        assert "outage" not in client.get("/accounts/login/").content.decode()


def test_readiness_reports_an_outage_but_the_process_stays_ready(
    client: Client, db: None, remote_engines: object
) -> None:
    switch_off("openai", "hear")
    response = client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert response.json()["engines"] == {"clone": True, "hear": False, "think": True, "speak": True}


class TestSecondEngine:
    @pytest.fixture
    def two_engines(self, transactional_db: None, remote_engines: FakeProvider, settings: Settings) -> Iterator[Server]:
        """A server with OpenAI and, as its fallback, the embedded engines without their weights."""
        for name, value in remote_settings(remote_engines).items():
            setattr(settings, name, value)
        settings.SPEECH_TO_TEXT_FALLBACK = settings.LANGUAGE_MODEL_FALLBACK = "local"
        settings.MODELS_DIR = settings.BASE_DIR / "nowhere"
        with serve() as server:
            yield server

    def test_it_is_used_while_the_first_is_down(
        self, two_engines: Server, alice_token: str, conversation: Conversation, provider: FakeProvider
    ) -> None:
        switch_off("openai", "hear")
        with Api(two_engines.url, alice_token) as api:
            refused = api.ask(conversation)
        assert error_of(refused)["code"] == "models_missing"  # The embedded engine is asked.
        assert not provider.requests_to(TRANSCRIPTIONS)
        assert not UsageRecord.objects.exists()

    def test_the_first_is_used_while_it_works(
        self, two_engines: Server, alice_token: str, conversation: Conversation
    ) -> None:
        with Api(two_engines.url, alice_token) as api:
            assert api.ask(conversation).json()["status"] == "spoken"
        assert UsageRecord.objects.get().cost_micros > 0
