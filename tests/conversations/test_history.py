"""The history: pins, days, hits of a search, several at once, and the way to an old turn."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.storage import default_storage
from django.urls import reverse

from apps.conversations import services
from apps.conversations.highlights import LEAD_CHARACTERS, highlighted, snippet
from apps.conversations.history import by_day, history_page
from apps.conversations.models import Conversation, Turn
from apps.conversations.search import MAX_FOUND
from apps.conversations.views import TURNS_PER_PAGE
from apps.core.errors import UserError
from tests.client import bearer, messages_of
from tests.factories import make_turn

if TYPE_CHECKING:
    from django.test import Client

    from apps.accounts.models import User

URL = "/history/"
SEVERAL = "/history/delete"


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    """A browser in which Alice is signed in."""
    client.force_login(alice)
    return client


def names(rows: Any) -> list[str]:
    return [row.name for row in rows]


def begun(owner: User, *titles: str) -> list[Conversation]:
    return [Conversation.objects.create(owner=owner, title=title) for title in titles]


class TestHighlights:
    @pytest.mark.parametrize(
        ("text", "words", "shown"),
        [
            ("The Harbour.", ["harbour"], "The <mark>Harbour</mark>."),
            ("Été, ete", ["ÉTÉ"], "<mark>Été</mark>, ete"),
            ("a harbour, harbours", ["har", "harbours"], "a <mark>har</mark>bour, <mark>harbours</mark>"),
            (
                "<script>alert(1)</script>",
                ["script"],
                "&lt;<mark>script</mark>&gt;alert(1)&lt;/<mark>script</mark>&gt;",
            ),
            ("a.b axb", ["a.b"], "<mark>a.b</mark> axb"),
            ("nothing & more", ["else"], "nothing &amp; more"),
            ("", ["word"], ""),
            ("<b>", [], "&lt;b&gt;"),
        ],
    )
    def test_each_hit_is_marked_and_all_else_escaped(self, text: str, words: list[str], shown: str) -> None:
        assert highlighted(text, words) == shown

    def test_a_snippet_begins_with_a_word_shortly_before_the_first_hit(self) -> None:
        text = "word " * 100 + "harbour " + "word " * 100
        shown = snippet(text, ["harbour"])
        assert shown.startswith("…word ")
        assert shown.index("harbour") <= LEAD_CHARACTERS + 1
        assert shown.endswith("…")

    @pytest.mark.parametrize("text", ["The harbour.", "Nothing.", ""])
    def test_a_short_text_is_shown_whole(self, text: str) -> None:
        assert snippet(text, ["harbour"]) == text

    def test_a_hit_in_a_long_word_begins_the_snippet(self) -> None:
        assert snippet("x" * 90 + "harbour", ["harbour"]) == "…harbour"


class TestHits:
    def test_a_hit_is_marked_and_leads_to_its_turn(self, page: Client, conversation: Conversation) -> None:
        hit = make_turn(conversation, transcript="<script>x</script>", reply="long " * 30 + "the harbour <i>")
        make_turn(conversation, transcript="Thanks.", reply="Bye.")
        text = page.get(URL, {"q": "HARBOUR script"}).content.decode()
        assert "the <mark>harbour</mark> &lt;i&gt;" in text
        assert "&lt;<mark>script</mark>&gt;x" in text
        assert f'href="/talk/{conversation.pk}/?turn={hit.pk}#turn-{hit.pk}"' in text

    def test_words_in_different_turns_lead_to_one_of_them(self, conversation: Conversation) -> None:
        make_turn(conversation, reply="The harbour.")
        make_turn(conversation, reply="The island.")
        make_turn(conversation, reply="Neither.")
        _pinned, (row,) = history_page(conversation.owner, "harbour island", None)
        assert row.reply == "The <mark>island</mark>."

    def test_a_word_in_the_title_shows_the_latest_turn(self, conversation: Conversation) -> None:
        Conversation.objects.update(title="Harbours")
        make_turn(conversation, reply="The last one.")
        _pinned, (row,) = history_page(conversation.owner, "harbour", None)
        assert (row.title, row.reply) == ("<mark>Harbour</mark>s", "The last one.")

    def test_without_a_search_a_row_leads_to_the_conversation(self, conversation: Conversation) -> None:
        make_turn(conversation)
        _pinned, (row,) = history_page(conversation.owner, "", None)
        assert row.address == f"/talk/{conversation.pk}/"


class TestManyFound:
    @pytest.mark.parametrize(("there_are", "shown"), [(MAX_FOUND - 1, MAX_FOUND - 1), (MAX_FOUND + 1, MAX_FOUND)])
    def test_a_search_finds_the_newest_and_says_so(self, page: Client, alice: User, there_are: int, shown: int) -> None:
        begun(alice, "The oldest harbour")
        Conversation.objects.bulk_create(Conversation(owner=alice, title="harbour") for _ in range(there_are - 1))
        response = page.get(URL, {"q": "harbour", "page": "50"})
        assert response.context["page_obj"].paginator.count == shown
        assert ("These are the newest 1000 conversations" in response.content.decode()) == (there_are > shown)
        assert ("oldest" in response.content.decode()) == (there_are == shown)


class TestOldTurn:
    def test_it_is_shown_with_those_around_it(self, page: Client, conversation: Conversation) -> None:
        turns = [make_turn(conversation, question="", answer="") for _number in range(TURNS_PER_PAGE * 2)]
        url = reverse("conversations:detail", args=[conversation.pk])
        response = page.get(url, {"turn": str(turns[3].pk)})
        assert turns[3] in response.context["turns"]
        assert response.context["looking_back"]
        assert f'id="turn-{turns[3].pk}"' in response.content.decode()

    def test_one_of_the_latest_is_shown_where_the_conversation_goes_on(
        self, page: Client, conversation: Conversation
    ) -> None:
        turns = [make_turn(conversation, question="", answer="") for _number in range(TURNS_PER_PAGE + 5)]
        context = page.get(reverse("conversations:detail", args=[conversation.pk]), {"turn": str(turns[5].pk)}).context
        assert (context["turns"], context["looking_back"]) == (turns[5:], False)

    @pytest.mark.parametrize("turn", ["", "7", str(uuid.UUID(int=0))])
    def test_an_unknown_one_shows_the_latest(self, page: Client, conversation: Conversation, turn: str) -> None:
        known = make_turn(conversation)
        context = page.get(reverse("conversations:detail", args=[conversation.pk]), {"turn": turn}).context
        assert (context["turns"], context["looking_back"]) == ([known], False)


class TestDays:
    def test_rows_are_under_the_days_of_their_latest_turns(self, alice: User) -> None:
        now = datetime(2026, 11, 29, 0, 30, tzinfo=UTC)
        for hours in (0.2, 1, 30, 31):
            Conversation.objects.filter(pk=begun(alice, f"{hours} h")[0].pk).update(
                updated_at=now - timedelta(hours=hours)
            )
        _pinned, rows = history_page(alice, "", None)
        days = [(day, names(those)) for day, those in by_day(rows, now)]
        assert days == [
            ("Today (UTC)", ["0.2 h"]),
            ("Yesterday (UTC)", ["1 h"]),
            ("27 November 2026 UTC", ["30 h", "31 h"]),
        ]

    def test_a_row_names_the_zone_of_its_time(self, page: Client, conversation: Conversation) -> None:
        Conversation.objects.update(updated_at=datetime(2026, 3, 2, 8, 15, tzinfo=UTC))
        text = page.get(URL).content.decode()
        assert '<time datetime="2026-03-02T08:15:00.000Z" data-style="time">08:15 UTC</time>' in text


class TestPins:
    def pin(self, page: Client, conversation: Conversation, pinned: str) -> Any:
        address = reverse("conversations:pin", args=[conversation.pk])
        return page.post(address, {"pinned": pinned, "next": "/history/?page=1"})

    def test_a_pinned_conversation_comes_first_until_it_is_unpinned(self, page: Client, alice: User) -> None:
        old, new = begun(alice, "old", "new")
        before = old.updated_at
        assert self.pin(page, old, "1")["Location"] == "/history/?page=1"
        context = page.get(URL).context
        assert (names(context["pinned"]), names(context["page_obj"])) == (["old"], ["new"])
        old.refresh_from_db()
        assert old.updated_at == before
        self.pin(page, old, "")
        context = page.get(URL).context
        assert (names(context["pinned"]), names(context["page_obj"])) == ([], ["new", "old"])
        assert new.pinned is False

    def test_a_search_finds_it_among_the_others(self, page: Client, alice: User) -> None:
        first, _second = begun(alice, "harbour 1", "harbour 2")
        services.pin_conversation(conversation=first, pinned=True)
        context = page.get(URL, {"q": "harbour"}).context
        assert (context["pinned"], names(context["page_obj"])) == ([], ["harbour 2", "harbour 1"])

    def test_there_is_a_limit(self, page: Client, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(services, "MAX_PINNED", 1)
        first, second = begun(alice, "first", "second")
        self.pin(page, first, "1")
        assert messages_of(self.pin(page, second, "1")) == ["error"]
        with pytest.raises(UserError, match="too_many_pinned"):
            services.pin_conversation(conversation=second, pinned=True)
        second.refresh_from_db()
        assert not second.pinned

    def test_a_foreign_one_does_not_exist(self, page: Client, bob: User) -> None:
        (foreign,) = begun(bob, "of Bob")
        assert self.pin(page, foreign, "1").status_code == 404

    def test_the_api_pins_and_lists_the_pinned_ones(self, client: Client, alice: User, alice_token: str) -> None:
        first, _second = begun(alice, "first", "second")
        before = first.updated_at

        def send(pinned: bool) -> Any:
            body = {"pinned": pinned}
            address = f"/api/v1/conversations/{first.pk}"
            return client.patch(address, body, content_type="application/json", headers=bearer(alice_token)).json()

        assert send(True)["pinned"] is True
        first.refresh_from_db()
        assert first.updated_at == before
        listed = client.get("/api/v1/conversations?pinned=true", headers=bearer(alice_token)).json()["results"]
        assert [(row["title"], row["pinned"]) for row in listed] == [("first", True)]
        assert send(False)["pinned"] is False


class TestSeveral:
    def test_they_are_named_and_then_deleted_with_their_sound(self, page: Client, alice: User) -> None:
        first, second, third = begun(alice, "First", "Second", "Third")
        turn = make_turn(first)
        chosen = {"id": [str(first.pk), str(third.pk)]}
        text = page.get(SEVERAL, chosen).content.decode()
        assert "Delete 2 conversations?" in text
        assert [title in text for title in ("First", "Second", "Third")] == [True, False, True]
        assert Conversation.objects.count() == 3
        response = page.post(SEVERAL, chosen)
        assert (response["Location"], messages_of(response)) == (URL, ["success"])
        assert list(Conversation.objects.all()) == [second]
        assert not Turn.objects.exists()
        assert not default_storage.exists(str(turn.answer.name))

    def test_one_is_not_called_several(self, page: Client, alice: User) -> None:
        (only,) = begun(alice, "Only")
        text = page.get(SEVERAL, {"id": [str(only.pk)]}).content.decode()
        expected = {"Delete it": True, "Keep it": True, "Its questions": True, "Delete them": False, "Their": False}
        assert {words: words in text for words in expected} == expected

    def test_foreign_ones_and_nonsense_are_left_out(self, page: Client, alice: User, bob: User) -> None:
        (own,), (foreign,) = begun(alice, "own"), begun(bob, "foreign")
        page.post(SEVERAL, {"id": [str(own.pk), str(foreign.pk), "7", "", "x" * 36]})
        assert list(Conversation.objects.all()) == [foreign]

    @pytest.mark.parametrize("method", ["get", "post"])
    def test_nothing_selected_is_said(self, page: Client, method: str) -> None:
        response = getattr(page, method)(SEVERAL, {"id": [str(uuid.uuid4())]})
        assert (response["Location"], messages_of(response)) == (URL, ["error"])
