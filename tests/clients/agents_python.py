"""OpenAI's agents for Python, in a live conversation."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Awaitable, Callable

import numpy as np
from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession

from tests.clients.calls import RECORDING, TOKEN, URL, VOICE, WORDS, call

RATE, PIECE_SECONDS, SECONDS = 24_000, 0.04, 30
SILENCE = bytes(2 * RATE)


def spoken() -> bytes:
    """Return the sound of the recording, mono of 16 bits, at RATE."""
    with wave.open(str(RECORDING)) as reader:
        rate, frames = reader.getframerate(), reader.readframes(reader.getnframes())
    samples = np.frombuffer(frames, "<i2")
    times = np.arange(len(samples) * RATE // rate) * rate / RATE
    sound: bytes = np.interp(times, np.arange(len(samples)), samples).astype("<i2").tobytes()
    return sound


async def speak(session: RealtimeSession) -> None:
    """Let a microphone in real time hear the recording, and then silence."""
    size = 2 * round(RATE * PIECE_SECONDS)
    for sound in (spoken(), SILENCE):
        for start in range(0, len(sound), size):
            await session.send_audio(sound[start : start + size])
            await asyncio.sleep(PIECE_SECONDS)


async def converse(ask: Callable[[RealtimeSession], Awaitable[None]]) -> list[str]:
    """Return the kinds of the session's events up to the end of the answer, and what was heard."""
    agent = RealtimeAgent(name="Friend", instructions="Answer in one sentence.")
    runner = RealtimeRunner(agent)
    url = f"{URL.replace('http', 'ws')}/v1/realtime?model=gpt-realtime&voice={VOICE}"
    session = await runner.run(model_config={"url": url, "api_key": TOKEN})
    seen = []
    async with session, asyncio.timeout(SECONDS):
        asking = asyncio.ensure_future(ask(session))
        async for event in session:
            seen.append(event.type)
            if event.type == "error":
                raise AssertionError(str(event.error))
            if event.type == "history_updated":
                texts = [getattr(part, "transcript", "") for item in event.history for part in item.content]
                seen += [text for text in texts if text]
            if event.type == "agent_end":
                break
        await asking
    return seen


def main() -> None:
    with call("typed"):
        seen = asyncio.run(converse(lambda session: session.send_message("What is the capital of France?")))
        assert {"audio", "audio_end"} <= set(seen), seen
    with call("spoken"):
        seen = asyncio.run(converse(speak))
        assert {"audio", "audio_end", WORDS} <= set(seen), seen


if __name__ == "__main__":
    main()
