"""Noise is no question: it is not sent to the paid service, and what a model makes up from it is not answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apps.conversations.models import Turn
from tests.audio_samples import clip, to_wav
from tests.client import Api, error_of, turns_path
from tests.fakes.openai import TRANSCRIPTIONS
from tests.noise_samples import NOISES, in_noise, noise_of, surrounded

if TYPE_CHECKING:
    from apps.conversations.models import Conversation
    from apps.voices.models import VoiceProfile
    from tests.fakes.provider import FakeProvider

LIKE_SPEECH = to_wav(noise_of("melody", seconds=4, seed=2))  # The voice detector hears a short word in it.
CLEAR = to_wav(clip("austen-0930.wav"))
MADE_UP = ["Thank you for watching!", "[BLANK_AUDIO]", "Untertitel der Amara.org-Community", "you", "(music)"]


def transcribe(api: Api, recording: bytes, **fields: str) -> dict[str, str]:
    response = api.post(
        "/v1/audio/transcriptions", data={"model": "any"} | fields, files={"file": ("question.wav", recording)}
    )
    assert response.status_code == 200, response.text
    answer: dict[str, str] = response.json()
    return answer


def paths(provider: FakeProvider) -> list[str]:
    return [request.path for request in provider.requests]


@pytest.mark.parametrize("kind", NOISES)
def test_noise_is_not_sent(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile, conversation: Conversation, kind: str
) -> None:
    noise = to_wav(noise_of(kind, seconds=5))
    turn = alice_api.post(turns_path(conversation), files={"audio": noise})
    streamed = alice_api.post(turns_path(conversation), files={"audio": noise}, headers={"Accept": "text/event-stream"})
    interaction = alice_api.full_interaction(voice.voice_id, recording=noise)
    for refusal in (turn, streamed, interaction):
        assert (refusal.status_code, error_of(refusal)["code"]) == (422, "nothing_heard")
    assert transcribe(alice_api, noise)["text"] == ""
    assert alice_api.post("/api/v1/transcriptions", files={"audio": noise}).json()["text"] == ""
    assert not provider.requests
    assert not Turn.objects.exists()


@pytest.mark.parametrize("text", [*MADE_UP, ".", "♪"])
def test_what_a_model_makes_up_is_not_answered(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile, conversation: Conversation, text: str
) -> None:
    provider.behaviour.transcript = text
    refusal = alice_api.full_interaction(voice.voice_id, recording=LIKE_SPEECH)
    assert (refusal.status_code, error_of(refusal)["code"]) == (422, "nothing_heard")
    turn = alice_api.post(turns_path(conversation), files={"audio": LIKE_SPEECH}).json()
    assert (turn["transcript"], turn["error"]["code"]) == ("", "nothing_heard")
    assert transcribe(alice_api, LIKE_SPEECH)["text"] == ""
    assert alice_api.post("/api/v1/transcriptions", files={"audio": LIKE_SPEECH}).json()["text"] == ""
    assert paths(provider) == [TRANSCRIPTIONS] * 4


@pytest.mark.parametrize("text", MADE_UP)
def test_the_same_words_are_heard_from_a_person(
    alice_api: Api, provider: FakeProvider, conversation: Conversation, text: str
) -> None:
    provider.behaviour.transcript = text
    turn = alice_api.post(turns_path(conversation), files={"audio": CLEAR}).json()
    assert (turn["transcript"], turn["status"]) == (text, "spoken")
    assert transcribe(alice_api, CLEAR)["text"] == text


def test_a_sentence_in_a_long_noise_or_silence_is_heard(alice_api: Api, provider: FakeProvider) -> None:
    provider.behaviour.transcript = "Thank you for watching!"
    spoken = surrounded(clip("austen-0880.wav"), 13)
    for recording in (spoken, in_noise(spoken, "fan", over_noise_db=0)):
        assert transcribe(alice_api, to_wav(recording))["text"] == "Thank you for watching!"


def test_other_words_are_not_judged(alice_api: Api, provider: FakeProvider) -> None:
    provider.behaviour.transcript = "What is the capital of France?"
    assert transcribe(alice_api, LIKE_SPEECH)["text"] == "What is the capital of France?"
    assert transcribe(alice_api, CLEAR)["text"] == "What is the capital of France?"
