"""Live transcriptions against the fake provider, each with connections of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from apps.speech.base import LIVE_SAMPLE_RATE, Transcript
from apps.speech.providers import elevenlabs_live, openai_live
from apps.speech.providers.live_dialect import LiveConfig
from tests.fakes import elevenlabs_live as fake_elevenlabs
from tests.fakes import openai_live as fake_openai
from tests.fakes.elevenlabs import speech

if TYPE_CHECKING:
    from apps.speech.base import LiveSpeechToText, LiveTranscription
    from tests.fakes.exchange import ReceivedRequest
    from tests.fakes.provider import FakeProvider

Result = TypeVar("Result")

WORDS = "one two three four"
SECOND = speech("Fifteen letters", LIVE_SAMPLE_RATE)
SILENCE = bytes(2 * LIVE_SAMPLE_RATE)
CHUNK = 2 * LIVE_SAMPLE_RATE // 25

ENGINES = ["elevenlabs", "openai"]


@dataclass
class Listener:
    """A live transcription, what it told, and the sockets on the other side."""

    live: LiveTranscription
    provider: FakeProvider
    partials: list[str] = field(default_factory=list)

    def say(self, pcm: bytes) -> None:
        """Let sound come in pieces of 40 ms, all at once."""
        for start in range(0, len(pcm), CHUNK):
            self.live.hear(pcm[start : start + CHUNK])

    async def ask(self, pcm: bytes = SECOND) -> Transcript:
        self.say(pcm)
        return await self.live.commit()

    async def until(self, condition: Callable[[], object], seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - the other side sets no event
                await asyncio.sleep(0.005)

    async def until_partial(self, text: str) -> None:
        await self.until(lambda: self.partials[-1:] == [text])

    @property
    def sockets(self) -> list[ReceivedRequest]:
        return [request for request in self.provider.requests if request.method == "WEBSOCKET"]

    @property
    def socket(self) -> ReceivedRequest:
        return self.sockets[-1]


def path_of(engine: str) -> str:
    return fake_elevenlabs.PATH if engine == "elevenlabs" else fake_openai.PATH


def live_engine(engine: str, provider: FakeProvider, **changes: Any) -> LiveSpeechToText:
    module: Any = elevenlabs_live if engine == "elevenlabs" else openai_live
    values: dict[str, Any] = {
        "api_key": "test-key",
        "base_url": provider.url if engine == "elevenlabs" else provider.openai_url,
        "model": "ears-1",
    }
    created: LiveSpeechToText = module.create_live_speech_to_text(LiveConfig(**values | changes))
    return created


def listen(
    engine: str,
    provider: FakeProvider,
    work: Callable[[Listener], Awaitable[Result]],
    *,
    language: str = "",
    **changes: Any,
) -> Result:
    async def main() -> Result:
        partials: list[str] = []
        listening = live_engine(engine, provider, **changes).listen(language=language, on_partial=partials.append)
        async with listening as live:
            return await work(Listener(live, provider, partials))

    return asyncio.run(main())
