"""What may change while a live conversation is held: consent, voices, limits, and the process that serves it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_django import Settings

from apps.accounts.models import User
from apps.conversations.models import LISTENER_LEFT, Conversation, Turn
from apps.speech import availability
from apps.usage.models import UsageDay, UsageRecord
from apps.voices.consent import withdraw_consent
from apps.voices.deletion import delete_voice
from apps.voices.models import Consent, VoiceProfile
from apps.voices.suspension import suspend_voice
from tests.client import wait_until
from tests.conftest import Server
from tests.conversations.live.client import PUSH_TO_TALK, TEXT_ONLY, hold, live, live_clip, seconds_of, silence
from tests.conversations.live.conftest import in_database
from tests.fakes.openai import CHAT
from tests.fakes.provider import FakeProvider

QUESTION = live_clip("austen-0930.wav")

CHANGES: dict[str, tuple[Callable[[], object], set[str]]] = {
    "withdrawn": (lambda: withdraw_consent(consent=Consent.objects.get()), {"voice_not_ready"}),
    "suspended": (lambda: suspend_voice(voice=VoiceProfile.objects.get()), {"voice_silenced"}),
    "deleted": (lambda: delete_voice(voice=VoiceProfile.objects.get()), {"voice_not_found", "consent_required"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_voice_that_may_not_speak_any_more(
    server: Server, provider: FakeProvider, alice_token: str, change: str
) -> None:
    work, codes = CHANGES[change]

    async def talk() -> None:
        async with live(server.url, alice_token, PUSH_TO_TALK) as client:
            assert (await client.ask())["status"] == "completed"
            await in_database(work)
            await client.say(QUESTION)
            await client.commit()
            response = await client.until_done()
            assert response["status"] == "failed"
            assert response["status_details"]["error"]["code"] in codes
            assert response["status_details"]["error"]["message"]
            assert (await client.ask())["status"] == "failed"

    hold(server, talk())
    assert len(provider.requests_to(CHAT)) == 1


@pytest.mark.parametrize("limit", ["LIMIT_REQUESTS_PER_DAY", "LIMIT_SPOKEN_CHARACTERS_PER_DAY"])
def test_a_limit_that_is_reached(
    server: Server, provider: FakeProvider, alice_token: str, settings: Settings, limit: str
) -> None:
    setattr(settings, limit, 1)

    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            assert (await client.ask())["status"] == "completed"
            await client.say(QUESTION + silence(1))
            response = await client.until_done()
            assert response["status"] == "failed"
            assert response["status_details"]["error"]["code"] == "limit_reached"

    hold(server, talk())
    assert len(provider.requests_to(CHAT)) == 1
    assert UsageDay.objects.get().requests == 1


def test_sound_that_was_sent_before_the_language_changed_is_counted(
    server: Server, provider: FakeProvider, alice_token: str
) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token, PUSH_TO_TALK) as client:
            await client.say(QUESTION)
            await client.until("conversation.item.input_audio_transcription.delta")
            await client.update({"audio": {"input": {"transcription": {"language": "en"}}}})
            await client.commit()
            assert (await client.until_done())["status"] == "completed"

    hold(server, talk())
    wait_until(UsageRecord.objects.exists)
    assert UsageRecord.objects.get().heard_ms > 1000 * (seconds_of(QUESTION) + 0.3)  # All of it was sent again.


def test_a_question_is_heard_while_recordings_are_not(server: Server, provider: FakeProvider, alice_token: str) -> None:
    availability.breakers_of("openai")["hear"].follow(open_seconds=60)

    async def talk() -> None:
        async with live(server.url, alice_token, PUSH_TO_TALK) as client:
            await client.say(QUESTION)
            await client.commit()
            assert (await client.until_done())["status"] == "completed"

    hold(server, talk())


def test_one_conversation_is_asked_one_question_at_a_time(
    server: Server, provider: FakeProvider, alice_token: str, settings: Settings
) -> None:
    settings.LIMIT_CONCURRENT_REQUESTS = 1

    async def talk() -> None:
        async with live(server.url, alice_token, TEXT_ONLY) as client:
            for _number in range(4):
                assert (await client.ask())["status"] == "completed"

    hold(server, talk())
    assert Turn.objects.count() == 4


def test_a_question_that_nobody_waits_for_is_kept(
    server: Server, provider: FakeProvider, alice: User, alice_token: str
) -> None:
    provider.behaviour.final_seconds = 0.4

    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await client.say(QUESTION + silence(0.8))
            await client.until("input_audio_buffer.committed")

    hold(server, talk())
    turn = Turn.objects.get()
    assert (turn.status, turn.error_code) == (Turn.Status.FAILED, LISTENER_LEFT)
    assert turn.transcript == provider.behaviour.transcript
    assert turn.heard_by == "elevenlabs-live"
    assert turn.question
    assert not turn.reply


def test_nothing_is_kept_of_a_session_without_a_question(server: Server, alice_token: str) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await client.write("Never answered?")
            await client.say(QUESTION)
            await client.until("input_audio_buffer.speech_started")

    hold(server, talk())
    assert not Turn.objects.exists()
    assert not Conversation.objects.exists()


def test_a_conversation_without_turns_that_was_there_before_stays(
    server: Server, alice_token: str, conversation: Conversation
) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token, conversation=str(conversation.pk)) as client:
            await client.write("Never answered?")

    hold(server, talk())
    assert Conversation.objects.get() == conversation
