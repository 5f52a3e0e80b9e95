"""The figures of the front page of the admin, and of `manage.py stats`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_tasks_db.models import DBTaskResult, get_date_max

from apps.conversations.models import Conversation, Turn
from apps.site import charts, figures, storage_use
from apps.speech import availability
from apps.speech.base import ProviderError
from apps.usage.models import UsageRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User

NOW = datetime(2026, 3, 20, 15, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def now() -> Iterator[None]:
    """It is three o'clock in the afternoon, and nothing was computed before."""
    cache.clear()
    with time_machine.travel(NOW, tick=False):
        yield
    cache.clear()


@pytest.fixture
def turns(alice: User) -> None:
    """100 turns today, of which five failed; ten yesterday; one of 31 days ago."""
    conversation = Conversation.objects.create(owner=alice)
    values: list[dict[str, Any]] = [{"first_audio_ms": 10 * number} for number in range(1, 96)]
    values += [failed("think", "provider_timeout")] * 3 + [failed("speak", "provider_unavailable")] * 2
    values += [{"created_at": NOW - timedelta(days=1), "status": Turn.Status.INTERRUPTED}] * 10
    values += [{"created_at": NOW - timedelta(days=31)}]
    defaults = {"owner": alice, "conversation": conversation, "status": Turn.Status.SPOKEN, "created_at": NOW}
    made = Turn.objects.bulk_create(Turn(**defaults | each) for each in values)
    for turn in made:
        spend(alice, UsageRecord.Kind.TURN, 20_000, turn.created_at)
    spend(alice, UsageRecord.Kind.CLONE, 1_000_000, NOW)


def failed(stage: str, code: str) -> dict[str, str]:
    return {"status": Turn.Status.FAILED, "failed_stage": stage, "error_code": code}


def spend(owner: User, kind: str, micros: int, at: datetime) -> None:
    record = UsageRecord.objects.create(owner=owner, kind=kind, cost_micros=micros)
    UsageRecord.objects.filter(pk=record.pk).update(created_at=at)


@pytest.mark.usefixtures("turns")
class TestFigures:
    def test_they_count_turns_failures_waits_and_spend_by_day(self) -> None:
        period = figures.period()
        assert len(period.days) == 30
        *_older, yesterday, today = period.days
        assert (today.all_turns, today.answered, today.failed) == (100, 95, 5)
        assert (today.first_audio_p50, today.first_audio_p95) == (480, 910)
        assert today.dollars == {"turn": pytest.approx(2.0), "clone": pytest.approx(1.0)}
        assert (yesterday.all_turns, yesterday.interrupted, yesterday.answered) == (10, 10, 0)
        assert (yesterday.first_audio_p50, yesterday.first_audio_p95) == (None, None)
        assert period.turns == 110
        assert period.failures == [("think", "provider_timeout", 3), ("speak", "provider_unavailable", 2)]
        assert period.dollars == pytest.approx(3.2)

    def test_days_are_those_of_utc(self) -> None:
        Turn.objects.filter(status=Turn.Status.FAILED).update(created_at=NOW.replace(hour=0, minute=0))
        assert figures.period(1).today.failed == 5
        Turn.objects.filter(status=Turn.Status.FAILED).update(created_at=NOW.replace(hour=0) - timedelta(seconds=1))
        cache.clear()
        assert figures.period(1).today.failed == 0

    def test_a_day_that_is_over_is_not_read_again(self, django_assert_num_queries: Any) -> None:
        before = figures.period()
        with django_assert_num_queries(0):
            assert figures.period() == before
        Turn.objects.all().delete()
        with time_machine.travel(NOW + timedelta(seconds=31)), django_assert_num_queries(2):
            later = figures.period()
        assert (later.today.all_turns, later.days[-2].all_turns) == (0, 10)
        with time_machine.travel(NOW + timedelta(hours=2)):
            assert figures.period().days[-2].all_turns == 0

    def test_days_that_follow_one_another_are_read_at_once(self, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(2):
            whole = figures.period(40)
        cache.delete_many([figures._key(whole.days[at].day) for at in (8, 38, 39)])
        with django_assert_num_queries(4):
            assert figures.period(40) == whole
        assert [day.all_turns for day in whole.days if day.all_turns] == [1, 10, 100]

    @pytest.mark.parametrize(
        ("values", "expected"),
        [([], (None, None)), ([7], (7, 7)), ([1, 2], (1, 2)), (list(range(1, 101)), (50, 95))],
    )
    def test_a_percentile_is_a_value_that_occurred(
        self, values: list[int], expected: tuple[int | None, int | None]
    ) -> None:
        assert (figures.percentile(values, 50), figures.percentile(values, 95)) == expected


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads a table of few rows as a whole")
@pytest.mark.django_db
def test_the_figures_of_days_read_indexes_alone() -> None:
    with CaptureQueriesContext(connection) as queries:
        figures.period()
    with connection.cursor() as cursor:
        plans = [str(cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}").fetchall()) for query in queries]
    assert len(plans) == 2
    assert "COVERING INDEX turns_by_time" in plans[0]
    assert "COVERING INDEX usage_by_time" in plans[1]


@pytest.mark.django_db
def test_the_state_of_queues_and_services(remote_engines: object) -> None:
    old = {"enqueued_at": NOW - timedelta(hours=1), "run_after": get_date_max(), "backend_name": "default"}
    task = {"task_path": "a.b", "args_kwargs": {"args": [], "kwargs": {}}, "exception_class_path": "", "traceback": ""}
    for status, name in [("READY", "urgent"), ("FAILED", "default")]:
        row = DBTaskResult.objects.create(status=status, queue_name=name, worker_ids=[], **task, **old)
        DBTaskResult.objects.filter(pk=row.pk).update(**old)
    background = figures.background()
    assert (background.waiting["urgent"], background.failed, background.is_behind) == (1, 1, True)
    assert all(breaker.is_closed for breaker in figures.breakers())
    for _attempt in range(5):
        with pytest.raises(ProviderError), availability.breakers_of("openai")["think"].guarding():
            raise ProviderError("provider_unreachable", stage="think", retryable=True, is_outage=True)
    assert [(each.engine, each.stage) for each in figures.breakers() if not each.is_closed] == [("openai", "think")]


@pytest.mark.django_db
class TestStorage:
    @pytest.fixture(autouse=True)
    def files(self, settings: Settings) -> None:
        for name in ("answers/1/a.flac", "answers/2/b.flac", "samples/1/c.flac"):
            path = Path(settings.MEDIA_ROOT) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(1000))

    def test_it_is_that_of_all_files(self) -> None:
        use = storage_use.measure()
        assert use.folders == {"answers": 2000, "samples": 1000}
        assert (use.recordings, use.is_complete) == (3000, True)
        assert use.database > 10_000
        assert 0 < use.disk_free <= use.disk_total

    def test_without_time_it_says_that_there_are_more(self) -> None:
        use = storage_use.measure(seconds=0)
        assert not use.is_complete
        assert use.recordings == 1000


@pytest.mark.usefixtures("turns")
class TestFrontPage:
    def test_it_shows_the_figures_with_a_table_for_each_chart(self, admin_client: Client, settings: Settings) -> None:
        settings.CHAT_MODELS = ["gpt-4.1"]
        page = admin_client.get(reverse("admin:index")).content.decode()
        for shown in ("110 in all days", "0.48 s", "p95 0.91 s", "$3.20", "gpt-4.1", "2027-01-14", "provider_timeout"):
            assert shown in page, shown
        assert page.count('role="img"') == page.count("<details>") == 3
        table = re.search(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
        assert table
        assert re.findall(r">([^<>]+)</t[hd]>", table[1])[:10] == [
            *("Mar 20", "95", "0", "5", "100"),
            *("Mar 19", "0", "10", "0", "10"),
        ]
        assert "style=" not in page.split('id="content-main"')[0].split('class="figures"')[1]

    def test_a_failure_leads_to_its_turns(self, admin_client: Client) -> None:
        page = admin_client.get(reverse("admin:index")).content.decode()
        address = next(link for link in re.findall(r'href="([^"]+)"', page) if "provider_timeout" in link)
        found = admin_client.get(address.replace("&amp;", "&"))
        assert {turn.error_code for turn in found.context["cl"].result_list} == {"provider_timeout"}
        assert found.context["cl"].result_count == 3

    def test_it_takes_few_queries(self, admin_client: Client, django_assert_max_num_queries: Any) -> None:
        admin_client.get(reverse("admin:index"))
        with django_assert_max_num_queries(11):
            admin_client.get(reverse("admin:index"))


def test_an_empty_site_has_a_front_page(admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:index")).content.decode()
    assert "No turn had sound." in page
    assert "No turn failed." in page


def test_a_day_without_sound_is_a_gap_in_the_line() -> None:
    assert charts._path([50, 100, None, 25], 100) == "M0.5 50.00h0.01L1.5 0.00M3.5 75.00h0.01"


class TestStats:
    def run(self, *options: str) -> str:
        output = StringIO()
        call_command("stats", *options, stdout=output)
        return output.getvalue()

    @pytest.mark.usefixtures("turns")
    def test_it_prints_tables(self) -> None:
        printed = self.run("--days", "2")
        assert re.search(r"2026-03-20 +100 +5 +0 +0\.48 s +0\.91 s +\$3\.00", printed)
        assert re.search(r"think +provider_timeout +3\n", printed)
        assert "urgent" in printed

    @pytest.mark.usefixtures("turns")
    def test_it_prints_json(self) -> None:
        answer = json.loads(self.run("--days=2", "--json"))
        assert answer["days"][1] == {
            "day": "2026-03-20",
            "turns": 100,
            "failed": 5,
            "interrupted": 0,
            "first_audio_p50_ms": 480,
            "first_audio_p95_ms": 910,
            "dollars": 3.0,
        }
        assert answer["failures"][0] == {"stage": "think", "code": "provider_timeout", "turns": 3}
        assert answer["background"]["waiting"]["urgent"] == 0
        assert answer["storage_bytes"]["database"] > 0

    @pytest.mark.django_db
    @pytest.mark.parametrize("days", ["0", "367"])
    def test_a_number_of_days_out_of_range_is_an_error(self, days: str) -> None:
        with pytest.raises(CommandError, match="from 1 to 366"):
            self.run("--days", days)
