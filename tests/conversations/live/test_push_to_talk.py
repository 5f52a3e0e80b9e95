"""Push-to-talk, typed questions and their answers over `/v1/realtime`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pytest_django import Settings

from apps.accounts.models import User
from apps.conversations.models import Conversation, Turn
from apps.conversations.services import decode_turn_audio
from apps.usage.models import UsageRecord
from apps.voices.models import VoiceProfile
from apps.webhooks import services as webhooks
from apps.webhooks.models import WebhookDelivery
from tests.client import LONG_REPLY, wait_until
from tests.conftest import Server
from tests.conversations.live.client import (
    ASKED,
    ITEM_BEGINS,
    NOT_TRANSCRIBED_YET,
    PUSH_TO_TALK,
    SPOKEN,
    TEXT_ONLY,
    WRITTEN,
    LiveClient,
    hold,
    live,
    live_clip,
    seconds_of,
    silence,
    typed,
)
from tests.conversations.live.conftest import OPENAI, UPLOAD, nothing_is_left, serve_live
from tests.fakes.openai import CHAT
from tests.fakes.provider import FakeProvider

QUESTION = live_clip("austen-0930.wav")
PUBLIC = "https://93.184.215.14/hook"


def messages_of(provider: FakeProvider) -> list[dict[str, Any]]:
    """Return what the language model got last, without the instructions."""
    messages: list[dict[str, Any]] = provider.requests_to(CHAT)[-1].json["messages"]
    return messages[1:]


async def ask_aloud(client: LiveClient, pcm: bytes = QUESTION) -> dict[str, Any]:
    await client.say(pcm)
    await client.commit()
    return await client.until_done()


class TestSpoken:
    def test_a_question_is_answered_in_the_order_of_the_protocol(
        self, server: Server, provider: FakeProvider, alice_token: str
    ) -> None:
        async def talk() -> None:
            async with live(server.url, alice_token, PUSH_TO_TALK) as client:
                response = await ask_aloud(client)
                assert client.kinds == [*ASKED, *SPOKEN]
                assert response["status"] == "completed"
                assert response["output"][0]["content"][0]["transcript"] == provider.behaviour.reply
                (heard,) = client.of("conversation.item.input_audio_transcription.completed")
                assert heard["transcript"] == provider.behaviour.transcript
                assert heard["item_id"] == client.of("input_audio_buffer.committed")[0]["item_id"]
                added = client.of("conversation.item.added")[0]["item"]
                assert added["content"] == [NOT_TRANSCRIBED_YET]
                assert response["usage"]["output_tokens"] > 0
                said = [each["characters"] for each in client.of("response.output_audio.delta")]
                assert said == sorted(said)
                assert 0 < said[1] < said[-1] / 2
                assert said[-1] == len(provider.behaviour.reply.replace(" ", ""))

        hold(server, talk())

    def test_it_is_stored_as_a_turn(
        self, server: Server, provider: FakeProvider, alice: User, alice_token: str, voice: VoiceProfile
    ) -> None:
        webhooks.create_webhook(owner=alice, url=PUBLIC, events=["turn.done"])
        sound = []

        async def talk() -> None:
            async with live(server.url, alice_token, PUSH_TO_TALK) as client:
                response = await ask_aloud(client)
                sound.append(client.sound())
                assert response["conversation_id"]

        hold(server, talk())
        wait_until(lambda: Turn.objects.filter(status=Turn.Status.SPOKEN).exists())
        turn = Turn.objects.get()
        assert turn.transcript == provider.behaviour.transcript
        assert turn.reply == provider.behaviour.reply
        assert turn.voice == voice
        assert turn.heard_by == "elevenlabs-live"
        assert turn.question_seconds == pytest.approx(seconds_of(QUESTION), abs=0.05)
        assert decode_turn_audio(turn.answer).seconds == pytest.approx(seconds_of(sound[0]), abs=0.1)
        wait_until(WebhookDelivery.objects.exists)
        record = UsageRecord.objects.get()
        assert record.reference == turn.pk
        assert record.heard_ms == pytest.approx(seconds_of(QUESTION) * 1000, abs=600)
        assert record.spoken_characters == pytest.approx(len(turn.reply), abs=2)  # Between segments nothing is said.

    @pytest.mark.parametrize("settings_of", [OPENAI, UPLOAD], ids=["openai", "upload"])
    def test_other_engines_hear_as_well(
        self, provider: FakeProvider, server: Server, alice_token: str, settings_of: dict[str, Any]
    ) -> None:
        async def talk(url: str) -> None:
            async with live(url, alice_token, PUSH_TO_TALK) as client:
                response = await ask_aloud(client, QUESTION + silence(0.4))
                assert response["status"] == "completed"

        with serve_live(provider, settings_of) as (other, watched):
            asyncio.run(talk(other.url))
            nothing_is_left(other, watched)
        turn = Turn.objects.get()
        assert turn.transcript == provider.behaviour.transcript
        assert len(provider.requests_to(CHAT)) == 1

    def test_cleared_sound_is_forgotten(self, server: Server, provider: FakeProvider, alice_token: str) -> None:
        async def talk() -> None:
            async with live(server.url, alice_token, PUSH_TO_TALK) as client:
                await client.say(QUESTION)
                await client.send("input_audio_buffer.clear")
                await client.until("input_audio_buffer.cleared")
                error = await client.refused("input_audio_buffer.commit")
                assert error["code"] == "input_audio_buffer_commit_empty"

        hold(server, talk())
        assert not Turn.objects.exists()
        assert not Conversation.objects.exists()  # Nothing was said in it.

    def test_silence_is_no_question(self, server: Server, provider: FakeProvider, alice_token: str) -> None:
        async def talk() -> None:
            async with live(server.url, alice_token, PUSH_TO_TALK) as client:
                response = await ask_aloud(client, silence(1))
                assert response["status"] == "failed"
                assert response["status_details"]["error"]["code"] == "nothing_heard"

        hold(server, talk())
        assert not provider.requests_to(CHAT)

    def test_a_question_has_a_longest_length(
        self, server: Server, provider: FakeProvider, alice_token: str, settings: Settings
    ) -> None:
        settings.MAX_QUESTION_SECONDS = 2

        async def talk() -> None:
            async with live(server.url, alice_token, PUSH_TO_TALK) as client:
                await client.say(QUESTION + silence(2))
                assert (await client.until("error"))["error"]["code"] == "input_audio_buffer_full"
                await client.commit()
                assert (await client.until_done())["status"] == "completed"

        hold(server, talk())
        assert Turn.objects.get().question_seconds == pytest.approx(2, abs=0.1)

    def test_several_committed_questions_are_answered_together(
        self, server: Server, provider: FakeProvider, alice_token: str
    ) -> None:
        async def talk() -> None:
            async with live(server.url, alice_token, PUSH_TO_TALK) as client:
                await client.say(QUESTION)
                await client.send("input_audio_buffer.commit")
                await client.begin("And of Italy?")
                assert (await client.until_done())["status"] == "completed"

        hold(server, talk())
        expected = f"{provider.behaviour.transcript}\n\nAnd of Italy?"
        assert [message["content"] for message in messages_of(provider)] == [expected]
        assert Turn.objects.get().transcript == expected


class TestTyped:
    def test_it_is_answered_aloud(self, server: Server, provider: FakeProvider, alice_token: str) -> None:
        async def talk() -> None:
            async with live(server.url, alice_token) as client:
                await client.ask("Hello?")
                assert client.kinds == ["conversation.item.added", "conversation.item.done", *SPOKEN]

        hold(server, talk())
        wait_until(lambda: Turn.objects.filter(status=Turn.Status.SPOKEN).exists())
        turn = Turn.objects.get()
        assert (turn.transcript, turn.heard_by) == ("Hello?", "")
        assert not [each for each in provider.requests if each.method == "WEBSOCKET" and each.sound_seconds > 1]

    def test_it_is_answered_in_writing(self, server: Server, provider: FakeProvider, alice_token: str) -> None:
        async def talk() -> None:
            async with live(server.url, alice_token, TEXT_ONLY) as client:
                response = await client.ask()
                assert client.kinds == ["conversation.item.added", "conversation.item.done", *WRITTEN]
                assert response["output"][0]["content"][0]["text"] == provider.behaviour.reply
                spoken = await client.ask(output_modalities=["audio"])
                assert spoken["output"][0]["content"][0]["type"] == "output_audio"

        hold(server, talk())
        assert len(provider.requests_to("/v1/text-to-speech")) >= 1
        assert Turn.objects.filter(status=Turn.Status.SPOKEN).count() == 2

    def test_a_response_has_instructions_and_a_length_of_its_own(
        self, server: Server, provider: FakeProvider, alice_token: str
    ) -> None:
        provider.behaviour.reply, provider.behaviour.finish_reason = "The capital of", "length"

        async def talk() -> None:
            async with live(server.url, alice_token) as client:
                await client.update({"instructions": "Be a pirate."})
                response = await client.ask(
                    instructions="Be a poet.", max_output_tokens=7, metadata={"topic": "France"}
                )
                assert response["status"] == "incomplete"
                assert response["status_details"]["reason"] == "max_output_tokens"
                assert response["metadata"].items() >= {"topic": "France"}.items()
                await client.ask()

        hold(server, talk())
        first, second = [each.json for each in provider.requests_to(CHAT)]
        assert "Be a poet." in first["messages"][0]["content"]
        assert "Be a pirate." in second["messages"][0]["content"]
        assert 7 in (first.get("max_tokens"), first.get("max_completion_tokens"))

    def test_many_items_at_once_share_a_conversation(
        self, server: Server, provider: FakeProvider, alice_token: str
    ) -> None:
        async def talk() -> None:
            async with live(server.url, alice_token, TEXT_ONLY) as client:
                for number in range(4):
                    await client.write(f"Question {number}?")
                await client.send("response.create")
                assert (await client.until_done())["status"] == "completed"

        hold(server, talk())
        assert Turn.objects.get().transcript.count("Question") == 4

    def test_items_are_retrieved_and_deleted(self, server: Server, provider: FakeProvider, alice_token: str) -> None:
        async def talk() -> None:
            async with live(server.url, alice_token, TEXT_ONLY) as client:
                await client.send("conversation.item.create", item=typed("Forget it.") | {"id": "mine"})
                await client.send("conversation.item.retrieve", item_id="mine")
                item = (await client.until("conversation.item.retrieved"))["item"]
                assert item["content"][0]["text"] == "Forget it."
                await client.send("conversation.item.delete", item_id="mine")
                await client.until("conversation.item.deleted")
                error = await client.refused("conversation.item.retrieve", item_id="mine")
                assert error["param"] == "item_id"
                response = await client.ask("Hello?")
                await client.send("conversation.item.retrieve", item_id=response["output"][0]["id"])
                item = (await client.until("conversation.item.retrieved"))["item"]
                assert item["content"][0]["text"] == provider.behaviour.reply

        hold(server, talk())
        assert Turn.objects.get().transcript == "Hello?"


class TestCancelled:
    def test_a_response_is_cancelled_and_another_one_created_at_once(
        self, server: Server, provider: FakeProvider, alice_token: str
    ) -> None:
        provider.behaviour.reply = LONG_REPLY

        async def talk() -> None:
            async with live(server.url, alice_token) as client:
                await client.begin("First?")
                await client.until("response.output_audio.delta")
                await client.write("Second?")
                await client.send("response.cancel")
                await client.send("response.create")
                first = await client.until_done()
                assert (first["status"], first["status_details"]["reason"]) == ("cancelled", "client_cancelled")
                assert first["output"][0]["status"] == "incomplete"
                seen = len(client.events)
                second = await client.until_done()
                assert second["status"] == "completed"
                assert not [each for each in client.events[seen:] if each.get("response_id") == first["id"]]

        hold(server, talk())
        first, second = Turn.objects.order_by("created_at")
        assert (first.status, second.status) == (Turn.Status.INTERRUPTED, Turn.Status.SPOKEN)
        assert len(first.spoken_text) < 40
        assert LONG_REPLY not in str(messages_of(provider))

    def test_before_the_answer_began(self, server: Server, provider: FakeProvider, alice_token: str) -> None:
        provider.delay(CHAT, 5)

        async def talk() -> None:
            async with live(server.url, alice_token, PUSH_TO_TALK) as client:
                await client.say(QUESTION)
                await client.commit()
                await client.until("response.created")
                await client.send("response.cancel")
                response = await client.until_done()
                assert response["status"] == "cancelled"
                assert response["output"] == []
                assert not set(ITEM_BEGINS[:1]) & set(client.kinds)

        hold(server, talk())
        turn = Turn.objects.get()
        assert (turn.status, turn.transcript) == (Turn.Status.INTERRUPTED, provider.behaviour.transcript)
        assert turn.question

    def test_truncated_is_remembered_as_it_was_heard(
        self, server: Server, provider: FakeProvider, alice_token: str
    ) -> None:
        provider.behaviour.reply = LONG_REPLY

        async def talk() -> None:
            async with live(server.url, alice_token) as client:
                await client.begin("First?")
                item_id = (await client.until("response.output_audio.delta"))["item_id"]
                while seconds_of(client.sound()) < 1.2:
                    await client.next_event()
                await client.send("response.cancel")
                await client.until_done()
                await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=900)
                truncated = await client.until("conversation.item.truncated")
                assert truncated["audio_end_ms"] == 900
                error = await client.refused(
                    "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=60_000
                )
                assert error["param"] == "audio_end_ms"
                await client.ask("Second?")

        hold(server, talk())
        first = Turn.objects.order_by("created_at")[0]
        assert first.status == Turn.Status.INTERRUPTED
        assert LONG_REPLY.startswith(first.spoken_text)
        assert 5 <= len(first.spoken_text) <= 25  # 15 characters a second.
        assert [message["content"] for message in messages_of(provider)] == ["First?", first.spoken_text, "Second?"]

    def test_the_answer_is_not_sent_far_ahead_of_what_is_heard(
        self, server: Server, provider: FakeProvider, alice_token: str
    ) -> None:
        provider.behaviour.reply = LONG_REPLY

        async def talk() -> None:
            async with live(server.url, alice_token) as client:
                await client.begin("First?")
                await client.until("response.output_audio.delta")
                await client.none_of("response.done", seconds=0.5)
                assert 1.8 <= seconds_of(client.sound()) <= 2.9

        hold(server, talk())
        assert Turn.objects.get().status == Turn.Status.INTERRUPTED  # Its listener has left.
