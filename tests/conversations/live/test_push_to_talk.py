"""Push-to-talk and typed questions over `/v1/realtime`."""

from __future__ import annotations

import asyncio

from apps.accounts.models import User
from apps.conversations.models import Turn
from apps.voices.models import VoiceProfile
from tests.client import wait_until
from tests.conftest import Server
from tests.conversations.live.client import PUSH_TO_TALK, live, live_clip, silence
from tests.fakes.provider import FakeProvider

QUESTION = live_clip("austen-0930.wav")


def test_a_spoken_question_is_answered_and_stored(
    server: Server, provider: FakeProvider, alice: User, alice_token: str, voice: VoiceProfile
) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token, PUSH_TO_TALK) as client:
            await client.say(QUESTION + silence(0.3))
            await client.send("input_audio_buffer.commit")
            await client.send("response.create")
            done = await client.until("response.done", "error")
            assert done["response"]["status"] == "completed", done
            assert client.sound().seconds > 1

    asyncio.run(talk())
    wait_until(lambda: Turn.objects.filter(status=Turn.Status.SPOKEN).exists())
    turn = Turn.objects.get()
    assert turn.transcript == provider.behaviour.transcript
    assert turn.reply == provider.behaviour.reply
    assert turn.question
    assert turn.answer


def test_a_typed_question_is_answered(server: Server, alice_token: str, voice: VoiceProfile) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            done = await client.ask("What is the capital of France?")
            assert done["response"]["status"] == "completed", done

    asyncio.run(talk())
    wait_until(lambda: Turn.objects.filter(status=Turn.Status.SPOKEN).exists())
