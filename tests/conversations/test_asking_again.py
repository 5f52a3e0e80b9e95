"""Turns that go on after an interruption, and questions that are asked again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from django.urls import reverse

from apps.conversations.models import Conversation, Turn
from apps.usage.models import UsageDay
from tests.client import LONG_REPLY, Api, error_of, read_events, turns_path, wait_until
from tests.factories import make_turn
from tests.fakes.elevenlabs import CHARACTERS_PER_SECOND, SPEECH
from tests.fakes.openai import CHAT, TRANSCRIPTIONS, openai_error

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.fakes.provider import FakeProvider

STREAM = {"Accept": "text/event-stream"}


def regenerate(api: Api, turn_id: object, **body: object) -> dict[str, object]:
    response = api.post(f"/api/v1/turns/{turn_id}/regenerate", json=body)
    assert response.status_code == 201, response.text
    turn: dict[str, object] = response.json()
    return turn


def asked(provider: FakeProvider) -> list[str]:
    """Return what the language model was told last, without its instructions."""
    return [message["content"] for message in provider.requests_to(CHAT)[-1].json["messages"][1:]]


class TestGoOn:
    def test_an_interrupted_answer_goes_on_where_it_was_heard(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation
    ) -> None:
        provider.behaviour.reply, provider.behaviour.audio_speed = LONG_REPLY, 2
        with alice_api.post(turns_path(conversation), json={"text": "Hello?"}, headers=STREAM, stream=True) as answer:
            events = read_events(answer)
            assert any(event.name == "spoken" and event.data["index"] == 1 for event in events)
            wait_until(Turn.objects.filter(status="answered").exists)
            stop = f"/api/v1/turns/{Turn.objects.get().pk}/stop"
            stopped = alice_api.post(stop, json={"heard_seconds": 1.5}).json()
            assert list(events)[-1].name == "done"
        # A turn that runs in the same process is over when the stop is answered.
        assert (stopped["status"], stopped["heard_seconds"]) == ("interrupted", 1.5)
        heard = Turn.objects.get().spoken_text
        assert 10 < len(heard) < 30  # 15 characters a second.
        provider.requests.clear()
        provider.behaviour.audio_speed = 50
        turn = alice_api.post(f"/api/v1/turns/{stopped['id']}/retry").json()
        assert (turn["status"], turn["reply"], turn["heard_seconds"]) == ("spoken", LONG_REPLY.strip(), None)
        segments = [request.json["text"] for request in provider.requests_to(SPEECH)]  # Some at the same time.
        spoken = " ".join(sorted(segments, key=LONG_REPLY.index))
        assert f"{heard} {spoken}" == LONG_REPLY.strip()
        assert turn["answer_seconds"] == pytest.approx(1.5 + len(spoken) / CHARACTERS_PER_SECOND, abs=0.5)
        assert not provider.requests_to(CHAT)
        assert Turn.objects.get().stop_requested is False

    def test_an_answer_that_is_stored_whole_goes_on_without_any_call(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation, settings: Settings
    ) -> None:
        settings.LIMITS = True
        turn = alice_api.ask(conversation, text="Hello?").json()
        stopped = alice_api.post(f"/api/v1/turns/{turn['id']}/stop", json={"heard_seconds": 0.5}).json()
        assert (stopped["status"], stopped["heard_seconds"]) == ("interrupted", 0.5)
        provider.requests.clear()
        events = alice_api.events_of(f"/api/v1/turns/{turn['id']}/retry")
        assert [event.name for event in events] == ["heard", "said", "spoken", "done"]
        assert not provider.requests
        assert Turn.objects.get().status == "spoken"
        assert UsageDay.objects.get().requests == 1

    def test_a_reply_that_is_not_whole_is_written_anew(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation
    ) -> None:
        provider.behaviour.reply, provider.behaviour.tokens_per_second = LONG_REPLY, 20
        with alice_api.post(turns_path(conversation), json={"text": "Hello?"}, headers=STREAM, stream=True) as answer:
            assert any(event.name == "said" for event in read_events(answer))
        wait_until(Turn.objects.filter(status="interrupted").exists)
        turn = Turn.objects.get()
        assert (turn.failed_stage, turn.heard_seconds) == ("think", None)
        provider.behaviour.reply, provider.behaviour.tokens_per_second = "Another reply.", 1000
        again = alice_api.post(f"/api/v1/turns/{turn.pk}/retry").json()
        assert (again["status"], again["reply"]) == ("spoken", "Another reply.")


class TestRegenerate:
    def test_a_new_turn_has_the_same_question_and_takes_the_place_of_the_old_one(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation
    ) -> None:
        first = alice_api.ask(conversation, text="First?").json()
        old = alice_api.ask(conversation).json()
        alice_api.ask(conversation, text="Later?")
        provider.requests.clear()
        provider.behaviour.reply = "Another answer."
        new = regenerate(alice_api, old["id"])
        assert (new["transcript"], new["reply"]) == (old["transcript"], "Another answer.")
        assert not provider.requests_to(TRANSCRIPTIONS)
        assert asked(provider) == ["First?", first["reply"], old["transcript"]]
        assert alice_api.get(f"/api/v1/turns/{new['id']}/question").content == (
            alice_api.get(f"/api/v1/turns/{old['id']}/question").content
        )
        turns = alice_api.get(f"/api/v1/conversations/{conversation.pk}").json()["turns"]
        assert [turn["replaced_by"] for turn in turns] == [None, new["id"], new["id"], None]
        alice_api.ask(conversation, text="And now?")
        assert asked(provider) == ["First?", first["reply"], old["transcript"], "Another answer.", "And now?"]

    def test_a_question_can_be_edited(self, alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
        old = alice_api.ask(conversation).json()
        new = regenerate(alice_api, old["id"], text="What is the capital of Italy?")
        assert (new["transcript"], new["has_question"], new["language"]) == ("What is the capital of Italy?", False, "")
        assert asked(provider) == ["What is the capital of Italy?"]

    def test_a_question_that_was_not_understood_is_heard_again(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation
    ) -> None:
        provider.fail_next(TRANSCRIPTIONS, status=401, body=openai_error("invalid_api_key"))
        old = alice_api.ask(conversation).json()
        new = regenerate(alice_api, old["id"])
        assert (new["status"], new["transcript"]) == ("spoken", provider.behaviour.transcript)

    def test_the_same_key_asks_once(self, alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
        old = alice_api.ask(conversation, text="Hello?").json()
        url, headers = f"/api/v1/turns/{old['id']}/regenerate", {"Idempotency-Key": str(uuid4())}
        first, second = (alice_api.post(url, json={}, headers=headers) for _time in range(2))
        assert first.json() == second.json()
        assert second.headers["Idempotent-Replayed"] == "true"
        assert Turn.objects.count() == 2

    @pytest.mark.parametrize("action", ["regenerate", "retry"])
    def test_what_was_asked_again_is_refused(
        self, alice_api: Api, conversation: Conversation, provider: FakeProvider, action: str
    ) -> None:
        old = make_turn(conversation, status="failed", error_code="provider_busy")
        make_turn(conversation)
        regenerate(alice_api, old.pk)
        for turn in Turn.objects.exclude(replaced_by=None):
            refused = alice_api.post(f"/api/v1/turns/{turn.pk}/{action}", json={})
            assert (refused.status_code, error_of(refused)["code"]) == (409, "turn_replaced")
        assert Turn.objects.count() == 3

    def test_a_turn_that_runs_is_refused(self, alice_api: Api, conversation: Conversation, settings: Settings) -> None:
        settings.LIMITS = True
        turn = make_turn(conversation, status="heard")
        refused = alice_api.post(f"/api/v1/turns/{turn.pk}/regenerate", json={})
        assert (refused.status_code, error_of(refused)["code"]) == (409, "turn_running")
        assert not UsageDay.objects.exists()

    def test_the_turn_of_another_person_is_not_found(self, bob_api: Api, conversation: Conversation) -> None:
        turn = make_turn(conversation)
        assert bob_api.post(f"/api/v1/turns/{turn.pk}/regenerate", json={}).status_code == 404


class TestOlderVersions:
    @pytest.fixture
    def versions(self, conversation: Conversation) -> list[Turn]:
        newest = make_turn(conversation, transcript="Newest?", reply="Third.")
        middle = make_turn(conversation, transcript="Middle?", reply="Second.", replaced_by=newest)
        return [make_turn(conversation, transcript="Oldest?", reply="First.", replaced_by=middle), middle, newest]

    def test_they_stay_readable_on_the_page_and_in_the_exports(
        self, client: Client, alice: User, conversation: Conversation, versions: list[Turn]
    ) -> None:
        client.force_login(alice)
        page = client.get(reverse("conversations:detail", args=[conversation.pk])).content.decode()
        assert "Earlier versions (2)" in page
        assert page.index("Newest?") < page.index("Third.")
        assert all(text in page for text in ("Oldest?", "First.", "Middle?", "Second."))
        text = client.get(reverse("conversations:export", args=[conversation.pk, "txt"])).content.decode()
        assert text.index("Newest?") < text.index("Earlier versions") < text.index("Middle?")
        exported = client.get(reverse("conversations:export", args=[conversation.pk, "json"])).json()
        replaced_by = {turn["id"]: turn["replaced_by"] for turn in exported["turns"]}
        oldest, middle, newest = (str(turn.pk) for turn in versions)
        assert replaced_by == {oldest: middle, middle: newest, newest: None}
        assert json.dumps(exported)

    def test_there_may_be_many(self, client: Client, alice: User, conversation: Conversation) -> None:
        newest = make_turn(conversation, transcript="Newest?")
        older = [Turn(owner=alice, conversation=conversation, transcript=f"Version {number}?") for number in range(450)]
        for turn, later in zip(older, [newest, *older], strict=False):
            turn.replaced_by = later
        Turn.objects.bulk_create(older)
        client.force_login(alice)
        page = client.get(reverse("conversations:detail", args=[conversation.pk]))
        assert "Earlier versions (450)" in page.content.decode()

    def test_they_are_deleted_with_the_conversation(
        self, alice_api: Api, conversation: Conversation, versions: list[Turn]
    ) -> None:
        assert alice_api.delete(f"/api/v1/conversations/{conversation.pk}").status_code == 204
        assert not Turn.objects.exists()
