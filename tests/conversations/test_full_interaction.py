from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
import requests
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.conversations.full_interaction_api import HEADER_TEXT_BYTES, header_text
from apps.conversations.models import Conversation, Turn
from apps.speech.audio.decoding import decode
from apps.voices.models import VoiceProfile
from tests.audio_samples import clip, mp4, silence, to_wav, webm
from tests.client import LONG_REPLY, NOWHERE, PATIENCE_SECONDS, QUESTION, Api, bearer, error_of, wait_until
from tests.conftest import serve
from tests.factories import make_voice
from tests.fakes.elevenlabs import CHARACTERS_PER_SECOND, SPEECH, elevenlabs_error
from tests.fakes.openai import CHAT, TRANSCRIPTIONS, openai_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.fakes.provider import FakeProvider


def test_it_answers_an_mp3_of_the_reply_with_both_texts(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    response = alice_api.full_interaction(voice.voice_id)
    assert response.status_code == 200
    headers = response.headers
    assert headers["Content-Type"] == "audio/mpeg"
    assert headers["X-Transcript"] == provider.behaviour.transcript
    assert headers["X-Response-Text"] == provider.behaviour.reply
    assert headers["X-Text-Encoding"] == "plain"
    assert headers["X-AI-Generated"] == "true"
    turn = Turn.objects.get()
    assert headers["X-Turn-Id"] == str(turn.pk)
    assert headers["X-Conversation-Id"] == str(turn.conversation_id)
    recording = decode(response.content, sample_rate=24_000, max_seconds=60)
    assert recording.seconds == pytest.approx(len(provider.behaviour.reply) / CHARACTERS_PER_SECOND, abs=0.2)


def test_the_sound_begins_while_the_answer_is_still_being_spoken(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    provider.behaviour.reply, provider.behaviour.audio_speed = LONG_REPLY, 2
    form = {"data": {"voice_id": voice.voice_id}, "files": {"audio_file": QUESTION}}
    with alice_api.post("/full-interaction", stream=True, **form) as response:
        chunks = response.iter_content(1000)
        mp3 = next(chunks)
        assert Turn.objects.get().status == "answered"
        assert response.headers["X-Response-Text"] == LONG_REPLY
        provider.behaviour.audio_speed = 0
        mp3 += b"".join(chunks)
    wait_until(lambda: Turn.objects.get().status == "spoken")
    recording = decode(mp3, sample_rate=24_000, max_seconds=60)
    assert recording.seconds == pytest.approx(len(LONG_REPLY) / CHARACTERS_PER_SECOND, abs=0.3)


def test_leaving_in_the_middle_of_the_sound_interrupts_the_turn(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    provider.behaviour.audio_speed = 1
    form = {"data": {"voice_id": voice.voice_id}, "files": {"audio_file": QUESTION}}
    with alice_api.post("/full-interaction", stream=True, **form) as response:
        assert next(response.iter_content(1000))
    wait_until(lambda: Turn.objects.get().status == "interrupted")
    assert all(speak.finished.wait(PATIENCE_SECONDS) for speak in provider.requests_to(SPEECH))


def test_a_voice_that_fails_in_the_middle_breaks_the_sound_off(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    provider.behaviour.audio_speed = 20
    provider.cut_after(SPEECH, 40_000, times=3)
    form = {"data": {"voice_id": voice.voice_id}, "files": {"audio_file": QUESTION}}
    with alice_api.post("/full-interaction", stream=True, **form) as response:
        assert response.status_code == 200
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            assert response.content
    turn = Turn.objects.get()
    assert (turn.status, turn.failed_stage) == ("failed", "speak")
    assert response.headers["X-Turn-Id"] == str(turn.pk)


@pytest.mark.django_db
def test_a_server_without_streams_answers_when_the_turn_is_over(
    client: Client, alice_token: str, remote_engines: FakeProvider, voice: VoiceProfile
) -> None:
    form = {"voice_id": voice.voice_id, "audio_file": SimpleUploadedFile("question.wav", QUESTION)}
    response = client.post("/full-interaction", form, headers=bearer(alice_token))
    assert response["X-Response-Text"] == remote_engines.behaviour.reply
    assert decode(response.content, sample_rate=24_000, max_seconds=60).seconds > 1


@pytest.mark.django_db
def test_a_server_without_streams_reports_a_voice_that_failed_in_the_middle(
    client: Client, alice_token: str, remote_engines: FakeProvider, voice: VoiceProfile
) -> None:
    remote_engines.cut_after(SPEECH, 40_000, times=3)
    form = {"voice_id": voice.voice_id, "audio_file": SimpleUploadedFile("question.wav", QUESTION)}
    response = client.post("/full-interaction", form, headers=bearer(alice_token))
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "provider_incomplete"
    assert response["X-Turn-Id"] == str(Turn.objects.get().pk)


def test_no_service_is_called_twice_for_the_same_thing(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    provider.behaviour.reply = LONG_REPLY
    alice_api.full_interaction(voice.voice_id)
    assert len(provider.requests_to(TRANSCRIPTIONS)) == 1
    (think,) = provider.requests_to(CHAT)
    assert think.json["stream"] is True
    assert think.json["messages"][-1] == {"role": "user", "content": provider.behaviour.transcript}
    # Two requests run concurrently, and may arrive in either order.
    spoken = sorted(provider.requests_to(SPEECH), key=lambda request: len(request.json.get("previous_text", "")))
    assert all(request.path.startswith(f"{SPEECH}/{voice.voice_id}") for request in spoken)
    texts = [request.json["text"] for request in spoken]
    assert len(texts) > 1
    assert " ".join(texts) == LONG_REPLY
    assert [request.json.get("previous_text", "") for request in spoken[:2]] == ["", texts[0]]


def test_everything_is_stored(alice_api: Api, alice: User, provider: FakeProvider, voice: VoiceProfile) -> None:
    response = alice_api.full_interaction(voice.voice_id)
    turn = Turn.objects.get()
    assert (turn.owner, turn.voice, turn.status) == (alice, voice, "spoken")
    assert (turn.transcript, turn.reply) == (provider.behaviour.transcript, provider.behaviour.reply)
    assert turn.question_seconds == pytest.approx(3.3, abs=0.1)
    assert turn.answer_seconds == pytest.approx(
        decode(response.content, sample_rate=24_000, max_seconds=60).seconds, abs=0.1
    )
    assert all(value is not None for value in turn.timings.values())
    assert turn.conversation.title == provider.behaviour.transcript
    voice.refresh_from_db()
    assert voice.last_used_at


@pytest.mark.parametrize(
    ("transcript", "reply"),
    [
        ("フランスの首都はどこですか。", "パリです。セーヌ川のほとりにあります。"),
        ("ما هي عاصمة فرنسا؟", "عاصمة فرنسا هي باريس."),
        ("What is the capital of France?", "It’s Paris – on the Seine."),
        ("Où est-ce ?", "100 % à Paris."),
    ],
    ids=["Japanese", "Arabic", "typographic", "French"],
)
def test_other_texts_than_ascii_are_percent_encoded(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile, transcript: str, reply: str
) -> None:
    provider.behaviour.transcript, provider.behaviour.reply = transcript, reply
    headers = alice_api.full_interaction(voice.voice_id).headers
    assert headers["X-Text-Encoding"] == "percent-utf8"
    assert unquote(headers["X-Transcript"], errors="strict") == transcript
    assert unquote(headers["X-Response-Text"], errors="strict") == reply


def test_a_reply_of_several_lines_does_not_break_the_headers(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    provider.behaviour.reply = "Paris.\r\nSet-Cookie: sessionid=evil\nOn the Seine."
    response = alice_api.full_interaction(voice.voice_id)
    assert "Set-Cookie" not in response.headers
    assert unquote(response.headers["X-Response-Text"]) == provider.behaviour.reply


def test_a_long_reply_is_cut_at_a_word_and_kept_whole_in_the_turn(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    provider.behaviour.reply = " ".join(["パリ"] * 250)
    headers = alice_api.full_interaction(voice.voice_id).headers
    assert unquote(headers["X-Response-Text"]) == " ".join(["パリ"] * 195)
    assert Turn.objects.get().reply == provider.behaviour.reply


@pytest.mark.parametrize(
    "text",
    ["word " * 900, "x" * 5000, "パ" * 1000, "كلمة " * 900, "パリ " * 1000, "é" * 4096, "a " * 4096],
    ids=["words", "one word", "without spaces", "Arabic", "Japanese with spaces", "two bytes", "short words"],
)
def test_the_cut_keeps_whole_words_and_characters_and_as_many_as_fit(text: str) -> None:
    text = text.strip()
    header = header_text(text, plain=text.isascii())
    assert 0.98 * HEADER_TEXT_BYTES < len(header) <= HEADER_TEXT_BYTES
    cut = unquote(header, errors="strict")
    assert text.startswith(cut)
    if " " in text:
        assert set(cut.split(" ")) == set(text.split(" "))


def test_a_text_of_exactly_the_limit_is_not_cut() -> None:
    text = "x" * (HEADER_TEXT_BYTES - 2) + " y"
    assert header_text(text, plain=True) == text


@pytest.mark.parametrize("encode", [webm, mp4], ids=["WebM", "MP4"])
def test_it_accepts_the_formats_that_browsers_record(
    alice_api: Api, voice: VoiceProfile, encode: Callable[..., bytes]
) -> None:
    assert alice_api.full_interaction(voice.voice_id, recording=encode(clip("austen-0930.wav"))).status_code == 200


def test_a_second_call_with_the_conversation_sends_the_first_as_history(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    first = alice_api.full_interaction(voice.voice_id)
    provider.behaviour.transcript = "How many people live there?"
    second = alice_api.full_interaction(voice.voice_id, conversation_id=first.headers["X-Conversation-Id"])
    assert second.headers["X-Conversation-Id"] == first.headers["X-Conversation-Id"]
    assert second.headers["X-Turn-Id"] != first.headers["X-Turn-Id"]
    messages = provider.requests_to(CHAT)[1].json["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert [message["content"] for message in messages[1:]] == [
        "What is the capital of France?",
        provider.behaviour.reply,
        "How many people live there?",
    ]
    assert Conversation.objects.count() == 1


def test_without_a_conversation_every_call_starts_one(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    alice_api.full_interaction(voice.voice_id)
    alice_api.full_interaction(voice.voice_id)
    assert Conversation.objects.count() == 2
    assert len(provider.requests_to(CHAT)[1].json["messages"]) == 2


def test_the_user_id_of_somebody_else_is_ignored(alice_api: Api, alice: User, bob: User, voice: VoiceProfile) -> None:
    assert alice_api.full_interaction(voice.voice_id, user_id=str(bob.pk)).status_code == 200
    assert Turn.objects.get().owner == alice


def test_a_voice_or_conversation_of_somebody_else_does_not_exist(
    bob_api: Api, bob: User, provider: FakeProvider, voice: VoiceProfile, conversation: Conversation
) -> None:
    foreign, unknown = bob_api.full_interaction(voice.voice_id), bob_api.full_interaction("unknown")
    assert foreign.status_code == unknown.status_code == 404
    assert error_of(foreign) == error_of(unknown)
    bobs_voice = make_voice(bob, provider.add_voice("Bob"))
    for conversation_id in (str(conversation.pk), str(uuid.uuid4())):
        response = bob_api.full_interaction(bobs_voice.voice_id, conversation_id=conversation_id)
        assert response.status_code == 404
        assert error_of(response)["code"] == "not_found"
    assert not provider.requests


def test_silence_is_refused_before_anything_is_paid(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    response = alice_api.full_interaction(voice.voice_id, recording=to_wav(silence(3)))
    assert response.status_code == 422
    assert error_of(response)["code"] == "nothing_heard"
    assert not provider.requests
    assert not Conversation.objects.exists()


def test_after_an_empty_transcript_no_further_call_is_paid(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    provider.behaviour.transcript = " "
    response = alice_api.full_interaction(voice.voice_id)
    assert response.status_code == 422
    assert error_of(response)["code"] == "nothing_heard"
    assert [request.path for request in provider.requests] == [TRANSCRIPTIONS]


def test_missing_and_bad_fields_are_named(alice_api: Api, voice: VoiceProfile) -> None:
    missing = alice_api.post("/full-interaction", files={"other": b"x"})
    assert missing.status_code == 400
    assert error_of(missing)["fields"].keys() == {"voice_id", "audio_file"}
    bad = alice_api.full_interaction(voice.voice_id, conversation_id="7")
    assert error_of(bad)["fields"].keys() == {"conversation_id"}


@pytest.mark.parametrize(
    ("recording", "code"), [(b"", "audio_empty"), (QUESTION[:2000][:44], "audio_"), (b"text", "audio_format_unknown")]
)
def test_data_that_is_not_a_recording_is_refused(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile, recording: bytes, code: str
) -> None:
    response = alice_api.full_interaction(voice.voice_id, recording=recording)
    assert response.status_code == 422
    assert error_of(response)["code"].startswith(code)
    assert not provider.requests


@pytest.mark.parametrize(
    ("path", "status", "body", "code", "answer"),
    [
        (TRANSCRIPTIONS, 401, openai_error("invalid_api_key"), "provider_key_invalid", 502),
        (TRANSCRIPTIONS, 400, openai_error("invalid_value"), "provider_audio_refused", 422),
        (TRANSCRIPTIONS, 500, "", "provider_failed", 502),
        (CHAT, 429, openai_error("insufficient_quota"), "provider_quota_exhausted", 502),
        (CHAT, 404, openai_error("model_not_found"), "provider_model_missing", 502),
        (CHAT, 429, openai_error("rate_limit_exceeded"), "provider_busy", 503),
        (SPEECH, 401, elevenlabs_error("quota_exceeded"), "provider_quota_exhausted", 502),
        (SPEECH, 404, elevenlabs_error("voice_not_found"), "provider_voice_missing", 502),
        (SPEECH, 503, "", "provider_busy", 503),
    ],
)
def test_a_failure_is_answered_with_its_code_and_kept(
    alice_api: Api,
    provider: FakeProvider,
    voice: VoiceProfile,
    path: str,
    status: int,
    body: dict[str, Any] | str,
    code: str,
    answer: int,
) -> None:
    provider.fail_next(path, status=status, body=body, headers={"retry-after": "0"}, times=10)
    response = alice_api.full_interaction(voice.voice_id)
    assert response.status_code == answer
    assert error_of(response)["code"] == code
    turn = Turn.objects.get()
    assert (turn.status, turn.error_code) == ("failed", code)
    assert turn.question


def test_when_the_provider_is_down_it_answers_503(
    transactional_db: None, alice_token: str, remote_engines: FakeProvider, settings: Settings, voice: VoiceProfile
) -> None:
    settings.STT_BASE_URL = settings.CHAT_BASE_URL = NOWHERE
    with serve() as server, Api(server.url, alice_token) as api:
        response = api.full_interaction(voice.voice_id)
    assert response.status_code == 503
    assert error_of(response)["code"] == "provider_unreachable"


def test_a_failure_names_the_turn_so_that_it_can_be_tried_again(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    provider.fail_next(CHAT, status=401, body=openai_error("invalid_api_key"))
    failed = alice_api.full_interaction(voice.voice_id)
    assert failed.headers["X-Conversation-Id"] == str(Turn.objects.get().conversation_id)
    retried = alice_api.post(f"/api/v1/turns/{failed.headers['X-Turn-Id']}/retry")
    assert retried.json()["status"] == "spoken"


def test_a_turn_that_is_stopped_before_it_spoke_is_answered_409(
    alice_api: Api, provider: FakeProvider, voice: VoiceProfile
) -> None:
    provider.behaviour.first_token_seconds = 60
    with ThreadPoolExecutor(1) as other:
        answer = other.submit(alice_api.full_interaction, voice.voice_id)
        wait_until(lambda: Turn.objects.filter(status="heard").exists())
        Turn.objects.update(stop_requested=True)
        response = answer.result()
    assert response.status_code == 409
    assert error_of(response)["code"] == "turn_stopped"
    assert Turn.objects.get().status == "interrupted"
