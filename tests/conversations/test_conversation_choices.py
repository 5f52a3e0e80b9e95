"""The language and the model of a conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apps.conversations.languages import Language
from apps.conversations.models import Conversation
from apps.conversations.pipeline.prompts import build_messages
from tests.client import Api, error_of
from tests.fakes.openai import CHAT, TRANSCRIPTIONS

if TYPE_CHECKING:
    from pytest_django import Settings

    from apps.voices.models import VoiceProfile
    from tests.fakes.provider import FakeProvider

CONVERSATIONS = "/api/v1/conversations"


def start(api: Api, voice: VoiceProfile, **choices: str) -> str:
    """Begin a conversation and return its address."""
    response = api.post(CONVERSATIONS, json={"voice": str(voice.pk), **choices})
    assert response.status_code == 201, response.text
    assert {name: response.json()[name] for name in choices} == choices
    return f"{CONVERSATIONS}/{response.json()['id']}"


class TestLanguage:
    def test_it_is_a_hint_for_hearing_and_a_rule_for_the_reply(
        self, alice_api: Api, provider: FakeProvider, voice: VoiceProfile
    ) -> None:
        start(alice_api, voice, language="fr")
        alice_api.ask(Conversation.objects.get())
        assert provider.requests_to(TRANSCRIPTIONS)[0].form["language"] == "fr"
        assert "Always answer in French" in provider.requests_to(CHAT)[0].json["messages"][0]["content"]

    def test_without_one_it_is_detected(self, alice_api: Api, provider: FakeProvider, voice: VoiceProfile) -> None:
        start(alice_api, voice)
        alice_api.ask(Conversation.objects.get())
        assert "language" not in provider.requests_to(TRANSCRIPTIONS)[0].form
        assert "Always answer" not in provider.requests_to(CHAT)[0].json["messages"][0]["content"]

    def test_it_can_be_changed_and_removed(self, alice_api: Api, voice: VoiceProfile) -> None:
        url = start(alice_api, voice, language="fr")
        for language in ("de", ""):
            assert alice_api.patch(url, json={"language": language}).json()["language"] == language

    @pytest.mark.parametrize(("said", "code"), [("German", "de"), ("de-AT", "de"), ("zh_TW", "zh"), ("auto", "")])
    def test_its_name_and_its_regions_are_the_language(
        self, alice_api: Api, voice: VoiceProfile, said: str, code: str
    ) -> None:
        url = start(alice_api, voice)
        assert alice_api.patch(url, json={"language": said}).json()["language"] == code

    def test_one_that_is_not_spoken_here_is_refused(self, alice_api: Api, voice: VoiceProfile) -> None:
        response = alice_api.post(CONVERSATIONS, json={"voice": str(voice.pk), "language": "tlh"})
        assert response.status_code == 400
        assert error_of(response)["fields"].keys() == {"language"}

    @pytest.mark.parametrize("language", Language.values)
    def test_each_is_named_to_the_model_in_english(self, language: str) -> None:
        [system, _question] = build_messages(persona="", language=language, earlier=[], transcript="Hello.")
        assert f"Always answer in {Language(language).label}, " in system.content


class TestModel:
    @pytest.fixture(autouse=True)
    def models(self, settings: Settings) -> None:
        settings.CHAT_MODEL = "site-model"
        settings.CHAT_MODELS = ["other-model"]

    # The server keeps the engines that it was started with, and with them the default model of that time.
    @pytest.mark.parametrize("chosen", ["other-model", "site-model", ""])
    def test_the_chosen_one_answers(
        self, alice_api: Api, provider: FakeProvider, voice: VoiceProfile, chosen: str
    ) -> None:
        start(alice_api, voice, model=chosen)
        alice_api.ask(Conversation.objects.get(), text="Hello?")
        [request] = provider.requests_to(CHAT)
        assert (request.json["model"] == "other-model") == (chosen == "other-model")

    def test_one_that_is_not_offered_is_refused(self, alice_api: Api, voice: VoiceProfile) -> None:
        response = alice_api.post(CONVERSATIONS, json={"voice": str(voice.pk), "model": "most-expensive"})
        assert response.status_code == 400
        assert error_of(response)["fields"].keys() == {"model"}

    def test_one_that_is_no_longer_offered_is_replaced_by_the_default(
        self, alice_api: Api, provider: FakeProvider, voice: VoiceProfile, settings: Settings
    ) -> None:
        start(alice_api, voice, model="other-model")
        settings.CHAT_MODELS = []
        turn = alice_api.ask(Conversation.objects.get(), text="Hello?").json()
        assert turn["status"] == "spoken"
        assert provider.requests_to(CHAT)[0].json["model"] != "other-model"
