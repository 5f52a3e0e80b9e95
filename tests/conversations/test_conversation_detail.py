from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.storage import default_storage

from apps.conversations.models import Conversation, Turn
from tests.client import bearer, error_of
from tests.factories import make_turn, make_voice

if TYPE_CHECKING:
    from django.test import Client

    from apps.accounts.models import User
    from apps.voices.models import VoiceProfile
    from tests.client import Page


@pytest.fixture
def send(client: Client, alice_token: str, conversation: Conversation) -> Any:
    def send(method: str, **body: Any) -> Page:
        url = f"/api/v1/conversations/{conversation.pk}"
        content = {"data": body, "content_type": "application/json"} if body else {}
        response: Page = getattr(client, method)(url, headers=bearer(alice_token), **content)
        return response

    return send


def test_it_shows_the_conversation_with_its_turns_in_order(send: Any, conversation: Conversation) -> None:
    turns = [make_turn(conversation), make_turn(conversation, status="failed", error_code="provider_busy")]
    body = send("get").json()
    assert body["id"] == str(conversation.pk)
    assert [turn["id"] for turn in body["turns"]] == [str(turn.pk) for turn in turns]
    assert [turn["status"] for turn in body["turns"]] == ["spoken", "failed"]
    assert [bool(turn["error"]) for turn in body["turns"]] == [False, True]


def test_it_changes_title_persona_and_voice(send: Any, alice: User, conversation: Conversation) -> None:
    other = make_voice(alice, "other")
    response = send("patch", title="New", persona="You are a guide.", voice=str(other.pk))
    assert response.status_code == 200
    conversation.refresh_from_db()
    assert (conversation.title, conversation.persona, conversation.voice) == ("New", "You are a guide.", other)
    assert response.json()["voice"] == str(other.pk)


def test_fields_that_are_not_sent_stay_unchanged(send: Any, voice: VoiceProfile, conversation: Conversation) -> None:
    send("patch", title="New")
    send("patch", persona="A guide.")
    conversation.refresh_from_db()
    assert (conversation.title, conversation.persona, conversation.voice) == ("New", "A guide.", voice)


def test_a_voice_of_somebody_else_is_refused(
    send: Any, bob: User, voice: VoiceProfile, conversation: Conversation
) -> None:
    response = send("patch", voice=str(make_voice(bob, "bobs").pk))
    assert response.status_code == 400
    assert error_of(response)["fields"].keys() == {"voice"}
    conversation.refresh_from_db()
    assert conversation.voice == voice


def test_the_owner_cannot_be_changed(send: Any, alice: User, bob: User, conversation: Conversation) -> None:
    send("patch", owner=bob.pk)
    conversation.refresh_from_db()
    assert conversation.owner == alice


def test_deleting_deletes_the_turns_and_their_recordings(
    send: Any, voice: VoiceProfile, conversation: Conversation
) -> None:
    turn = make_turn(conversation)
    kept = make_turn(Conversation.objects.create(owner=conversation.owner, voice=voice))
    assert send("delete").status_code == 204
    assert list(Turn.objects.all()) == [kept]
    assert not default_storage.exists(str(turn.question.name))
    assert not default_storage.exists(str(turn.answer.name))
    assert default_storage.exists(str(kept.answer.name))
    assert send("get").status_code == 404


def test_a_single_turn_can_be_read(client: Client, alice_token: str, conversation: Conversation) -> None:
    turn = make_turn(conversation)
    body = client.get(f"/api/v1/turns/{turn.pk}", headers=bearer(alice_token)).json()
    assert (body["id"], body["reply"], body["timings"]["total_ms"]) == (str(turn.pk), "Paris.", 1200)
