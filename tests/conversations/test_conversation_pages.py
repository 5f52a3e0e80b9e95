from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.core.files.storage import default_storage
from django.urls import reverse
from django.utils.html import strip_tags

from apps.conversations.history import CONVERSATIONS_PER_PAGE
from apps.conversations.languages import Language
from apps.conversations.models import Conversation, Turn
from apps.conversations.personas import PRESETS
from apps.conversations.views import RECENT_CONVERSATIONS, TURNS_PER_PAGE
from apps.speech.configs import local_config
from apps.speech.local.chat_choice import BETTER, SMALL, Choice, note_loaded, remember_speed
from apps.speech.local.phonemes import ESPEAK_NAMES
from tests.client import messages_of
from tests.factories import make_turn, make_voice

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User
    from apps.voices.models import VoiceProfile


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    """A browser in which Alice is signed in."""
    client.force_login(alice)
    return client


class TestTalk:
    URL = "/talk/"

    def test_it_needs_no_voice_to_be_shown(self, page: Client) -> None:
        response = page.get(self.URL)
        assert response.status_code == 200
        assert response.context["selected_voice"] is None

    def test_it_offers_the_ready_voices_and_chooses_the_default(
        self, page: Client, alice: User, bob: User, voice: VoiceProfile
    ) -> None:
        other = make_voice(alice, "other")
        make_voice(alice, "", status="failed")
        make_voice(bob, "bobs")
        context = page.get(self.URL).context
        assert set(context["voices"]) == {voice, other}
        assert context["selected_voice"] == voice

    def test_it_lists_the_latest_own_conversations(
        self, page: Client, alice: User, bob: User, conversation: Conversation
    ) -> None:
        Conversation.objects.create(owner=bob, title="Bob's")
        for number in range(RECENT_CONVERSATIONS):
            Conversation.objects.create(owner=alice, title=f"Talk {number}")
        titles = [each.title for each in page.get(self.URL).context["recent"]]
        assert titles == [f"Talk {number}" for number in reversed(range(RECENT_CONVERSATIONS))]
        shown = page.get(f"{self.URL}{Conversation.objects.get(title='Talk 3').pk}/")
        assert 'aria-current="page">Talk 3<' in shown.content.decode()

    def test_a_persona_that_is_none_of_the_presets_is_shown_as_an_own_one(
        self, page: Client, conversation: Conversation, voice: VoiceProfile
    ) -> None:
        for persona, is_own in (("", False), (str(PRESETS[0][1]), False), ("A pirate.", True)):
            conversation.persona = persona
            conversation.save()
            assert page.get(f"{self.URL}{conversation.pk}/").context["has_own_persona"] == is_own

    def test_a_link_can_name_the_voice(self, page: Client, alice: User, bob: User, voice: VoiceProfile) -> None:
        other, bobs = make_voice(alice, "other"), make_voice(bob, "bobs")
        assert page.get(self.URL, {"voice": str(other.pk)}).context["selected_voice"] == other
        for bad in (str(bobs.pk), "7", ""):
            assert page.get(self.URL, {"voice": bad}).context["selected_voice"] == voice

    def test_it_names_the_languages_of_the_embedded_voices(
        self, page: Client, voice: VoiceProfile, settings: Settings
    ) -> None:
        settings.TEXT_TO_SPEECH = "local"
        help_text = page.get(self.URL).content.decode().split('id="language-help">')[1].split(".")[0]
        assert all(str(Language(code).label) in help_text for code in ESPEAK_NAMES)
        settings.TEXT_TO_SPEECH = "elevenlabs"
        assert "language-help" not in page.get(self.URL).content.decode()

    def test_without_a_default_it_chooses_some_voice(self, page: Client, alice: User) -> None:
        voice = make_voice(alice, "one")
        assert page.get(self.URL).context["selected_voice"] == voice


class TestDetail:
    def test_it_shows_its_turns(self, page: Client, conversation: Conversation) -> None:
        turn = make_turn(conversation)
        make_turn(Conversation.objects.create(owner=conversation.owner), reply="Elsewhere.")
        response = page.get(reverse("conversations:detail", args=[conversation.pk]))
        assert list(response.context["turns"]) == [turn]
        assert turn.transcript in response.content.decode()
        assert "Elsewhere." not in response.content.decode()

    @pytest.mark.parametrize("status", Turn.Status.values)
    def test_it_shows_turns_in_every_state(self, page: Client, conversation: Conversation, status: str) -> None:
        make_turn(conversation, status=status, error_code="provider_busy" if status == "failed" else "", reply="")
        assert page.get(reverse("conversations:detail", args=[conversation.pk])).status_code == 200

    def test_its_texts_are_escaped(self, page: Client, conversation: Conversation) -> None:
        make_turn(conversation, transcript="<img src=x onerror=a>", reply="<script>alert(1)</script>")
        Conversation.objects.update(title="<b>bold</b>", persona="</textarea><i>")
        text = page.get(reverse("conversations:detail", args=[conversation.pk])).content.decode()
        for raw in ("<img src=x", "<script>alert", "<b>bold", "</textarea><i>"):
            assert raw not in text

    @pytest.mark.parametrize(
        ("code", "offered"), [("provider_busy", True), ("internal_error", True), ("nothing_heard", False)]
    )
    def test_it_offers_another_attempt_if_that_may_succeed(
        self, page: Client, conversation: Conversation, code: str, offered: bool
    ) -> None:
        turn = make_turn(conversation, status="failed", error_code=code, reply="")
        text = page.get(reverse("conversations:detail", args=[conversation.pk])).content.decode()
        [shown] = [part for part in text.split("<li ") if str(turn.pk) in part]
        assert ('class="button retry">' in shown) == offered  # Or it is hidden.

    def test_a_long_conversation_comes_in_parts_the_latest_first(
        self, page: Client, conversation: Conversation
    ) -> None:
        turns = [make_turn(conversation, question="", answer="") for _count in range(TURNS_PER_PAGE + 2)]
        url = reverse("conversations:detail", args=[conversation.pk])
        latest = page.get(url).context
        assert (latest["turns"], latest["has_earlier_turns"]) == (turns[2:], True)
        earlier = page.get(url, {"before": str(turns[2].pk)}).context
        assert (earlier["turns"], earlier["has_earlier_turns"], earlier["looking_back"]) == (turns[:2], False, True)

    @pytest.mark.parametrize("before", ["", "7", "00000000-0000-0000-0000-000000000000"])
    def test_an_unknown_part_shows_the_latest_turns(
        self, page: Client, conversation: Conversation, before: str
    ) -> None:
        turn = make_turn(conversation)
        context = page.get(reverse("conversations:detail", args=[conversation.pk]), {"before": before}).context
        assert (context["turns"], context["looking_back"]) == ([turn], False)

    def test_a_choice_of_models_is_offered_if_there_are_several(
        self, page: Client, conversation: Conversation, settings: Settings
    ) -> None:
        settings.LANGUAGE_MODEL = "openai"
        settings.CHAT_MODEL = "first-model"
        url = reverse("conversations:detail", args=[conversation.pk])
        for others, offered in (([], False), (["second-model"], True)):
            settings.CHAT_MODELS = others
            text = page.get(url).content.decode()
            assert "first-model" in text
            assert ('<select id="model"' in text) == offered

    def test_a_local_model_is_shown_without_its_path(
        self, page: Client, conversation: Conversation, settings: Settings
    ) -> None:
        settings.LOCAL_CHAT_MODEL = "/srv/secret/place/model.gguf"
        text = page.get(reverse("conversations:detail", args=[conversation.pk])).content.decode()
        assert "model.gguf (small model on this machine)" in text
        assert "/srv" not in text

    @pytest.mark.parametrize(
        ("choice", "note"),
        [
            (Choice(SMALL, "low_memory", 40.0), "this machine has too little free memory for a better one"),
            (Choice(SMALL, "low_disk"), "the disk of this machine is too full"),
            (Choice(SMALL, "too_slow"), "this machine is too slow for a better one"),
            (Choice(SMALL, "not_downloaded"), "the better one is not downloaded yet"),
            (Choice(BETTER, "fits", 2.0), "more slowly on this machine than a voice speaks"),
            (Choice(BETTER, "fits", 9.0), ""),
        ],
    )
    def test_it_tells_why_to_expect_less_of_a_local_model(
        self, page: Client, conversation: Conversation, settings: Settings, tmp_path: Path, choice: Choice, note: str
    ) -> None:
        settings.LOCAL_CHAT_MODEL, settings.MODELS_DIR = "auto", tmp_path
        note_loaded("auto", tmp_path, choice)
        response = page.get(reverse("conversations:detail", args=[conversation.pk]))
        assert response.context["chat_models"] == [choice.model]
        assert note in response.context["chat_model_note"]
        assert bool(note) == bool(response.context["chat_model_note"])
        assert note in response.content.decode()

    def test_it_tells_nothing_of_a_local_model_that_is_not_used(
        self, page: Client, conversation: Conversation, settings: Settings, tmp_path: Path
    ) -> None:
        settings.LANGUAGE_MODEL, settings.LOCAL_CHAT_MODEL, settings.MODELS_DIR = "openai", "auto", tmp_path
        note_loaded("auto", tmp_path, Choice(SMALL, "too_slow"))
        response = page.get(reverse("conversations:detail", args=[conversation.pk]))
        assert response.context["chat_model_note"] == ""

    @pytest.mark.parametrize(
        ("voice_speed", "tokens_per_second", "has_pauses"),
        [(0.9, 60.0, True), (1.6, 8.0, True), (1.6, 60.0, False), (1.6, None, False)],
    )
    def test_it_tells_that_answers_have_pauses_where_this_machine_cannot_keep_up(
        self,
        page: Client,
        voice: VoiceProfile,
        settings: Settings,
        tmp_path: Path,
        voice_speed: float,
        tokens_per_second: float | None,
        has_pauses: bool,
    ) -> None:
        settings.TEXT_TO_SPEECH, settings.MODELS_DIR = "local", tmp_path
        remember_speed(local_config().kokoro_path, tmp_path, voice_speed)
        note_loaded(settings.LOCAL_CHAT_MODEL, tmp_path, Choice(SMALL, "named", tokens_per_second))
        settings.LANGUAGE_MODEL = "local"
        assert ("there are pauses in answers" in page.get(TestTalk.URL).content.decode()) == has_pauses

    def test_it_tells_nothing_of_an_embedded_voice_that_is_not_used(
        self, page: Client, voice: VoiceProfile, settings: Settings, tmp_path: Path
    ) -> None:
        settings.TEXT_TO_SPEECH, settings.MODELS_DIR = "elevenlabs", tmp_path
        remember_speed(local_config().kokoro_path, tmp_path, 0.1)
        assert "there are pauses in answers" not in page.get(TestTalk.URL).content.decode()

    @pytest.mark.parametrize(("engine", "suggestion"), [("local", "capital of France"), ("openai", "job interview")])
    def test_suggestions_suit_the_language_model(
        self, page: Client, conversation: Conversation, settings: Settings, engine: str, suggestion: str
    ) -> None:
        settings.LANGUAGE_MODEL = engine
        text = page.get(reverse("conversations:detail", args=[conversation.pk])).content.decode()
        assert suggestion in text

    def test_it_chooses_the_voice_of_the_conversation(
        self, page: Client, alice: User, voice: VoiceProfile, conversation: Conversation
    ) -> None:
        other = make_voice(alice, "other")
        Conversation.objects.update(voice=other)
        url = reverse("conversations:detail", args=[conversation.pk])
        assert page.get(url).context["selected_voice"] == other
        other.delete()
        assert page.get(url).context["selected_voice"] is None


def listed(page: Client, **query: str) -> list[Conversation]:
    return [row.conversation for row in page.get(TestHistory.URL, query).context["page_obj"]]


class TestHistory:
    URL = "/history/"

    def test_it_lists_own_conversations_with_the_number_of_turns(
        self, page: Client, bob: User, conversation: Conversation
    ) -> None:
        make_turn(conversation)
        make_turn(conversation)
        Conversation.objects.create(owner=bob)
        (shown,) = page.get(self.URL).context["page_obj"]
        assert (shown.conversation, shown.turn_count) == (conversation, 2)

    def test_the_one_with_the_latest_turn_comes_first(self, page: Client, alice: User) -> None:
        older, newer = [Conversation.objects.create(owner=alice) for _count in range(2)]
        assert listed(page) == [newer, older]
        older.save()
        assert listed(page) == [older, newer]

    def test_a_search_narrows_the_list_but_not_the_number_of_turns(
        self, page: Client, conversation: Conversation
    ) -> None:
        make_turn(conversation, transcript="Where is the river Seine?")
        make_turn(conversation, transcript="Where is the river Spree?")
        Conversation.objects.create(owner=conversation.owner, title="Another")
        (shown,) = page.get(self.URL, {"q": "seine river"}).context["page_obj"]
        assert (shown.conversation, shown.turn_count) == (conversation, 2)

    def test_it_shows_the_latest_turn_that_has_all_words_of_the_search(
        self, page: Client, conversation: Conversation
    ) -> None:
        make_turn(conversation, transcript="Which rivers are there?", reply="The Seine and the Spree.")
        make_turn(conversation, transcript="Where is the Seine?", reply="In France.")
        make_turn(conversation, transcript="Thank you.", reply="Good bye.")
        for search, reply in (("", "Good bye."), ("seine", "In France."), ("spree seine", "The Seine and the Spree.")):
            (shown,) = page.get(self.URL, {"q": search}).context["page_obj"]
            assert strip_tags(shown.reply) == reply

    def test_a_search_for_markup_is_escaped(self, page: Client) -> None:
        assert b"<script>alert" not in page.get(self.URL, {"q": "<script>alert(1)</script>"}).content

    @pytest.mark.parametrize("number", ["0", "2", "3", "-1", "x"])
    def test_long_histories_come_in_pages_and_every_number_is_one(self, page: Client, alice: User, number: str) -> None:
        for _count in range(CONVERSATIONS_PER_PAGE + 1):
            Conversation.objects.create(owner=alice)
        response = page.get(self.URL, {"page": number})
        assert response.status_code == 200
        assert len(response.context["page_obj"]) in {1, CONVERSATIONS_PER_PAGE}


class TestActions:
    def test_rename(self, page: Client, conversation: Conversation) -> None:
        response = page.post(reverse("conversations:rename", args=[conversation.pk]), {"title": "Paris"})
        assert response["Location"] == TestHistory.URL
        conversation.refresh_from_db()
        assert conversation.title == "Paris"

    @pytest.mark.parametrize(
        ("address", "location"),
        [
            ("/history/?q=a&page=2", "/history/?q=a&page=2"),
            ("https://evil.example/", "/history/"),
            ("//evil.example", "/history/"),
        ],
    )
    def test_rename_redirects_to_the_page_of_the_form(
        self, page: Client, conversation: Conversation, address: str, location: str
    ) -> None:
        url = reverse("conversations:rename", args=[conversation.pk])
        assert page.post(url, {"title": "Paris", "next": address})["Location"] == location

    def test_rename_refuses_a_long_title(self, page: Client, conversation: Conversation) -> None:
        response = page.post(reverse("conversations:rename", args=[conversation.pk]), {"title": "x" * 121})
        assert messages_of(response) == ["error"]
        conversation.refresh_from_db()
        assert conversation.title == ""

    def test_delete_asks_first_and_names_it(self, page: Client, conversation: Conversation) -> None:
        address = reverse("conversations:delete", args=[conversation.pk])
        assert "Delete the conversation “Conversation”?" in page.get(address).content.decode()
        make_turn(conversation)
        assert "Delete the conversation “What is the capital of France?”?" in page.get(address).content.decode()
        Conversation.objects.update(title="Paris")
        assert "Delete the conversation “Paris”?" in page.get(address).content.decode()
        assert Conversation.objects.exists()

    def test_delete(self, page: Client, conversation: Conversation) -> None:
        turn = make_turn(conversation)
        response = page.post(reverse("conversations:delete", args=[conversation.pk]))
        assert response["Location"] == TestHistory.URL
        assert not Conversation.objects.exists()
        assert not default_storage.exists(str(turn.answer.name))

    def test_a_link_changes_nothing(self, page: Client, conversation: Conversation) -> None:
        assert page.get(reverse("conversations:rename", args=[conversation.pk])).status_code == 405
