"""Lists and searches with many rows: how many queries they take, what they leave out, and that indexes serve them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from apps.conversations import services
from apps.conversations.models import Conversation, Turn
from apps.conversations.search import MAX_CHARACTERS, MAX_WORDS, words_of
from apps.core.paging import PagesByKey
from apps.usage.models import UsageRecord
from apps.webhooks.models import WebhookDelivery
from tests.client import bearer
from tests.factories import make_turn
from tests.storage import stored_files
from tests.worker import work

if TYPE_CHECKING:
    from django.test import Client

    from apps.accounts.models import User
    from tests.client import Page

QUIET = {"question": "", "answer": ""}


def conversations_of(owner: User, count: int) -> list[Conversation]:
    """Return conversations of three turns each, which say “harbour” and the number of the conversation."""
    made = [Conversation.objects.create(owner=owner, title=f"Number {number}") for number in range(count)]
    for number, conversation in enumerate(made):
        for _turn in range(3):
            make_turn(conversation, reply=f"The harbour of island{number:03}.", **QUIET)
    return made


def turns_of(conversation: Conversation, count: int) -> list[Turn]:
    """Return turns, one minute apart, the first one first."""
    begun = timezone.now() - timedelta(days=1)
    turns = [
        Turn(
            owner=conversation.owner,
            conversation=conversation,
            status=Turn.Status.SPOKEN,
            transcript=f"Question {number}",
            created_at=begun + timedelta(minutes=number),
        )
        for number in range(count)
    ]
    return Turn.objects.bulk_create(turns)


class TestHistory:
    @pytest.mark.parametrize(("search", "queries"), [("", 6), ("harbour", 5), ("harbour island", 5)])
    def test_a_page_takes_few_queries_and_counts_the_turns_on_it(
        self, client: Client, alice: User, search: str, queries: int, django_assert_num_queries: Any
    ) -> None:
        conversations_of(alice, 25)
        client.force_login(alice)
        with django_assert_num_queries(queries):
            response = client.get(reverse("conversations:history"), {"q": search, "page": "2"})
        shown = list(response.context["page_obj"])
        assert [row.name for row in shown] == [f"Number {number}" for number in (4, 3, 2, 1, 0)]
        assert {row.turn_count for row in shown} == {3}

    def test_the_first_page_takes_one_query_more_for_the_pinned_ones(
        self, client: Client, alice: User, django_assert_num_queries: Any
    ) -> None:
        for conversation in conversations_of(alice, 25)[:3]:
            services.pin_conversation(conversation=conversation, pinned=True)
        client.force_login(alice)
        with django_assert_num_queries(7):
            response = client.get(reverse("conversations:history"))
        assert [row.name for row in response.context["pinned"]] == ["Number 2", "Number 1", "Number 0"]
        assert [row.name for row in response.context["page_obj"]][:2] == ["Number 24", "Number 23"]

    def test_more_words_than_eight_are_not_looked_for(self, client: Client, alice: User) -> None:
        conversations_of(alice, 1)
        client.force_login(alice)
        history = reverse("conversations:history")
        for words, found in [("harbour " * MAX_WORDS + "nowhere", 1), ("harbour " * (MAX_WORDS - 1) + "nowhere", 0)]:
            assert len(client.get(history, {"q": words}).context["page_obj"].object_list) == found

    def test_only_the_beginning_of_a_long_search_is_looked_for(self) -> None:
        assert words_of("x" * 1000) == ["x" * MAX_CHARACTERS]

    def test_a_character_that_postgresql_refuses_is_a_space(self) -> None:
        assert words_of("marma\0lade") == ["marma", "lade"]


class TestTurnPages:
    @pytest.fixture
    def get(self, client: Client, alice_token: str) -> Any:
        def get(address: str) -> Page:
            return client.get(address, headers=bearer(alice_token))

        return get

    def test_a_conversation_shows_its_latest_turns_and_leads_to_the_earlier_ones(
        self, get: Any, conversation: Conversation
    ) -> None:
        turns = turns_of(conversation, 450)
        body = get(f"/api/v1/conversations/{conversation.pk}").json()
        assert [turn["id"] for turn in body["turns"]] == [str(turn.pk) for turn in turns[250:]]
        earlier = get(body["next"]).json()
        earliest = get(earlier["next"]).json()
        ids = [turn["id"] for turn in earlier["results"] + earliest["results"]]
        assert ids == [str(turn.pk) for turn in reversed(turns[:250])]
        assert earliest["next"] is None

    def test_a_short_conversation_has_no_earlier_turns(self, get: Any, conversation: Conversation) -> None:
        turns_of(conversation, 3)
        assert get(f"/api/v1/conversations/{conversation.pk}").json()["next"] is None

    def test_the_turns_come_in_pages_newest_first(self, get: Any, conversation: Conversation) -> None:
        turns = turns_of(conversation, 3)
        first = get(f"/api/v1/conversations/{conversation.pk}/turns?limit=2").json()
        assert first.keys() == {"results", "next"}
        second = get(first["next"]).json()
        ids = [turn["id"] for turn in first["results"] + second["results"]]
        assert ids == [str(turn.pk) for turn in reversed(turns)]

    def test_the_turns_of_somebody_else_do_not_exist(self, get: Any, bob: User) -> None:
        foreign = Conversation.objects.create(owner=bob)
        turns_of(foreign, 1)
        assert get(f"/api/v1/conversations/{foreign.pk}/turns").status_code == 404

    def test_the_number_of_queries_does_not_grow(
        self, get: Any, conversation: Conversation, django_assert_max_num_queries: Any
    ) -> None:
        turns_of(conversation, 450)
        for path in ("", "/turns?limit=200"):
            with django_assert_max_num_queries(6):
                assert get(f"/api/v1/conversations/{conversation.pk}{path}").status_code == 200


class TestAdmin:
    @pytest.fixture
    def rows(self, alice: User) -> list[Conversation]:
        return conversations_of(alice, 12)

    @pytest.mark.parametrize(("model", "search", "count"), [("conversation", "island007", 1), ("turn", "island007", 3)])
    def test_a_search_goes_through_the_turns_once(
        self,
        admin_client: Client,
        rows: list[Conversation],
        model: str,
        search: str,
        count: int,
        django_assert_max_num_queries: Any,
    ) -> None:
        with django_assert_max_num_queries(13) as queries:
            page = admin_client.get(reverse(f"admin:conversations_{model}_changelist"), {"q": search})
        assert len(page.context["cl"].result_list) == count
        through_words = [
            query for query in queries.captured_queries if search in query["sql"] and "reply" in query["sql"]
        ]
        assert len(through_words) == 1

    @pytest.mark.parametrize(("search", "count"), [("alice harbour", 12), ("bob harbour", 0), ("harbour island003", 1)])
    def test_all_words_must_be_said_in_one_turn_or_name_its_owner(
        self, admin_client: Client, rows: list[Conversation], search: str, count: int
    ) -> None:
        page = admin_client.get(reverse("admin:conversations_conversation_changelist"), {"q": search})
        assert len(page.context["cl"].result_list) == count

    @pytest.mark.parametrize("model", ["conversations_turn", "conversations_conversation", "webhooks_webhookdelivery"])
    def test_a_list_takes_as_many_queries_with_many_rows_as_with_few(
        self, admin_client: Client, alice: User, model: str, django_assert_num_queries: Any
    ) -> None:
        address = reverse(f"admin:{model}_changelist")
        conversations_of(alice, 1)
        with CaptureQueriesContext(connection) as few:
            admin_client.get(address)
        conversations_of(alice, 20)
        with django_assert_num_queries(len(few)):
            admin_client.get(address)

    def test_the_newest_turn_comes_first_also_on_a_deep_page(
        self, admin_client: Client, conversation: Conversation
    ) -> None:
        turns = turns_of(conversation, 150)
        address = reverse("admin:conversations_turn_changelist")
        shown = [row for page in ("1", "2") for row in admin_client.get(address, {"p": page}).context["cl"].result_list]
        assert shown == turns[::-1]

    def test_a_month_can_be_chosen(self, admin_client: Client, conversation: Conversation) -> None:
        times = [datetime(2025, 12, 31, 23, tzinfo=UTC), datetime(2026, 1, 1, 1, tzinfo=UTC)]
        turns = [make_turn(conversation, created_at=at, **QUIET) for at in times]
        address = reverse("admin:conversations_turn_changelist")
        for month, found in [("2025-12", turns[:1]), ("2026-01", turns[1:]), ("nonsense", turns[::-1])]:
            page = admin_client.get(address, {"month": month})
            assert list(page.context["cl"].result_list) == found
        page = admin_client.get(address)
        (months,) = [spec for spec in page.context["cl"].filter_specs if spec.title == "month"]
        assert [value for value, _label in months.lookup_choices] == ["2026-01", "2025-12"]

    def test_a_long_conversation_shows_its_latest_turns_and_leads_to_all(
        self, admin_client: Client, conversation: Conversation
    ) -> None:
        turns = turns_of(conversation, 120)
        page = admin_client.get(reverse("admin:conversations_conversation_change", args=[conversation.pk]))
        text = page.content.decode()
        shown = [turn for turn in turns if f'<p class="said">{turn.transcript}</p>' in text]
        assert shown == turns[-50:]
        address = reverse("admin:conversations_turn_changelist", query={"conversation": conversation.pk})
        assert address in text
        assert admin_client.get(address).context["cl"].result_count == 120


class TestDeletion:
    @pytest.fixture
    def long(self, conversation: Conversation) -> Conversation:
        for _number in range(60):
            make_turn(conversation, question=ContentFile(b"?", name="q.flac"), answer=ContentFile(b"!", name="a.flac"))
        return conversation

    @pytest.mark.usefixtures("real_transactions")
    def test_of_several_at_once_all_are_gone_and_their_files_soon(self, long: Conversation) -> None:
        short = Conversation.objects.create(owner=long.owner)
        make_turn(short)
        before = len(stored_files())
        services.delete_conversations(owner=long.owner, conversations=[short, long])
        assert not Conversation.objects.exists()
        assert before - len(stored_files()) == services.FILES_AT_ONCE
        work()
        assert before - len(stored_files()) == 122

    @pytest.mark.usefixtures("real_transactions")
    def test_a_long_conversation_is_gone_at_once_and_its_files_soon(self, long: Conversation) -> None:
        before = len(stored_files())
        services.delete_conversation(conversation=long)
        assert not Turn.objects.exists()
        assert not Conversation.objects.exists()
        assert before - len(stored_files()) == services.FILES_AT_ONCE
        work()
        assert before - len(stored_files()) == 120


def test_indexes_serve_the_lists_and_the_work_of_each_minute(db: None) -> None:
    expected = {
        Turn: {"turns_by_time", "turns_by_error"},
        Conversation: {
            "conversations_of_owner",
            "conversations_of_owner_begun",
            "conversations_pinned",
            "conversations_by_last_turn",
            "conversations_begun",
        },
        WebhookDelivery: {"webhooks_by_time"},
        UsageRecord: {"usage_by_time"},
        DBTaskResult: {"background_by_state", "background_by_time"},
    }
    if connection.vendor == "postgresql":
        expected[Turn] |= {"turns_asked", "turns_answered"}
    with connection.cursor() as cursor:
        for model, names in expected.items():
            assert names <= connection.introspection.get_constraints(cursor, model._meta.db_table).keys()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads a table of few rows as a whole")
@pytest.mark.parametrize(
    ("rows", "index"),
    [
        (
            DBTaskResult.objects.order_by().successful().filter(finished_at__lt=datetime(2026, 1, 1, tzinfo=UTC)),
            "background_by_state",
        ),
        (
            DBTaskResult.objects.order_by().running().filter(started_at__lt=datetime(2026, 1, 1, tzinfo=UTC)),
            "background_by_state",
        ),
        (Turn.objects.order_by("-created_at", "-pk").values("pk"), "turns_by_time"),
        (Turn.objects.filter(error_code="provider_busy").order_by("-created_at"), "turns_by_error"),
        (
            Conversation.objects.order_by().filter(created_at__gt=datetime(2026, 1, 1, tzinfo=UTC)),
            "conversations_begun",
        ),
        (DBTaskResult.objects.order_by("-enqueued_at", "-pk").values("pk"), "background_by_time"),
        (WebhookDelivery.objects.order_by("-created_at", "-pk").values("pk"), "webhooks_by_time"),
        (UsageRecord.objects.order_by("-created_at", "-pk").values("pk"), "usage_by_time"),
        (Conversation.objects.order_by("-updated_at", "-pk").values("pk"), "conversations_by_last_turn"),
        (Conversation.objects.filter(owner=1).order_by("-updated_at"), "conversations_of_owner"),
        (Conversation.objects.filter(owner=1).order_by("-created_at"), "conversations_of_owner_begun"),
        (Conversation.objects.filter(owner=1, pinned_at=None).order_by("-updated_at"), "conversations_of_owner"),
        (Conversation.objects.filter(owner=1).pinned(), "conversations_pinned"),
    ],
)
def test_the_database_uses_them(db: None, rows: Any, index: str) -> None:
    plan = rows.explain()
    assert f"{index} " in f"{plan} ".replace("\n", " ")
    assert "TEMP B-TREE" not in plan


def test_pages_from_the_end_are_those_of_the_whole_list(alice: User) -> None:
    conversation = Conversation.objects.create(owner=alice)
    turns_of(conversation, 11)
    rows = Turn.objects.order_by("-created_at", "pk")
    for size in (3, 4, 11, 12):
        pages = PagesByKey(rows, size)
        assert [turn for page in pages for turn in page] == list(rows)


def test_a_page_near_the_end_skips_few_rows(alice: User) -> None:
    conversation = Conversation.objects.create(owner=alice)
    turns_of(conversation, 10)
    with CaptureQueriesContext(connection) as queries:
        PagesByKey(Turn.objects.order_by("-created_at", "pk"), 3).page(4)
    assert not any("OFFSET" in query["sql"] for query in queries.captured_queries)
