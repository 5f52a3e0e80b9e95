"""Conversations and turns in the admin: words, sound, times, usage, filters and exports."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, cast

import pytest
from django.contrib.admin.models import LogEntry
from django.http import StreamingHttpResponse
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.conversations import admin_export
from apps.conversations.admin_export import safe_cell
from apps.conversations.models import Conversation, Turn
from apps.conversations.turn_facts import stages_of
from apps.privacy.models import ContentAccess
from apps.usage.models import UsageRecord
from apps.voices.models import VoiceProfile
from tests.client import Api
from tests.factories import make_turn, make_voice
from tests.fakes.elevenlabs import elevenlabs_error
from tests.voices.test_admin_voices import helper_without_content

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

    from tests.fakes.provider import FakeProvider

__all__ = ["helper_without_content"]  # A fixture.

TURNS = reverse("admin:conversations_turn_changelist")
CONVERSATIONS = reverse("admin:conversations_conversation_changelist")
FORMULA = '=HYPERLINK("https://example.org/","Click")'
HOSTILE = f"{FORMULA}<script>alert(1)</script>" + "x" * 100_000
TIMES = {"heard_ms": 300, "first_word_ms": 700, "first_audio_ms": 1000, "total_ms": 4000}


def page_of(row: Turn | Conversation, name: str = "change") -> str:
    return reverse(f"admin:conversations_{row._meta.model_name}_{name}", args=[row.pk])


def listed(client: Client, address: str, **query: Any) -> list[Any]:
    return list(client.get(address, query).context["cl"].result_list)


class TestPages:
    def test_a_conversation_has_its_turns_in_order_with_players_times_usage_and_failures(
        self, admin_client: Client, admin_user: User, conversation: Conversation
    ) -> None:
        first = make_turn(conversation, transcript="First?", request_ids={"speak": ["req-1", "req-2"]}, **TIMES)
        failed = {"status": "failed", "failed_stage": "speak", "error_code": "provider_timeout"}
        second = make_turn(conversation, transcript="Second?", **failed)
        usage = {"tokens_read": 812, "tokens_written": 41, "spoken_characters": 77, "cost_micros": 1234}
        UsageRecord.objects.create(owner=conversation.owner, kind="turn", reference=first.pk, **usage)
        text = admin_client.get(page_of(conversation)).content.decode()
        assert text.index("First?") < text.index("Second?")
        for shown in (
            page_of(first, "question"),
            page_of(first, "answer"),
            "812",
            "41",
            "77",
            "$0.0012",
            "req-1, req-2",
        ):
            assert shown in text, shown
        for shown in ("<b>300 ms</b>", "<b>400 ms</b>", "<b>3000 ms</b>", "provider_timeout", second.error_message):
            assert shown in text, shown
        assert "style=" not in text[text.index("stages") : text.index("</figure>")]
        access = ContentAccess.objects.get()
        assert (access.kind, access.object_id) == ("conversation", str(conversation.pk))

    def test_a_turn_says_why_it_failed_and_plays_its_sound(
        self, admin_client: Client, admin_user: User, conversation: Conversation
    ) -> None:
        turn = make_turn(
            conversation,
            status="failed",
            failed_stage="think",
            error_code="provider_busy",
            heard_by="elevenlabs-live",
            **TIMES,
        )
        text = admin_client.get(page_of(turn)).content.decode()
        assert "thinking: provider_busy." in text
        assert re.search(r"Heard by.*?elevenlabs-live", text, re.DOTALL | re.IGNORECASE)
        for name in ("question", "answer"):
            address = page_of(turn, name)
            assert address in text
            part = admin_client.get(address, headers={"Range": "bytes=0-3"})
            assert (part.status_code, part.content) == (206, b"fLaC")
        kinds = ContentAccess.objects.filter(reader=admin_user, owner=turn.owner).values_list("kind", flat=True)
        assert set(kinds) == {"turn", "question", "answer"}

    def test_an_unknown_id_and_a_turn_without_sound_are_missing(
        self, admin_client: Client, conversation: Conversation
    ) -> None:
        turn = make_turn(conversation, question="")
        assert admin_client.get(page_of(turn, "question")).status_code == 404
        unknown = page_of(turn).replace(str(turn.pk), "nonsense")
        assert admin_client.get(unknown).status_code == 302

    def test_a_hostile_text_is_harmless(self, admin_client: Client, conversation: Conversation) -> None:
        turn = make_turn(conversation, transcript=HOSTILE, reply=HOSTILE)
        for address in (page_of(turn), page_of(conversation)):
            assert "<script>alert" not in admin_client.get(address).content.decode()
        assert len(admin_client.get(page_of(conversation)).content) < 100_000

    def test_without_the_permission_there_are_only_facts(
        self, helper_without_content: Client, conversation: Conversation
    ) -> None:
        client = helper_without_content
        Conversation.objects.update(title="Treasure", persona="A pirate.")
        turn = make_turn(conversation, transcript="Where is the treasure?", reply="The treasure is buried.", **TIMES)
        for address in (page_of(turn), page_of(conversation)):
            text = client.get(address).content.decode()
            assert "reasure" not in text
            assert "pirate" not in text
            assert "<audio" not in text
            assert "300 ms" in text
        assert client.get(page_of(turn, "question")).status_code == 403
        assert client.get(page_of(turn, "answer")).status_code == 403
        assert listed(client, TURNS, q="treasure") == []
        assert listed(client, CONVERSATIONS, q="treasure") == []
        assert listed(client, TURNS, q="alice") == [turn]
        assert not ContentAccess.objects.exists()

    def test_stages_add_up_to_the_whole_bar_whatever_is_unknown(self) -> None:
        for times in (TIMES, {"total_ms": 10}, {}, {"heard_ms": 5, "total_ms": 0}, {**TIMES, "heard_ms": None}):
            stages = stages_of(Turn(**times))
            assert sum(stage.width for stage in stages) in (0, 1000)
            assert all(stage.ms >= 0 and stage.width >= 0 for stage in stages)


class TestFilters:
    @pytest.fixture
    def other(self, bob: User) -> Turn:
        voice = make_voice(bob, "other", name="Robert", provider="server")
        conversation = Conversation.objects.create(owner=bob, voice=voice, model="other-model")
        return make_turn(conversation, status="failed", failed_stage="speak", error_code="provider_timeout")

    @pytest.mark.parametrize(
        "query",
        [
            {"person": "bob@example.org"},
            {"of_voice": "robert"},
            {"failed_stage__exact": "speak"},
            {"error_code__exact": "provider_timeout"},
            {"engine": "server"},
        ],
    )
    def test_turns_and_conversations_are_filtered_alike(
        self, admin_client: Client, conversation: Conversation, other: Turn, query: dict[str, str]
    ) -> None:
        make_turn(conversation)
        assert listed(admin_client, TURNS, **query) == [other]
        assert listed(admin_client, CONVERSATIONS, **query) == [other.conversation]

    def test_turns_are_found_by_the_engine_that_heard_them(
        self, admin_client: Client, conversation: Conversation, other: Turn
    ) -> None:
        heard = make_turn(conversation, heard_by="openai")
        assert listed(admin_client, TURNS, heard_by="openai") == [heard]
        assert listed(admin_client, TURNS, heard_by="local") == []

    def test_a_filter_by_id_of_a_voice_by_model_and_by_status(
        self, admin_client: Client, conversation: Conversation, other: Turn, settings: Any
    ) -> None:
        mine = make_turn(conversation)
        assert listed(admin_client, TURNS, of_voice=conversation.voice_id) == [mine]
        assert listed(admin_client, TURNS, model="default") == [mine]
        assert listed(admin_client, TURNS, status__exact="failed") == [other]
        assert listed(admin_client, CONVERSATIONS, turns="failed") == [other.conversation]
        assert listed(admin_client, CONVERSATIONS, turns="running") == []

    def test_the_typed_filter_keeps_the_others(self, admin_client: Client, other: Turn) -> None:
        text = admin_client.get(TURNS, {"person": "bob", "status__exact": "failed", "q": "x"}).content.decode()
        assert '<input type="hidden" name="status__exact" value="failed">' in text
        assert 'name="person" value="bob"' in text


async def _all_of(content: AsyncIterable[bytes]) -> bytes:
    return b"".join([part async for part in content])


@pytest.mark.usefixtures("real_transactions")
class TestExport:
    def export(self, client: Client, form: str, address: str, *rows: Turn | Conversation) -> str:
        selected = {"action": f"export_as_{form}", "_selected_action": [str(row.pk) for row in rows]}
        answer = cast("StreamingHttpResponse", client.post(address, selected))
        assert answer["Content-Disposition"].endswith(f'.{form}"')
        return asyncio.run(_all_of(answer.streaming_content)).decode()  # type: ignore[arg-type]

    def test_a_selection_of_turns_as_json(self, admin_client: Client, conversation: Conversation) -> None:
        turns = [make_turn(conversation, transcript=f"Number {number}", reply=HOSTILE, **TIMES) for number in range(3)]
        make_turn(conversation)
        rows = json.loads(self.export(admin_client, "json", TURNS, *turns))
        assert [row["transcript"] for row in rows] == ["Number 2", "Number 1", "Number 0"]
        assert rows[0]["reply"] == HOSTILE
        assert (rows[0]["owner"], rows[0]["first_audio_ms"]) == ("alice", 1000)
        assert {entry.object_id for entry in LogEntry.objects.all()} == {str(turn.pk) for turn in turns}
        access = ContentAccess.objects.get()
        assert (access.kind, access.object_id) == ("export", str(conversation.pk))

    def test_accesses_to_many_conversations_are_recorded_with_few_queries(
        self, admin_client: Client, alice: User, bob: User, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        conversations = [Conversation.objects.create(owner=owner) for owner in (alice, bob) * 10]
        for conversation in conversations:
            make_turn(conversation)
        self.export(admin_client, "json", CONVERSATIONS, *conversations[:2])
        with django_assert_max_num_queries(25):
            self.export(admin_client, "json", CONVERSATIONS, *conversations)
        stored = ContentAccess.objects.values_list("kind", "object_id", "owner")
        assert sorted(stored) == sorted(("export", str(row.pk), row.owner_id) for row in conversations)
        assert LogEntry.objects.count() == 2 + len(conversations)

    def test_conversations_as_csv_without_formulas(self, admin_client: Client, conversation: Conversation) -> None:
        make_turn(conversation, transcript=FORMULA, reply="-1+1")
        make_turn(conversation, transcript="\t=1", reply=' =1, "quoted"\nline')
        rows = list(csv.DictReader(io.StringIO(self.export(admin_client, "csv", CONVERSATIONS, conversation))))
        assert [row["transcript"] for row in rows] == ["'\t=1", f"'{FORMULA}"]
        assert [row["reply"] for row in rows] == ['\' =1, "quoted"\nline', "'-1+1"]

    def test_without_the_permission_the_file_has_placeholders(
        self, helper_without_content: Client, conversation: Conversation
    ) -> None:
        from django.contrib.auth.models import Permission
        from django.contrib.contenttypes.models import ContentType

        view = Permission.objects.get_or_create(
            codename="view_turn", content_type=ContentType.objects.get_for_model(Turn)
        )[0]
        User.objects.get(username="support").user_permissions.add(view)
        turn = make_turn(conversation, transcript="Where is the treasure?", reply="Buried treasure.")
        for form in ("json", "csv"):
            text = self.export(helper_without_content, form, TURNS, turn)
            assert "reasure" not in text
            assert str(turn.pk) in text
        assert not ContentAccess.objects.exists()

    def test_it_is_limited_to_the_newest_turns(
        self, admin_client: Client, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(admin_export, "MAX_TURNS", 2)
        for number in range(3):
            make_turn(conversation, transcript=f"Number {number}")
        rows = json.loads(self.export(admin_client, "json", CONVERSATIONS, conversation))
        assert [row["transcript"] for row in rows] == ["Number 2", "Number 1"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", " =", "＝"])
def test_no_cell_is_a_formula(start: str) -> None:
    assert safe_cell(f"{start}1+1") == f"'{start}1+1"
    assert safe_cell("1=1") == "1=1"
    assert safe_cell(-5) == -5


class TestRequestIds:
    def test_a_turn_keeps_the_ids_of_its_calls(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation
    ) -> None:
        alice_api.ask(conversation, text="Hello?")
        turn = Turn.objects.get()
        assert turn.status == "spoken"
        assert all(len(request_id) == 16 for request_id in turn.request_ids["speak"])

    def test_a_failed_turn_does_so_too(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation, voice: VoiceProfile
    ) -> None:
        provider.fail_next(
            f"/v1/text-to-speech/{voice.voice_id}/stream",
            status=401,
            body=elevenlabs_error("invalid_api_key"),
            headers={"request-id": "req<script>-7"},
        )
        alice_api.ask(conversation, text="Hello?")
        turn = Turn.objects.get()
        assert turn.status == Turn.Status.FAILED
        assert "reqscript-7" in turn.request_ids["speak"]  # Another segment may have been asked for as well.

    def test_a_voice_counts_what_it_has_spoken(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation, voice: VoiceProfile
    ) -> None:
        alice_api.ask(conversation, text="Hello?")
        voice.refresh_from_db()
        assert voice.spoken_characters == UsageRecord.objects.get().spoken_characters > 0
