"""Limits per person and day, and on parallel requests."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from apps.accounts.models import User
from apps.conversations.models import Conversation, Turn
from apps.core.errors import UserError
from apps.usage import metering
from apps.usage.limits import midnight_after
from apps.usage.models import UsageDay, UsageRecord
from apps.voices.models import VoiceProfile
from tests.client import NOWHERE, QUESTION, SAMPLES, Api, error_of, wait_until
from tests.factories import make_voice
from tests.fakes.openai import CHAT
from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    from pytest_django import Settings


EVENTS = {"Accept": "text/event-stream"}


@pytest.fixture(autouse=True)
def limits(settings: Settings) -> Settings:
    """Switch all limits off; each test sets its own."""
    settings.LIMITS = True
    settings.LIMIT_REQUESTS_PER_DAY = 0
    settings.LIMIT_HEARD_SECONDS_PER_DAY = 0
    settings.LIMIT_SPOKEN_CHARACTERS_PER_DAY = 0
    settings.LIMIT_CONCURRENT_REQUESTS = 0
    return settings


def use_today(owner: User, **counts: Any) -> UsageDay:
    day, _created = UsageDay.objects.update_or_create(
        owner=owner, day=timezone.now().astimezone(UTC).date(), defaults=counts
    )
    return day


def counts_of_today() -> tuple[int, ...]:
    """Return requests, running requests, reserved heard ms and characters, and used heard ms and characters."""
    today = UsageDay.objects.get()
    reserved = (today.reserved_heard_ms, today.reserved_characters)
    return (today.requests, today.running, *reserved, today.heard_ms, today.spoken_characters)


def reserve_in_parallel(owner: User, count: int, **wanted: Any) -> int:
    """Reserve `count` times in parallel, and return how many succeeded."""

    def reserve(_number: int) -> bool:
        try:
            metering.reserve(owner_id=owner.pk, **wanted)
        except UserError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(count) as threads:
        return sum(threads.map(reserve, range(count)))


@pytest.mark.django_db(transaction=True)
class TestMany:
    """Twenty parallel requests with room for only some of them."""

    def test_with_one_request_left_one_succeeds(self, alice: User, limits: Settings) -> None:
        limits.LIMIT_REQUESTS_PER_DAY = 10
        use_today(alice, requests=9)
        assert reserve_in_parallel(alice, 20) == 1
        assert UsageDay.objects.get().requests == 10

    def test_it_is_exact_on_a_day_without_a_row_too(self, alice: User, limits: Settings) -> None:
        limits.LIMIT_REQUESTS_PER_DAY = 3
        assert reserve_in_parallel(alice, 20) == 3

    def test_with_one_second_left_one_is_heard(self, alice: User, limits: Settings) -> None:
        limits.LIMIT_HEARD_SECONDS_PER_DAY = 60
        use_today(alice, heard_ms=59_000)
        assert reserve_in_parallel(alice, 20, heard_seconds=5) == 1

    def test_with_one_character_left_one_is_spoken(self, alice: User, limits: Settings) -> None:
        limits.LIMIT_SPOKEN_CHARACTERS_PER_DAY = 1000
        use_today(alice, spoken_characters=999)
        assert reserve_in_parallel(alice, 20, characters=1600) == 1

    def test_the_limit_of_parallel_requests_is_exact(self, alice: User, limits: Settings) -> None:
        limits.LIMIT_CONCURRENT_REQUESTS = 4
        assert reserve_in_parallel(alice, 20) == 4

    def test_over_http_one_is_answered_and_the_others_reach_no_provider(
        self, alice_api: Api, alice_token: str, alice: User, conversation: Conversation, provider: FakeProvider,
        limits: Settings,
    ) -> None:  # fmt: skip
        limits.LIMIT_REQUESTS_PER_DAY = 10
        use_today(alice, requests=9)
        path = f"/api/v1/conversations/{conversation.pk}/turns"

        def ask(_number: int) -> int:
            with Api(alice_api.url, alice_token) as api:
                return api.post(path, json={"text": "Who are you?"}).status_code

        with ThreadPoolExecutor(20) as threads:
            statuses = sorted(threads.map(ask, range(20)))
        assert statuses == [201] + [429] * 19
        assert len(provider.requests_to(CHAT)) == 1
        assert Turn.objects.count() == 1


class TestHeaders:
    """Every request that counts answers with what is left."""

    LEFT = r'"requests";r=%d;t=\d+, "seconds";r=\d+;t=\d+, "characters";r=\d+;t=\d+'

    @pytest.fixture(autouse=True)
    def some_limits(self, limits: Settings) -> None:
        limits.LIMIT_REQUESTS_PER_DAY = 3
        limits.LIMIT_HEARD_SECONDS_PER_DAY = 3600
        limits.LIMIT_SPOKEN_CHARACTERS_PER_DAY = 100_000

    @pytest.fixture
    def failed(self, conversation: Conversation, provider: FakeProvider) -> dict[str, Any]:
        """The rows in the paths: a voice, a conversation, a failed turn and a failed voice."""
        owner, voice = conversation.owner, conversation.voice
        turn = Turn.objects.create(
            owner=owner, conversation=conversation, voice=voice, status="failed", transcript="Hello?", reply="Hello."
        )
        voice_pk = make_voice(owner, "", status=VoiceProfile.Status.FAILED).pk
        return {"voice": voice, "conversation": conversation.pk, "turn": turn.pk, "failed": voice_pk}

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/clone-voice", {"data": {"voice_name": "Jane"}, "files": [("audio_file", data) for data in SAMPLES]}),
            ("/api/v1/voices", {"data": {"name": "Jane"}, "files": [("audio", data) for data in SAMPLES]}),
            ("/api/v1/voices/{failed}/retry", {}),
            ("/api/v1/voices/{voice.pk}/preview", {"json": {"text": "Good morning."}}),
            ("/full-interaction", {"data": {"voice_id": "{voice.voice_id}"}, "files": {"audio_file": QUESTION}}),
            ("/api/v1/conversations/{conversation}/turns", {"json": {"text": "Hello?"}}),
            ("/api/v1/conversations/{conversation}/turns", {"files": {"audio": QUESTION}, "headers": EVENTS}),
            ("/api/v1/turns/{turn}/retry", {}),
            ("/api/v1/transcriptions", {"files": {"audio": QUESTION}}),
            ("/api/v1/speech", {"json": {"text": "Good morning.", "voice": "Jane"}}),
            ("/v1/audio/speech", {"json": {"input": "Good morning.", "voice": "Jane"}}),
            ("/v1/audio/transcriptions", {"files": {"file": QUESTION}}),
        ],
    )
    def test_they_are_on_answers_and_on_refusals(
        self, alice_api: Api, alice: User, failed: dict[str, Any], path: str, body: dict[str, Any]
    ) -> None:
        path = path.format(**failed)
        if "voice_id" in body.get("data", {}):
            body = {**body, "data": {"voice_id": failed["voice"].voice_id}}
        answer = alice_api.post(path, **body)
        assert answer.status_code in {200, 201}, answer.text
        assert answer.headers["RateLimit-Policy"].startswith('"requests";q=3;w=86400, "seconds";q=3600;w=86400, ')
        assert re.fullmatch(self.LEFT % 2, answer.headers["RateLimit"])
        use_today(alice, requests=3)
        refused = alice_api.post(path, **body)
        assert refused.status_code == 429
        assert re.fullmatch(self.LEFT % 0, refused.headers["RateLimit"])
        assert int(refused.headers["Retry-After"]) > 0

    def test_the_schema_describes_them(self) -> None:
        schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
        limited = {
            path
            for path, methods in schema["paths"].items()
            if "RateLimit" in methods.get("post", {}).get("responses", {}).get("429", {}).get("headers", {})
        }
        assert limited == {path for path, methods in schema["paths"].items() if takes_a_key(methods.get("post", {}))}


def takes_a_key(operation: dict[str, Any]) -> bool:
    """Whether an operation takes an idempotency key, because it costs money."""
    return "Idempotency-Key" in {parameter["name"] for parameter in operation.get("parameters", [])}


class TestRefusal:
    @pytest.fixture(autouse=True)
    def nothing_left(self, alice: User, limits: Settings) -> None:
        limits.LIMIT_REQUESTS_PER_DAY = 5
        use_today(alice, requests=5)

    def test_it_says_when_the_limit_resets(self, alice_api: Api, conversation: Conversation) -> None:
        refused = alice_api.ask(conversation)
        assert refused.status_code == 429
        error = error_of(refused)
        assert error["code"] == "limit_reached"
        assert re.search(r"limit of 5 requests\. .* in \d+ (hour|minute)s?.*, at midnight UTC", error["message"])
        seconds = (midnight_after(timezone.now()) - timezone.now()).total_seconds()
        assert int(refused.headers["Retry-After"]) == pytest.approx(seconds, abs=5)
        assert refused.headers["RateLimit-Policy"] == '"requests";q=5;w=86400'
        assert re.fullmatch(r'"requests";r=0;t=\d+', refused.headers["RateLimit"])

    @pytest.mark.usefixtures("consent")
    def test_every_request_that_needs_an_engine_is_refused(
        self, alice_api: Api, voice: VoiceProfile, conversation: Conversation, provider: FakeProvider
    ) -> None:
        failed = Turn.objects.create(owner=voice.owner, conversation=conversation, voice=voice, status="failed")
        answers = [
            alice_api.ask(conversation),
            alice_api.ask(conversation, text="Hello?", headers={"Accept": "text/event-stream"}),
            alice_api.full_interaction(voice.voice_id),
            alice_api.post(f"/api/v1/turns/{failed.pk}/retry"),
            alice_api.post(f"/api/v1/voices/{voice.pk}/preview", json={"text": "Hello."}),
            alice_api.clone_voice(),
        ]
        assert [answer.status_code for answer in answers] == [429] * len(answers)
        assert {error_of(answer)["code"] for answer in answers} == {"limit_reached"}
        assert not provider.requests
        assert (Turn.objects.count(), Conversation.objects.count(), VoiceProfile.objects.count()) == (1, 1, 1)
        failed.refresh_from_db()
        assert failed.status == "failed"

    def test_other_users_are_not_limited(self, bob: User) -> None:
        assert metering.reserve(owner_id=bob.pk).is_counted

    def test_the_limit_resets_the_next_day(self, alice: User) -> None:
        UsageDay.objects.update(day=timezone.now().astimezone(UTC).date() - timedelta(days=1))
        assert metering.reserve(owner_id=alice.pk).is_counted

    def test_the_setting_lifts_all_limits(self, alice: User, limits: Settings, django_assert_num_queries: Any) -> None:
        limits.LIMITS = False
        with django_assert_num_queries(0):
            assert not metering.reserve(owner_id=alice.pk).is_counted


@pytest.mark.parametrize(
    ("limit", "counts", "words"),
    [
        ("LIMIT_HEARD_SECONDS_PER_DAY", {"heard_ms": 7_000}, "limit of 7 seconds"),
        ("LIMIT_SPOKEN_CHARACTERS_PER_DAY", {"spoken_characters": 7}, "limit of 7 spoken characters"),
        ("LIMIT_CONCURRENT_REQUESTS", {"running": 7}, "7 requests running"),
    ],
)
def test_the_message_names_the_limit(
    alice: User, limits: Settings, limit: str, counts: dict[str, int], words: str
) -> None:
    setattr(limits, limit, 7)
    use_today(alice, **counts)
    with pytest.raises(UserError) as refusal:
        metering.reserve(owner_id=alice.pk)
    assert words in refusal.value.message
    assert int(refusal.value.headers["Retry-After"]) > 0


class TestReservation:
    def test_it_takes_one_query(self, alice: User, limits: Settings, django_assert_num_queries: Any) -> None:
        limits.LIMIT_REQUESTS_PER_DAY = 5
        for _day in ("new", "known"):
            with django_assert_num_queries(1):
                metering.reserve(owner_id=alice.pk, heard_seconds=3)

    def test_the_real_usage_replaces_it(self, alice: User, limits: Settings) -> None:
        limits.LIMIT_SPOKEN_CHARACTERS_PER_DAY = 1000
        reservation = metering.reserve(owner_id=alice.pk, heard_seconds=10, characters=1600)
        assert counts_of_today() == (1, 1, 10_000, 1600, 0, 0)
        used = metering.Used()
        used.speak(120, engine="elevenlabs")
        metering.settle(reservation, kind=UsageRecord.Kind.TURN, used=used)
        assert counts_of_today() == (1, 0, 0, 0, 0, 120)

    def test_releasing_it_removes_it(self, alice: User) -> None:
        metering.release(metering.reserve(owner_id=alice.pk, heard_seconds=10, characters=1600))
        assert counts_of_today() == (0, 0, 0, 0, 0, 0)

    @pytest.mark.parametrize(
        ("limit", "value"),
        [
            ("LIMIT_CONCURRENT_REQUESTS", 1),
            ("LIMIT_HEARD_SECONDS_PER_DAY", 10),
            ("LIMIT_SPOKEN_CHARACTERS_PER_DAY", 1600),
        ],
    )
    def test_the_reservation_of_a_killed_process_expires(
        self, alice: User, limits: Settings, limit: str, value: int
    ) -> None:
        setattr(limits, limit, value)
        metering.reserve(owner_id=alice.pk, heard_seconds=10, characters=1600)
        with pytest.raises(UserError):
            metering.reserve(owner_id=alice.pk)
        UsageDay.objects.update(last_request_at=timezone.now() - metering.RESERVATION_LIFETIME)
        metering.reserve(owner_id=alice.pk, characters=7)
        assert counts_of_today() == (2, 1, 0, 7, 0, 0)

    def test_settling_an_expired_reservation_leaves_no_negative_counts(self, alice: User) -> None:
        reservation = metering.reserve(owner_id=alice.pk, heard_seconds=10, characters=1600)
        UsageDay.objects.update(running=0, reserved_heard_ms=0, reserved_characters=0)
        metering.settle(reservation, kind=UsageRecord.Kind.TURN, used=metering.Used())
        assert counts_of_today() == (1, 0, 0, 0, 0, 0)

    def test_nothing_runs_after_the_turn(self, alice_api: Api, conversation: Conversation, limits: Settings) -> None:
        limits.LIMIT_CONCURRENT_REQUESTS = 1
        limits.LIMIT_REQUESTS_PER_DAY = 9
        for left in (8, 7):
            answer = alice_api.ask(conversation)
            assert answer.status_code == 201
            assert answer.headers["RateLimit"].startswith(f'"requests";r={left};t=')
        assert UsageDay.objects.get().running == 0

    def test_nothing_runs_after_a_failed_turn(
        self, alice_api: Api, conversation: Conversation, limits: Settings
    ) -> None:
        limits.LIMIT_CONCURRENT_REQUESTS = 1
        limits.STT_BASE_URL = limits.CHAT_BASE_URL = NOWHERE
        assert alice_api.full_interaction(conversation.voice.voice_id).status_code in {200, 503}  # type: ignore[union-attr] # it has one
        wait_until(lambda: UsageDay.objects.get().running == 0)

    def test_nothing_runs_after_the_client_disconnects(
        self, alice_api: Api, conversation: Conversation, provider: FakeProvider, limits: Settings
    ) -> None:
        limits.LIMIT_CONCURRENT_REQUESTS = 1
        provider.delay(CHAT, 30)
        path = f"/api/v1/conversations/{conversation.pk}/turns"
        options: Any = {"headers": {"Accept": "text/event-stream"}, "files": {"audio": ("q.wav", QUESTION)}}
        with alice_api.post(path, stream=True, **options) as response:
            next(iter(response.raw))
            assert UsageDay.objects.get().running == 1
        wait_until(lambda: UsageDay.objects.get().running == 0)
