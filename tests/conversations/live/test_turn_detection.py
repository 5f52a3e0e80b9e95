from __future__ import annotations

import asyncio

from apps.accounts.models import User
from apps.conversations.models import Turn
from apps.voices.models import VoiceProfile
from tests.client import wait_until
from tests.conftest import Server
from tests.conversations.live.client import live, live_clip, silence
from tests.fakes.provider import FakeProvider

QUESTION = live_clip("austen-0930.wav")


def test_server_vad(server: Server, provider: FakeProvider, alice: User, alice_token: str, voice: VoiceProfile) -> None:
    async def talk() -> None:
        async with live(server.url, alice_token) as client:
            await client.say(silence(0.5) + QUESTION + silence(1.5))
            done = await client.until("response.done", "error")
            assert done["response"]["status"] == "completed", done

    asyncio.run(talk())
    wait_until(lambda: Turn.objects.filter(status=Turn.Status.SPOKEN).exists())
    assert Turn.objects.get().transcript == provider.behaviour.transcript
