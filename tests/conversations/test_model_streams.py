"""Streams of the servers that speak OpenAI's dialect, each through a whole turn: what is kept, shown and spoken.

`tests/data/streams/` has bodies of answers to `/chat/completions`, written as these servers document them.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from apps.conversations.models import Turn
from apps.speech.audio.decoding import decode
from tests.client import QUESTION, error_of
from tests.factories import make_turn
from tests.fakes.elevenlabs import SPEECH
from tests.fakes.openai import CHAT, event

if TYPE_CHECKING:
    from apps.conversations.models import Conversation
    from apps.voices.models import VoiceProfile
    from tests.client import Api
    from tests.fakes.provider import FakeProvider

FOLDER = Path(__file__).parents[1] / "data" / "streams"
STREAMS = {path.stem: path.read_bytes().decode() for path in FOLDER.glob("*.txt")}  # Some lines end in CR and LF.
EVENTS = {"content-type": "text/event-stream"}
DONE = b"data: [DONE]\n\n"
PARIS = "The capital of France is Paris, a city of two million people."
SMILE = "\N{GRINNING FACE}"
# The replies that are not PARIS, and the failures.
REPLIES = {
    "refusal": "I cannot help with that.",
    "split_surrogate": f"Nice day to you all, my friend {SMILE} is it not?",
    "finish_length": "The capital of France is Paris and the most…",
    "length_after_a_sentence": "The capital of France is Paris. …",
    "line_separators": PARIS.replace(" a city", "\u2028a city"),
    "emoji_only": SMILE,
}
# What was shown before the limit was known.
SAID = {"length_after_a_sentence": "The capital of France is Paris. It lies on the…"}
FAILURES = {"refusal_content_filter": "provider_refused"}
# Each hides something, and says PARIS: the ways in which models leak what is not meant for people.
LEAKS = [
    f"<think>\nMy secret plan.\n</think>\n\n{PARIS}",
    f"<thinking>secret <think>secret</think> secret</thinking>{PARIS}</s>",
    f"[THINK]secret[/THINK]{PARIS}<|im_end|>\n<|im_start|>user\nsecret",
    f"<|channel|>analysis<|message|>secret<|end|><|start|>assistant<|channel|>final<|message|>{PARIS}<|return|>",
    f"<|channel>thought\nsecret<channel|>{PARIS}<turn|>",
    f"<|im_start|>assistant\n<tool_call>secret</tool_call>{PARIS}<|eot_id|>",
    f"<|START_THINKING|>secret<|END_THINKING|><|START_RESPONSE|>{PARIS}<|END_RESPONSE|>",
    f"◁think▷secret◁/think▷{PARIS}<end_of_turn>\n<start_of_turn>user\nsecret<｜end▁of▁sentence｜>",
]


def answer_with(provider: FakeProvider, stream: str | bytes) -> None:
    body = stream if isinstance(stream, str) else stream.decode()
    provider.fail_next(CHAT, status=200, body=body, headers=EVENTS)


def spoken_texts(provider: FakeProvider) -> list[str]:
    """Return what the voice was given, in order: several segments are under way at once."""
    asked = [request.json for request in provider.requests_to(SPEECH)]
    return [each["text"] for each in sorted(asked, key=lambda each: len(each.get("previous_text") or ""))]


def words_of(*texts: str) -> list[str]:
    """Return the words of texts that are spoken one after the other, without marks that have no sound."""
    return "".join(char if char.isalnum() else " " for char in " ".join(texts)).split()


@pytest.mark.parametrize("name", sorted(STREAMS.keys() - FAILURES.keys()))
def test_the_reply_in_a_stream_is_kept_shown_and_spoken(
    alice_api: Api, provider: FakeProvider, conversation: Conversation, name: str
) -> None:
    reply = REPLIES.get(name, PARIS)
    answer_with(provider, STREAMS[name])

    events = alice_api.events_of_turn(conversation, text="What is the capital of France?")

    turn = Turn.objects.get()
    assert (turn.status, turn.error_code, turn.reply) == ("spoken", "", reply)
    said = "".join(event.data["delta"] for event in events if event.name == "said").strip()
    assert said == SAID.get(name, reply)
    assert events[-1].data["reply"] == reply
    assert words_of(*spoken_texts(provider)) == words_of(reply)
    assert len(provider.requests_to(CHAT)) == 1


@pytest.mark.parametrize("name", sorted(FAILURES))
def test_a_refusal_without_words_is_named(
    alice_api: Api, provider: FakeProvider, conversation: Conversation, name: str
) -> None:
    answer_with(provider, STREAMS[name])

    turn = alice_api.ask(conversation, text="What is the capital of France?").json()

    assert turn["error"]["code"] == FAILURES[name]
    assert not turn["error"]["retryable"]


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("cut", ["single characters", "random"])
def test_no_cut_into_deltas_lets_control_text_through(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile, leak: str, cut: str
) -> None:
    answer_with(provider, b"".join(map(delta, pieces(leak, 1 if cut == "single characters" else 9))) + DONE)

    response = alice_api.full_interaction(voice.voice_id)

    assert response.status_code == 200
    assert unquote(response.headers["X-Response-Text"]) == Turn.objects.get().reply == PARIS
    assert words_of(*spoken_texts(provider)) == words_of(PARIS)


def pieces(text: str, longest: int) -> list[str]:
    source = random.Random(text)  # noqa: S311 - the same cuts in every run
    found = []
    while text:
        length = source.randint(1, longest)
        found.append(text[:length])
        text = text[length:]
    return found


def delta(text: str, **fields: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text, **fields}, "finish_reason": None}]})


def test_a_mere_emoji_is_a_silent_answer(alice_api: Api, provider: FakeProvider, voice: VoiceProfile) -> None:
    answer_with(provider, STREAMS["emoji_only"])

    key = {"Idempotency-Key": "smile"}
    form: dict[str, Any] = {"data": {"voice_id": voice.voice_id}, "headers": key}
    first, again = (alice_api.post("/full-interaction", files={"audio_file": QUESTION}, **form) for _ in range(2))

    turn = Turn.objects.get()
    assert (turn.status, bool(turn.answer)) == ("spoken", False)
    for response in (first, again):
        assert (response.status_code, response.headers["Content-Type"]) == (200, "audio/mpeg")
        assert unquote(response.headers["X-Response-Text"]) == SMILE
        assert decode(response.content, sample_rate=24_000, max_seconds=1).seconds < 0.5
    audio = alice_api.get(f"/api/v1/turns/{turn.pk}/audio")
    assert error_of(audio)["code"] == "audio_not_found"


def test_reasoning_that_passed_unnoticed_is_not_kept_and_does_not_pass_again(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    """Only the mark that ends it tells that it is reasoning. From then on, replies of the model wait for that mark."""
    stream = delta("My secret plan. ") + delta("It goes on.</think>") + delta(PARIS) + DONE
    for _ in range(2):
        answer_with(provider, stream)

    failed = alice_api.ask(conversation, text="What is the capital of France?").json()
    error = failed["error"]
    assert (error["code"], error["retryable"], failed["reply"]) == ("provider_answer_invalid", True, "")
    retried = alice_api.post(f"/api/v1/turns/{failed['id']}/retry").json()
    assert (retried["status"], retried["reply"]) == ("spoken", PARIS)
    answer_with(provider, delta(PARIS) + DONE)
    assert alice_api.ask(conversation, text="And again?").json()["reply"] == PARIS


def test_questions_without_a_reply_are_put_before_the_next_one(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    make_turn(conversation, status="interrupted", transcript="One?", reply="Not heard.", spoken_text="")
    alice_api.ask(conversation, text="Two?")

    messages = provider.requests_to(CHAT)[-1].json["messages"]
    assert [message["role"] for message in messages] == ["system", "user"]
    assert messages[-1]["content"] == "One?\n\nTwo?"
