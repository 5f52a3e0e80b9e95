"""Usage is counted exactly, answered by the API, and shown on a page."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.conversations.models import Conversation, Turn
from apps.usage import metering
from apps.usage.models import UsageDay, UsageRecord
from apps.voices.models import VoiceProfile
from tests.client import LONG_REPLY, Api, bearer
from tests.fakes.elevenlabs import SPEECH
from tests.fakes.openai import TRANSCRIPTIONS
from tests.fakes.provider import FakeProvider
from tests.voiceclone.test_settings import load_settings

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

PRICES = {
    "heard_minute": 0.6,
    "heard_live_minute": 1.2,
    "million_tokens_read": 1000.0,
    "million_tokens_written": 2000.0,
    "thousand_characters_spoken": 3.0,
}


def only_day() -> UsageDay:
    day = UsageDay.objects.get()
    assert day.day == timezone.now().astimezone(UTC).date()
    return day


def spoken_by(provider: FakeProvider) -> int:
    return sum(len(request.json["text"]) for request in provider.requests_to(SPEECH))


class TestTurns:
    def test_a_spoken_turn_counts_the_work_of_the_engines(
        self, alice_api: Api, conversation: Conversation, provider: FakeProvider, settings: Settings
    ) -> None:
        settings.PRICES = PRICES
        provider.behaviour.reply = LONG_REPLY
        turn = alice_api.ask(conversation).json()
        record = UsageRecord.objects.get()
        assert (record.kind, str(record.reference)) == ("turn", turn["id"])
        assert record.heard_ms == round(turn["question_seconds"] * 1000)
        assert record.spoken_characters == spoken_by(provider)
        assert record.tokens_written == -(-len(LONG_REPLY) // 4)
        assert record.tokens_read > 10
        cost = 0.6 * turn["question_seconds"] / 60 + 3 * record.spoken_characters / 1000
        cost += (1000 * record.tokens_read + 2000 * record.tokens_written) / 1_000_000
        assert record.cost_micros / 1_000_000 == pytest.approx(cost, abs=1e-4)
        day = only_day()
        for name in ("heard_ms", "spoken_characters", "tokens_read", "tokens_written", "cost_micros"):
            assert getattr(day, name) == getattr(record, name)
        assert (day.requests, day.running) == (1, 0)

    def test_a_typed_turn_counts_no_heard_seconds(self, alice_api: Api, conversation: Conversation) -> None:
        alice_api.ask(conversation, text="Who are you?")
        assert only_day().heard_ms == 0
        assert only_day().spoken_characters > 0

    def test_a_failed_turn_counts_its_paid_stages_and_its_retry_the_others(
        self, alice_api: Api, conversation: Conversation, provider: FakeProvider
    ) -> None:
        provider.fail_next(SPEECH, status=400)
        turn = alice_api.ask(conversation).json()
        assert turn["status"] == "failed"
        heard = only_day().heard_ms
        assert heard > 0
        assert alice_api.post(f"/api/v1/turns/{turn['id']}/retry").json()["status"] == "spoken"
        assert only_day().heard_ms == heard
        assert only_day().requests == 2
        assert UsageRecord.objects.filter(reference=turn["id"]).count() == 2

    def test_the_embedded_engines_cost_nothing(self) -> None:
        used = metering.Used()
        used.hear(60, engine="local")
        used.read(400, engine="local")
        used.write(40, engine="local")
        used.speak(100, engine="local")
        assert (used.heard_ms, used.tokens_read, used.tokens_written, used.spoken_characters) == (60_000, 100, 10, 100)
        assert used.cost == 0

    @pytest.mark.parametrize(("priced", "other"), [("elevenlabs", "server"), ("server", "elevenlabs")])
    def test_the_price_of_speech_is_that_of_the_site_s_engine(
        self, priced: str, other: str, settings: Settings
    ) -> None:
        settings.TEXT_TO_SPEECH = priced
        settings.PRICES = {**dict.fromkeys(PRICES), "thousand_characters_spoken": 3.0}
        used = metering.Used()
        used.speak(1000, engine=priced)
        used.speak(1000, engine=other)
        assert used.cost == pytest.approx(3.0)

    def test_other_users_are_not_charged(self, alice_api: Api, conversation: Conversation, bob: User) -> None:
        alice_api.ask(conversation, text="Hello?")
        assert not UsageDay.objects.for_user(bob).exists()


class TestVoices:
    def test_a_preview_counts_its_characters(self, alice_api: Api, voice: VoiceProfile) -> None:
        alice_api.post(f"/api/v1/voices/{voice.pk}/preview", json={"text": "Hello there."})
        record = UsageRecord.objects.get()
        assert (record.kind, record.reference, record.spoken_characters) == ("speech", voice.pk, 12)

    @pytest.mark.usefixtures("consent")
    def test_cloning_is_a_request(self, alice_api: Api) -> None:
        alice_api.clone_voice()
        record = UsageRecord.objects.get()
        assert (record.kind, record.reference) == ("clone", VoiceProfile.objects.get().pk)
        assert only_day().requests == 1


class TestApi:
    def test_it_answers_the_last_thirty_days_and_what_is_left(
        self, alice_api: Api, alice: User, settings: Settings
    ) -> None:
        settings.LIMITS = True
        settings.LIMIT_REQUESTS_PER_DAY = 10
        settings.LIMIT_HEARD_SECONDS_PER_DAY = 0
        settings.LIMIT_SPOKEN_CHARACTERS_PER_DAY = 100
        today = timezone.now().astimezone(UTC).date()
        counts = {"heard_ms": 1500, "tokens_read": 7, "tokens_written": 3, "cost_micros": 2_500_000}
        UsageDay.objects.create(owner=alice, day=today, requests=4, spoken_characters=120, **counts)
        UsageDay.objects.create(owner=alice, day=today - timedelta(days=29), requests=2)
        UsageDay.objects.create(owner=alice, day=today - timedelta(days=30), requests=1)
        answer = alice_api.get("/api/v1/usage")
        body = answer.json()
        assert body["today"] == {
            "day": today.isoformat(),
            "requests": 4,
            "heard_seconds": 1.5,
            "spoken_characters": 120,
            "tokens_read": 7,
            "tokens_written": 3,
            "cost_usd": 2.5,
        }
        assert body["limits"] == [
            {"name": "requests", "limit": 10, "used": 4, "left": 6},
            {"name": "characters", "limit": 100, "used": 120, "left": 0},
        ]
        assert [day["requests"] for day in body["days"]] == [2] + [0] * 28 + [4]
        assert answer.headers["RateLimit"].startswith('"requests";r=6;t=')

    def test_it_answers_the_usage_of_a_turn(self, alice_api: Api, bob_api: Api, conversation: Conversation) -> None:
        alice_api.ask(conversation, text="Hello?")
        alice_api.ask(conversation, text="Hello again?")
        turn = Turn.objects.first()
        assert turn is not None
        (record,) = alice_api.get(f"/api/v1/usage/records?reference={turn.pk}").json()["results"]
        assert (record["kind"], record["reference"]) == ("turn", str(turn.pk))
        assert len(alice_api.get("/api/v1/usage/records").json()["results"]) == 2
        assert bob_api.get(f"/api/v1/usage/records?reference={turn.pk}").json()["results"] == []
        assert alice_api.get("/api/v1/usage/records?reference=x").status_code == 400


class TestPage:
    @pytest.fixture
    def signed_in(self, client: Client, alice: User) -> Client:
        client.force_login(alice)
        return client

    def test_it_shows_a_chart_and_the_same_as_a_table(self, signed_in: Client, alice: User) -> None:
        today = timezone.now().astimezone(UTC).date()
        UsageDay.objects.create(owner=alice, day=today, requests=1234, heard_ms=90_000, cost_micros=1_500_000)
        page = signed_in.get(reverse("usage:usage"))
        html = page.content.decode()
        chart = html.partition('<figure class="chart">')[2].partition("</figure>")[0]
        assert chart.count("<rect") == 30
        assert "1234" in chart
        assert html.count("<tr") == 2
        assert "style=" not in html.partition("<main")[2]

    def test_it_is_there_without_any_usage(self, signed_in: Client) -> None:
        page = signed_in.get(reverse("usage:usage"))
        assert page.status_code == 200

    @pytest.mark.parametrize("measure", ["requests", "seconds", "characters", "cost"])
    def test_each_measure_has_its_chart(self, signed_in: Client, alice: User, measure: str) -> None:
        today = timezone.now().astimezone(UTC).date()
        UsageDay.objects.create(owner=alice, day=today, requests=3, heard_ms=1, spoken_characters=9, cost_micros=5)
        page = signed_in.get(reverse("usage:usage"), {"show": measure})
        assert page.context["measure"].name == measure

    def test_an_unknown_measure_falls_back_to_the_first(self, signed_in: Client) -> None:
        assert signed_in.get(reverse("usage:usage"), {"show": "x"}).context["measure"].name == "requests"


def test_speech_is_counted_even_if_its_transcription_fails(
    alice_api: Api, conversation: Conversation, provider: FakeProvider
) -> None:
    provider.fail_next(TRANSCRIPTIONS, status=400)
    alice_api.ask(conversation)
    assert only_day().heard_ms > 0


def test_prices_of_the_environment_are_checked(monkeypatch: Any) -> None:
    assert load_settings(monkeypatch, PRICES='{"heard_minute": 1}')["PRICES"]["heard_minute"] == 1
    for wrong in ("1", "{", '{"minute": 1}', '{"heard_minute": -1}', '{"heard_minute": "x"}', '{"heard_minute": NaN}'):
        with pytest.raises(Exception, match="PRICES must be"):
            load_settings(monkeypatch, PRICES=wrong)


class TestPrices:
    """A model without a known price has none."""

    def test_list_prices_apply_only_to_listed_models(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert load_settings(monkeypatch)["PRICES"] == {
            "heard_minute": 0.0045,
            "heard_live_minute": None,
            "million_tokens_read": 0.1,
            "million_tokens_written": 0.5,
            "thousand_characters_spoken": 0.05,
        }
        others = {
            "OPENAI_STT_MODEL": "whisper-2",
            "OPENAI_CHAT_MODELS": "gpt-6-sol",
            "ELEVENLABS_TTS_MODEL": "eleven_v9",
            "LIVE_STT_MODEL": "ears-9",
        }
        assert set(load_settings(monkeypatch, **others)["PRICES"].values()) == {None}

    def test_list_prices_do_not_apply_to_other_servers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        prices = load_settings(monkeypatch, OPENAI_BASE_URL="http://gateway.example.org/v1")["PRICES"]
        assert [name for name, price in prices.items() if price is not None] == ["thousand_characters_spoken"]

    def test_a_stage_at_another_server_has_no_list_price(self, monkeypatch: pytest.MonkeyPatch) -> None:
        prices = load_settings(monkeypatch, CHAT_BASE_URL="http://127.0.0.1:11434/v1")["PRICES"]
        known = [name for name, price in prices.items() if price is not None]
        assert known == ["heard_minute", "thousand_characters_spoken"]

    def test_hearing_while_it_is_spoken_has_its_own_price(
        self, monkeypatch: pytest.MonkeyPatch, settings: Settings
    ) -> None:
        prices = load_settings(monkeypatch, ELEVENLABS_API_KEY="key")["PRICES"]
        assert prices["heard_live_minute"] == pytest.approx(0.39 / 60)
        prices = load_settings(monkeypatch, ELEVENLABS_API_KEY="", OPENAI_API_KEY="key")["PRICES"]
        assert prices["heard_live_minute"] == 0.017
        settings.PRICES = PRICES
        used = metering.Used()
        used.hear(60, engine="elevenlabs-live")
        used.hear(60, engine="openai-live")
        used.hear(60, engine="openai")
        assert used.cost == pytest.approx(1.2 + 1.2 + 0.6)
        settings.LIVE_SPEECH_TO_TEXT = "openai"
        settings.PRICES = dict.fromkeys(PRICES)
        assert "heard_live_minute" in metering.unpriced()

    def test_usage_without_a_price_is_named_and_left_out(
        self, client: Client, alice: User, alice_token: str, remote_engines: FakeProvider, settings: Settings
    ) -> None:
        settings.PRICES = {**dict.fromkeys(PRICES), "heard_minute": 0.6}
        used = metering.Used()
        used.hear(60, engine="openai")
        used.speak(1000, engine="elevenlabs")
        assert used.cost == pytest.approx(0.6)
        unpriced = client.get(reverse("api:usage"), headers=bearer(alice_token)).json()["unpriced"]
        assert unpriced == [name for name in PRICES if name != "heard_minute"]
        client.force_login(alice)
        page = client.get(reverse("usage:usage")).content.decode()
        assert "speech heard live, tokens read, tokens written, characters spoken." in page
        settings.PRICES = dict.fromkeys(PRICES)
        assert "no price set" in client.get(reverse("usage:usage")).content.decode()

    def test_the_embedded_engines_need_no_price(self, client: Client, alice_token: str, settings: Settings) -> None:
        settings.PRICES = dict.fromkeys(PRICES)
        assert client.get(reverse("api:usage"), headers=bearer(alice_token)).json()["unpriced"] == []
