from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.urls import reverse

from apps.conversations.models import Conversation, Turn
from tests.factories import make_turn

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import DjangoAssertNumQueries

    from apps.accounts.models import User
    from apps.voices.models import VoiceProfile


def export_url(conversation: Conversation, extension: str) -> str:
    return reverse("conversations:export", args=[conversation.pk, extension])


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    """A browser in which Alice is signed in."""
    client.force_login(alice)
    return client


class TestText:
    def test_it_lists_questions_and_answers_and_marks_the_answers_as_ai(
        self, page: Client, conversation: Conversation
    ) -> None:
        Conversation.objects.update(title="Geography")
        make_turn(conversation, transcript="Où est Paris ?", reply="In <France>.")
        make_turn(conversation, transcript="And Rome?", reply="In Italy.")
        response = page.get(export_url(conversation, "txt"))
        assert response["Content-Type"] == "text/plain; charset=utf-8"
        heading, *paragraphs = response.content.decode().strip().split("\n\n")
        assert heading.startswith("Geography\n")
        assert "Jane" in heading
        assert "language model" in heading
        assert paragraphs == [
            "You: Où est Paris ?",
            "Answer (AI): In <France>.",
            "You: And Rome?",
            "Answer (AI): In Italy.",
        ]

    def test_it_says_what_is_missing(self, page: Client, conversation: Conversation, voice: VoiceProfile) -> None:
        make_turn(conversation, transcript="", reply="", status=Turn.Status.FAILED, error_code="provider_busy")
        make_turn(conversation, reply="", status=Turn.Status.INTERRUPTED)
        voice.delete()
        text = page.get(export_url(conversation, "txt")).content.decode()
        assert "voice deleted" in text
        assert "You: (a recording that was not understood)" in text
        assert "Answer (AI): The speech service is busy." in text
        assert "Answer (AI): (no answer)" in text


class TestJson:
    def test_it_has_all_stored_text(self, page: Client, conversation: Conversation) -> None:
        Conversation.objects.update(title="Geography", persona="A pirate.", language="fr")
        turn = make_turn(conversation, heard_ms=310, question_seconds=2.5)
        response = page.get(export_url(conversation, "json"))
        assert response["Content-Type"] == "application/json"
        exported = json.loads(response.content)
        assert {name: exported[name] for name in ("title", "persona", "voice", "language")} == {
            "title": "Geography",
            "persona": "A pirate.",
            "voice": "Jane",
            "language": "fr",
        }
        [shown] = exported["turns"]
        assert (shown["id"], shown["transcript"], shown["reply"]) == (str(turn.pk), turn.transcript, turn.reply)
        assert shown["question_seconds"] == 2.5
        assert shown["timings"]["heard_ms"] == 310
        assert shown["error"] is None

    def test_a_turn_is_a_line_with_its_error_and_the_turn_that_asks_again(
        self, page: Client, conversation: Conversation
    ) -> None:
        failed = {"status": "failed", "failed_stage": "speak", "error_code": "provider_busy", "reply": "", "answer": ""}
        again = make_turn(conversation, transcript="Où est 巴黎 ?", language="fr", answer_seconds=1.5)
        first = make_turn(conversation, created_at=again.created_at - timedelta(1), replaced_by=again, **failed)
        lost = make_turn(conversation, transcript="", question="", **failed)
        text = page.get(export_url(conversation, "json")).content.decode()
        expected = [
            {
                "id": str(turn.pk),
                "created_at": turn.created_at.isoformat(),
                "status": turn.status,
                "language": turn.language,
                "transcript": turn.transcript,
                "reply": turn.reply,
                "question_seconds": None,
                "answer_seconds": turn.answer_seconds,
                "timings": {"heard_ms": None, "first_word_ms": None, "first_audio_ms": None, "total_ms": 1200},
                "error": turn.error,
                "replaced_by": str(again.pk) if turn == first else None,
            }
            for turn in (first, again, lost)
        ]
        assert [turn.retryable for turn in (first, again, lost)] == [True, False, False]
        lines = ",\n".join(json.dumps(turn, ensure_ascii=False) for turn in expected)
        assert text.endswith(f',\n  "turns": [\n{lines}\n  ]\n}}\n')


class TestFile:
    @pytest.mark.parametrize(
        ("title", "stem"),
        [
            ("Où est Paris?", "ou-est-paris"),
            ("", "conversation"),
            ("巴黎", "conversation"),
            ('../"x"\r\n', "x"),
            ("long " * 24, "long-" * 11 + "long"),
        ],
    )
    def test_its_name_comes_from_the_title_and_is_valid_on_every_system(
        self, page: Client, conversation: Conversation, title: str, stem: str
    ) -> None:
        Conversation.objects.update(title=title)
        conversation.refresh_from_db()
        name = f"{stem}-{conversation.created_at:%Y-%m-%d}.txt"
        response = page.get(export_url(conversation, "txt"))
        assert response["Content-Disposition"] == f'attachment; filename="{name}"'

    @pytest.mark.parametrize("extension", ["html", "TXT", "x"])
    def test_other_formats_are_not_found(self, page: Client, conversation: Conversation, extension: str) -> None:
        assert page.get(export_url(conversation, extension)).status_code == 404

    def test_it_is_for_the_owner_alone(self, client: Client, bob: User, conversation: Conversation) -> None:
        client.force_login(bob)
        assert client.get(export_url(conversation, "json")).status_code == 404

    def test_the_number_of_queries_does_not_grow_with_the_turns(
        self, page: Client, conversation: Conversation, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        for _count in range(5):
            make_turn(conversation)
        with django_assert_max_num_queries(6):
            page.get(export_url(conversation, "json"))
