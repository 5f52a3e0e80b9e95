"""What a voice is given for numbers, money, dates and abbreviations, through every door; the reply stays as written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from apps.conversations.models import Turn
from apps.conversations.pipeline.spoken_answer import SpokenSegment, heard_text, text_within
from apps.usage.models import UsageRecord
from tests.client import wait_until
from tests.fakes.elevenlabs import SPEECH, elevenlabs_error

if TYPE_CHECKING:
    from pytest_django import Settings

    from apps.conversations.models import Conversation
    from apps.voices.models import VoiceProfile
    from tests.client import Api
    from tests.fakes.provider import FakeProvider

SENTENCES: dict[str, dict[str, str]] = json.loads(
    (Path(__file__).parents[1] / "data" / "spoken_numbers.json").read_text(encoding="utf-8")
)
WRITTEN = "It costs $29.50, and Dr. Lee leaves at 14:30 on March 3rd, 2026."
SPOKEN = (
    "It costs twenty-nine dollars and fifty cents, and Doctor Lee leaves at fourteen thirty on March third, twenty "
    "twenty-six."
)


def spoken_texts(provider: FakeProvider) -> str:
    """Return what the voice was given, in order: several segments are under way at once."""
    asked = [request.json for request in provider.requests_to(SPEECH)]
    return " ".join(each["text"] for each in sorted(asked, key=lambda each: len(each.get("previous_text") or "")))


@pytest.mark.parametrize("language", SENTENCES)
def test_the_sentences_of_a_reply_are_spoken_in_words_and_kept_as_written(
    alice_api: Api, provider: FakeProvider, conversation: Conversation, language: str
) -> None:
    provider.behaviour.reply = " ".join(SENTENCES[language])
    provider.behaviour.languages = [language]
    events = alice_api.events_of_turn(conversation)
    assert spoken_texts(provider) == " ".join(SENTENCES[language].values())
    turn = Turn.objects.get()
    assert turn.reply == provider.behaviour.reply
    shown = {event.data["index"]: event.data["text"] for event in events if event.name == "spoken"}
    assert " ".join(shown.values()) == provider.behaviour.reply


def test_the_language_of_the_conversation_decides_for_short_replies(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    conversation.language = "de"
    conversation.save()
    provider.behaviour.reply = "3,5 %."
    alice_api.ask(conversation, text="?")
    assert spoken_texts(provider) == "drei Komma fünf Prozent."


@pytest.mark.parametrize(
    "call",
    [
        ("/v1/audio/speech", {"input": WRITTEN, "response_format": "pcm"}),
        ("/api/v1/speech", {"text": WRITTEN, "format": "pcm"}),
    ],
)
def test_a_single_text_is_spoken_in_words(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile, call: tuple[str, dict[str, str]]
) -> None:
    path, body = call
    assert alice_api.post(path, json=body | {"voice": str(voice.pk)}).status_code == 200
    assert spoken_texts(provider) == SPOKEN
    wait_until(UsageRecord.objects.exists)
    sent = sum(len(request.json["text"]) for request in provider.requests_to(SPEECH))
    assert UsageRecord.objects.get().spoken_characters == sent


def test_the_language_of_a_single_text_is_told_from_all_of_it(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    text = "Total: 3,5 km, und das ist nicht viel für einen ganzen Tag."
    alice_api.post("/v1/audio/speech", json={"input": text, "voice": str(voice.pk)})
    assert spoken_texts(provider) == "Total: drei Komma fünf Kilometer, und das ist nicht viel für einen ganzen Tag."


def test_a_preview_is_spoken_in_words(alice_api: Api, provider: FakeProvider, voice: VoiceProfile) -> None:
    alice_api.post(f"/api/v1/voices/{voice.pk}/preview", json={"text": WRITTEN})
    assert provider.last_request.json["text"] == SPOKEN


def test_a_model_that_reads_numbers_by_itself_gets_them_as_written(
    alice_api: Api, provider: FakeProvider, conversation: Conversation, settings: Settings
) -> None:
    settings.ELEVENLABS_TTS_MODEL = "eleven_multilingual_v2"
    provider.behaviour.reply = WRITTEN
    alice_api.ask(conversation, text="When?")
    assert spoken_texts(provider) == WRITTEN


def test_what_was_heard_of_numbers_is_remembered_as_written(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.reply = WRITTEN
    turn = alice_api.ask(conversation, text="When?").json()
    heard = turn["answer_seconds"] * (len("It costs twenty-nine dollars and fifty cents, and Doctor L") / len(SPOKEN))
    alice_api.post(f"/api/v1/turns/{turn['id']}/stop", json={"heard_seconds": heard})
    assert Turn.objects.get().spoken_text == "It costs $29.50, and Dr."


def test_a_retry_goes_on_after_the_numbers_that_were_spoken(
    alice_api: Api, provider: FakeProvider, conversation: Conversation, settings: Settings
) -> None:
    settings.SPEECH_IN_FLIGHT = 1
    provider.behaviour.reply = WRITTEN
    provider.delay(SPEECH, 0)  # The first segment is spoken,
    provider.fail_next(SPEECH, status=401, body=elevenlabs_error("quota_exceeded"))  # the second fails.
    turn = alice_api.ask(conversation, text="When?").json()
    assert turn["status"] == "failed"
    assert Turn.objects.get().spoken_text == "It costs $29.50, and Dr. Lee leaves"
    provider.requests.clear()
    assert alice_api.post(f"/api/v1/turns/{turn['id']}/retry").json()["status"] == "spoken"
    assert spoken_texts(provider) == SPOKEN[SPOKEN.index("at fourteen") :]


@pytest.mark.parametrize(
    ("written", "spoken", "heard", "expected"),
    [
        (
            "It costs $29.50 today.",
            "It costs twenty-nine dollars and fifty cents today.",
            "It costs twenty",
            "It costs",
        ),
        (
            "It costs $29.50 today.",
            "It costs twenty-nine dollars and fifty cents today.",
            "It costs twenty-nine dollars and fifty cents to",
            "It costs $29.50",
        ),
        (
            "Am 21. März um 8 Uhr.",
            "Am einundzwanzigsten März um acht Uhr.",
            "Am einundzwanzigsten März u",
            "Am 21. März",
        ),
        ("5 km", "five kilometers", "five kilom", ""),
        ("Just words here.", "Just words here.", "Just words h", "Just words"),
        ("今天天气很好", "今天天气很好", "今天天", "今天天"),
    ],
)
def test_the_words_heard_are_those_of_which_everything_was_said(
    written: str, spoken: str, heard: str, expected: str
) -> None:
    assert spoken.startswith(heard)
    assert heard_text(written, spoken, len(heard) / len(spoken)) == expected
    assert heard_text(written, spoken, 1) == written


def test_a_segment_that_is_not_complete_lasts_as_long_as_its_words() -> None:
    spoken = "five hundred thousand dollars and fifty cents or less"
    segment = SpokenSegment(0, "$500,000.50 or less", spoken, seconds=0.1)
    assert text_within([segment], len(spoken) / 15 * 0.6) == ""
    assert text_within([segment], len(spoken) / 15 * 0.95) == "$500,000.50 or"
