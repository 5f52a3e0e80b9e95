"""Asking in a conversation, answered as JSON when the turn is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apps.conversations.models import Conversation, Turn
from apps.conversations.services import MAX_TEXT_CHARACTERS
from apps.voices.models import VoiceProfile
from tests.audio_samples import silence, to_wav
from tests.client import QUESTION, Api, bearer, error_of, turns_path
from tests.fakes.elevenlabs import SPEECH
from tests.fakes.openai import CHAT, TRANSCRIPTIONS, openai_error

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from tests.fakes.provider import FakeProvider


def test_a_spoken_question_is_answered_with_the_turn(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    response = alice_api.ask(conversation)
    assert response.status_code == 201
    assert response.headers["X-AI-Generated"] == "true"
    turn = response.json()
    assert turn["id"] == str(Turn.objects.get().pk)
    assert (turn["status"], turn["error"]) == ("spoken", None)
    assert (turn["transcript"], turn["reply"]) == (provider.behaviour.transcript, provider.behaviour.reply)
    assert (turn["has_question"], turn["has_answer"]) == (True, True)
    assert turn["question_seconds"] > 3
    assert turn["answer_seconds"] > 3
    assert turn["timings"].keys() == {"heard_ms", "first_word_ms", "first_audio_ms", "total_ms"}
    times = list(turn["timings"].values())
    assert times == sorted(times)


def test_a_typed_question_needs_no_transcription(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    turn = alice_api.ask(conversation, text="Who are you?").json()
    assert (turn["status"], turn["transcript"], turn["has_question"]) == ("spoken", "Who are you?", False)
    assert turn["timings"]["heard_ms"] is None
    assert not provider.requests_to(TRANSCRIPTIONS)
    assert provider.requests_to(CHAT)[0].json["messages"][-1]["content"] == "Who are you?"


def test_the_language_that_was_heard_is_kept(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.languages = ["fr"]
    assert alice_api.ask(conversation).json()["language"] == "fr"


def test_the_voice_speaks_with_its_settings(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile, conversation: Conversation
) -> None:
    VoiceProfile.objects.filter(pk=voice.pk).update(settings={"speed": 1.1})
    alice_api.ask(conversation, text="Hello?")
    assert all(request.json["voice_settings"] == {"speed": 1.1} for request in provider.requests_to(SPEECH))


def test_the_first_question_becomes_the_title_and_a_given_title_stays(
    alice_api: Api, conversation: Conversation
) -> None:
    alice_api.ask(conversation, text="What is " + "very " * 20 + "good?")
    alice_api.ask(conversation, text="And now?")
    conversation.refresh_from_db()
    assert conversation.title.startswith("What is very")
    assert len(conversation.title) <= 60
    Conversation.objects.update(title="My own")
    alice_api.ask(conversation, text="And then?")
    conversation.refresh_from_db()
    assert conversation.title == "My own"


def test_a_first_question_that_fails_becomes_the_title_as_well(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.fail_next(CHAT, status=401, body=openai_error("invalid_api_key"))
    assert alice_api.ask(conversation, text="Who is there?").json()["status"] == "failed"
    alice_api.ask(conversation, text="And now?")
    conversation.refresh_from_db()
    assert conversation.title == "Who is there?"


def test_asking_moves_the_conversation_to_the_top_of_the_history(alice_api: Api, conversation: Conversation) -> None:
    before = conversation.updated_at
    alice_api.ask(conversation, text="Hello?")
    conversation.refresh_from_db()
    assert conversation.updated_at > before


def test_a_question_without_speech_fails_and_no_further_call_is_paid(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.transcript = ""
    turn = alice_api.ask(conversation).json()
    assert turn["status"] == "failed"
    assert (turn["error"]["stage"], turn["error"]["code"]) == ("hear", "nothing_heard")
    assert turn["error"]["message"]
    assert [request.path for request in provider.requests] == [TRANSCRIPTIONS]


def test_silence_is_refused_before_anything_is_paid_or_stored(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    response = alice_api.post(turns_path(conversation), files={"audio": to_wav(silence(2))})
    assert response.status_code == 422
    assert error_of(response)["code"] == "nothing_heard"
    assert not provider.requests
    assert not Turn.objects.exists()


def test_a_question_that_is_too_long_is_refused(
    alice_api: Api, settings: Settings, provider: FakeProvider, conversation: Conversation
) -> None:
    settings.MAX_QUESTION_SECONDS = 2
    response = alice_api.ask(conversation)
    assert response.status_code == 422
    assert error_of(response)["code"] == "audio_too_long"
    assert not provider.requests


class TestInput:
    """Input that is refused without a call to any provider."""

    @pytest.fixture
    def post(self, client: Client, alice_token: str, conversation: Conversation) -> Any:
        def send(data: Any, content_type: str = "application/json") -> dict[str, Any]:
            url, headers = turns_path(conversation), bearer(alice_token)
            response = client.post(url, data, content_type=content_type, headers=headers)
            assert response.status_code == 400
            assert not Turn.objects.exists()
            return error_of(response)

        return send

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "audio"),
            ({"text": ""}, "text"),
            ({"text": "  "}, "text"),
            ({"text": None}, "text"),
            ({"text": {"a": 1}}, "text"),
            ({"text": "x" * (MAX_TEXT_CHARACTERS + 1)}, "text"),
            ({"text": "nul\0"}, "text"),
            ({"text": "\ud800"}, "text"),
            ({"audio": "text"}, "audio"),
            ([], "non_field_errors"),
        ],
        ids=["nothing", "empty", "blank", "null", "object", "too long", "null character", "surrogate", "text", "list"],
    )
    def test_bad_values_are_named(self, post: Any, body: Any, field: str) -> None:
        assert post(body)["fields"].keys() == {field}

    def test_broken_json_is_a_parse_error(self, post: Any) -> None:
        assert post("{")["code"] == "parse_error"

    def test_a_broken_form_is_a_parse_error(self, post: Any) -> None:
        assert post("no form", "multipart/form-data")["code"] == "parse_error"

    def test_audio_and_text_together_are_refused(
        self, client: Client, alice_token: str, conversation: Conversation
    ) -> None:
        from django.core.files.uploadedfile import SimpleUploadedFile

        form = {"text": "Hello?", "audio": SimpleUploadedFile("q.wav", QUESTION)}
        response = client.post(turns_path(conversation), form, headers=bearer(alice_token))
        assert error_of(response)["fields"].keys() == {"audio"}
        assert not Turn.objects.exists()

    def test_a_text_may_come_in_a_form(self, alice_api: Api, conversation: Conversation) -> None:
        response = alice_api.post(turns_path(conversation), files={"text": (None, "Hello?")})
        assert response.json()["transcript"] == "Hello?"


def test_two_questions_at_once_are_both_answered(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    provider.behaviour.first_token_seconds = 0.2
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda text: alice_api.ask(conversation, text=text), ["One?", "Two?", "Three?"]))
    assert {answer.json()["status"] for answer in answers} == {"spoken"}
    assert Turn.objects.count() == 3
