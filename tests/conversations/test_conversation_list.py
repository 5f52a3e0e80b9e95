from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from apps.conversations.models import Conversation
from apps.voices.models import VoiceProfile
from tests.client import bearer, error_of
from tests.factories import make_turn, make_voice

if TYPE_CHECKING:
    from django.test import Client

    from apps.accounts.models import User
    from tests.client import Page

URL = "/api/v1/conversations"


@pytest.fixture
def post(client: Client, alice_token: str) -> Any:
    def send(**body: Any) -> Page:
        return client.post(URL, body, content_type="application/json", headers=bearer(alice_token))

    return send


class TestCreate:
    def test_it_answers_201_with_the_conversation(self, post: Any, alice: User, voice: VoiceProfile) -> None:
        response = post(voice=str(voice.pk), title="Paris", persona="You are a guide.")
        assert response.status_code == 201
        body = response.json()
        row = Conversation.objects.get()
        assert row.owner == alice
        assert body["id"] == str(row.pk)
        assert (body["voice"], body["title"], body["persona"]) == (str(voice.pk), "Paris", "You are a guide.")
        assert body["turns"] == []

    def test_title_and_persona_may_be_left_out(self, post: Any, voice: VoiceProfile) -> None:
        body = post(voice=str(voice.pk)).json()
        assert (body["title"], body["persona"]) == ("", "")

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"voice": None}, "voice"),
            ({"voice": "7"}, "voice"),
            ({"title": "x" * 121}, "title"),
            ({"persona": "x" * 2001}, "persona"),
        ],
        ids=["no voice", "no id", "long title", "long persona"],
    )
    def test_bad_values_are_named(self, post: Any, voice: VoiceProfile, changes: dict[str, Any], field: str) -> None:
        response = post(**{"voice": str(voice.pk)} | changes)
        assert response.status_code == 400
        assert error_of(response)["fields"].keys() == {field}
        assert not Conversation.objects.exists()

    def test_a_voice_of_somebody_else_is_like_one_that_does_not_exist(self, post: Any, bob: User) -> None:
        foreign, unknown = make_voice(bob, "bobs").pk, uuid.uuid4()
        answers = [post(voice=str(pk)) for pk in (foreign, unknown)]
        assert [answer.status_code for answer in answers] == [400, 400]
        texts = [str(error_of(answer)) for answer in answers]
        assert texts[0].replace(str(foreign), "") == texts[1].replace(str(unknown), "")
        assert not Conversation.objects.exists()


class TestList:
    @pytest.fixture
    def titles(self, client: Client, alice_token: str) -> Any:
        def get(**query: str) -> list[str]:
            response = client.get(URL, query, headers=bearer(alice_token))
            assert response.status_code == 200
            assert response.json().keys() == {"results", "next"}
            return [conversation["title"] for conversation in response.json()["results"]]

        return get

    def test_it_lists_the_callers_own_newest_first(self, titles: Any, alice: User, bob: User) -> None:
        for owner, title in [(alice, "First"), (alice, "Second"), (bob, "Of Bob")]:
            Conversation.objects.create(owner=owner, title=title)
        assert titles() == ["Second", "First"]

    def test_it_comes_in_pages(self, client: Client, alice: User, alice_token: str) -> None:
        for number in range(3):
            Conversation.objects.create(owner=alice, title=str(number))
        first = client.get(URL, {"limit": 2}, headers=bearer(alice_token)).json()
        second = client.get(first["next"], headers=bearer(alice_token)).json()
        assert [row["title"] for row in first["results"] + second["results"]] == ["2", "1", "0"]
        assert second["next"] is None

    @pytest.mark.parametrize(
        ("search", "found"),
        [
            ("paris", ["Paris"]),
            ("SEINE", ["Paris"]),
            ("capital", ["Paris", "Berlin"]),
            ("capital seine", ["Paris"]),
            ("berlin spree", ["Berlin"]),
            ("nothing", []),
            ("%", []),
            ("  ", ["Paris", "Berlin"]),
        ],
    )
    def test_it_finds_words_in_titles_questions_and_replies(
        self, titles: Any, alice: User, bob: User, search: str, found: list[str]
    ) -> None:
        for owner, title, river in [(alice, "Berlin", "Spree"), (alice, "Paris", "Seine"), (bob, "Bob", "Seine")]:
            conversation = Conversation.objects.create(owner=owner, title=title)
            make_turn(conversation, transcript="Which capital?", reply="It is this one.")
            make_turn(conversation, transcript="Which river?", reply=f"The {river}.")
        assert titles(search=search) == found
