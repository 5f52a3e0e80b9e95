"""What `/v1/realtime` refuses, and says so."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from apps.conversations.models import Turn
from apps.voices.models import VoiceProfile
from tests.conftest import Server
from tests.conversations.live.client import PUSH_TO_TALK, TEXT_ONLY, hold, live, silence, typed
from tests.fakes.provider import FakeProvider

AUDIO = "session.audio"
SESSIONS: list[tuple[dict[str, Any], str]] = [
    ({"type": "transcription"}, "session.type"),
    ({"tools": [{"type": "function", "name": "f"}]}, "session.tools"),
    ({"instructions": 5}, "session.instructions"),
    ({"instructions": "x" * 2001}, "session.instructions"),
    ({"output_modalities": ["audio", "text"]}, "session.output_modalities"),
    ({"max_output_tokens": 0}, "session.max_output_tokens"),
    ({"audio": {"input": {"format": {"type": "audio/pcmu"}}}}, f"{AUDIO}.input.format"),
    ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}, f"{AUDIO}.input.format"),
    ({"audio": {"output": {"format": "pcm16"}}}, f"{AUDIO}.output.format"),
    ({"audio": {"output": {"voice": "Nobody"}}}, f"{AUDIO}.output.voice"),
    ({"audio": {"output": {"voice": 7}}}, f"{AUDIO}.output.voice"),
    ({"audio": {"output": {"speed": 9}}}, f"{AUDIO}.output.speed"),
    ({"audio": {"input": {"turn_detection": {"type": "psychic"}}}}, f"{AUDIO}.input.turn_detection.type"),
    ({"audio": {"input": {"turn_detection": {"type": []}}}}, f"{AUDIO}.input.turn_detection.type"),
    (
        {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}}},
        f"{AUDIO}.input.turn_detection.threshold",
    ),
    ({"audio": {"input": {"transcription": {"language": 4}}}}, f"{AUDIO}.input.transcription.language"),
    ({"audio": {"input": {"transcription": {"prompt": "Zed"}}}}, f"{AUDIO}.input.transcription.prompt"),
    ({"audio": {"input": {"transcription": {"languages": ["de", "en"]}}}}, f"{AUDIO}.input.transcription.languages"),
    ({"audio": {"input": {"transcription": {"languages": "de"}}}}, f"{AUDIO}.input.transcription.languages"),
    ({"audio": []}, "session.audio"),
]
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
ITEMS: list[tuple[Any, str]] = [
    (None, "item"),
    ({"type": "function_call_output", "call_id": "1", "output": "2"}, "item"),
    ({"type": "message", "role": "system", "content": [{"type": "input_text", "text": "x"}]}, "item"),
    ({"type": "message", "role": "user", "content": [IMAGE]}, "item.content"),
    ({"type": "message", "role": "user", "content": []}, "item.content"),
    (typed("  "), "item.content"),
    (typed("x" * 2001), "item.content"),
    (typed("x") | {"id": "y" * 65}, "item.id"),
    (typed("x") | {"id": 5}, "item.id"),
]
RESPONSES: list[tuple[Any, str]] = [
    ({"conversation": "none"}, "response.conversation"),
    ({"input": [typed("x")]}, "response.input"),
    ({"tools": [{"type": "function", "name": "f"}]}, "response.tools"),
    ({"audio": {"output": {"voice": "cedar"}}}, "response.audio.output.voice"),
    ({"output_modalities": "text"}, "response.output_modalities"),
    ({"metadata": {"x": ["y"]}}, "response.metadata"),
    ([], "response"),
]


@pytest.mark.parametrize(
    ("kind", "field", "cases"),
    [
        ("session.update", "session", SESSIONS),
        ("conversation.item.create", "item", ITEMS),
        ("response.create", "response", RESPONSES),
    ],
    ids=["session", "item", "response"],
)
def test_what_cannot_be_done_is_refused_by_its_name(
    server: Server, alice_token: str, kind: str, field: str, cases: list[tuple[Any, str]]
) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token, TEXT_ONLY) as client:
            before = client.of("session.updated")[-1]["session"]
            for number, (value, param) in enumerate(cases):
                event_id = f"mine_{number}"
                if value == [] and field == "response":
                    value = [1]
                error = await client.refused(kind, event_id=event_id, **{field: value})
                assert (error["param"], error["event_id"]) == (param, event_id), value
            assert await client.update({}) == before
            assert (await client.ask())["status"] == "completed"

    hold(server, talk())


def test_sound_that_is_none_is_refused(server: Server, alice_token: str, provider: FakeProvider) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token, PUSH_TO_TALK) as client:
            for audio in ("????", "AAA=A", base64.b64encode(b"odd").decode(), 5, None):
                error = await client.refused("input_audio_buffer.append", audio=audio)
                assert error["param"] == "audio"
            assert (await client.refused("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"
            await client.say(silence(0.09))
            assert (await client.refused("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"

    hold(server, talk())


def test_events_at_the_wrong_time_are_refused(server: Server, alice_token: str, provider: FakeProvider) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            assert (await client.refused("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"
            assert (await client.refused("response.cancel"))["code"] == "response_cancel_not_active"
            assert (await client.refused("response.create"))["code"] == "nothing_to_answer"
            assert (await client.refused("output_audio_buffer.clear"))["code"] == "unsupported_value"
            assert (await client.refused("no.such.event"))["code"] == "unknown_event"
            assert (await client.refused("conversation.item.delete", item_id="no"))["code"] == "item_not_found"
            truncation = {"item_id": "no", "content_index": 0}
            error = await client.refused("conversation.item.truncate", **truncation, audio_end_ms=5)
            assert error["code"] == "item_not_found"
            for ms in ("5", -1, 10**400):
                error = await client.refused("conversation.item.truncate", **truncation, audio_end_ms=ms)
                assert error["param"] == "audio_end_ms"
            provider.delay("/v1/chat", 0.5)
            await client.begin("First?")
            error = await client.refused("response.create")
            assert error["code"] == "conversation_already_has_active_response"
            assert (await client.until_done())["status"] == "completed"

    hold(server, talk())


def test_messages_that_are_no_events_are_refused(server: Server, alice_token: str, provider: FakeProvider) -> None:
    messages: list[str | bytes] = [
        "",
        "{",
        "[]",
        "5",
        '{"type": NaN}',
        "[" * 100_000,
        b"\xff\xfe",
        '{"type": ["session.update"]}',
        "{}",
    ]

    async def talk() -> None:
        async with live(server.url, alice_token, TEXT_ONLY) as client:
            for message in messages:
                await client.connection._connection.send(message)
                assert (await client.until("error"))["error"]["code"] in ("invalid_json", "unknown_event")
            half = '{"type": "\\ud800", "event_id": "\\udc00"}'
            await client.connection._connection.send(half)
            assert (await client.until("error"))["error"]["event_id"] == "?"
            await client.connection._connection.send(
                '{"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": '
                '[{"type": "input_text", "text": "A \\u0000 and \\ud83d and \\ud83d\\ude00?"}]}}'
            )
            await client.send("response.create")
            assert (await client.until_done())["status"] == "completed"

    hold(server, talk())
    assert Turn.objects.get().transcript == "A  and ? and 😀?"


def test_too_many_questions_without_an_answer_are_refused(server: Server, alice_token: str) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            for number in range(20):
                await client.write(f"Question {number}?")
            error = await client.refused("conversation.item.create", item=typed("One more?"))
            assert error["code"] == "too_many_items"

    hold(server, talk())


def test_the_voice_is_chosen_before_it_has_spoken(
    server: Server, alice_token: str, voice: VoiceProfile, second_voice: VoiceProfile, provider: FakeProvider
) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            updated = await client.update({"audio": {"output": {"voice": "Ann", "speed": 1.1}}})
            assert updated["audio"]["output"]["voice"] == str(second_voice.pk)
            assert updated["audio"]["output"]["speed"] == 1.1
            unasked = await client.update({"audio": {"output": {"voice": "alloy"}}})
            assert unasked["audio"]["output"]["voice"] == str(second_voice.pk)
            await client.ask()
            session = {"type": "realtime", "audio": {"output": {"voice": "Jane"}}}
            error = await client.refused("session.update", session=session)
            assert error["code"] == "cannot_update_voice"
            await client.update({"audio": {"output": {"voice": str(second_voice.pk)}}})  # As it was.
            await client.update({"audio": {"output": {"voice": "Ann"}}})
            await client.update({"audio": {"output": {"voice": "ash"}}})

    hold(server, talk())
    assert Turn.objects.get().voice == second_voice
    assert second_voice.voice_id in provider.requests_to("/v1/text-to-speech")[-1].path


def test_an_update_changes_only_what_it_names(server: Server, alice_token: str) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            given: dict[str, Any] = {
                "input": {"transcription": {"language": "de-AT"}, "turn_detection": {"type": "semantic_vad"}}
            }
            await client.update({"instructions": "Be brief.", "audio": given})
            session = await client.update({"audio": {"input": {"transcription": {"model": "whisper-1"}}}})
            assert session["instructions"] == "Be brief."
            assert session["audio"]["input"]["transcription"]["language"] == "de"
            detection = session["audio"]["input"]["turn_detection"]
            assert (detection["type"], detection["interrupt_response"]) == ("semantic_vad", True)
            given = {"input": {"turn_detection": None, "noise_reduction": {"type": "near_field"}}}
            session = await client.update({"instructions": "", "audio": given, "tracing": "auto", "unknown": 1})
            assert (session["instructions"], session["audio"]["input"]["turn_detection"]) == ("", None)

    hold(server, talk())
