"""wyoming-openai, the bridge to Home Assistant: a recording goes through it, and a text, both with their sound."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize, SynthesizeVoice

from tests.clients.calls import BASE_URL, RECORDING, TEXT, TOKEN, VOICE, WORDS, call

START_SECONDS = 60
ANSWER_SECONDS = 30


@asynccontextmanager
async def bridge(*options: str, token: str = TOKEN) -> AsyncIterator[int]:
    """Run the bridge, and give its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wyoming_openai", "--uri", f"tcp://127.0.0.1:{port}", "--languages", "en"),
        *("--stt-openai-url", BASE_URL, "--stt-openai-key", token, "--stt-models", "whisper-1"),
        *("--tts-openai-url", BASE_URL, "--tts-openai-key", token, "--tts-models", "tts-1"),
        *options,
        env=os.environ,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await listens(port):
                assert process.returncode is None, "the bridge did not start"
                await asyncio.sleep(0.1)
        yield port
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def listens(port: int) -> bool:
    try:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def ask(port: int, *events: Event) -> AsyncIterator[Event]:
    """Send `events`, and yield what the bridge answers."""
    async with AsyncTcpClient("127.0.0.1", port) as client, asyncio.timeout(ANSWER_SECONDS):
        for event in events:
            await client.write_event(event)
        while (answer := await client.read_event()) is not None:
            if Error.is_type(answer.type):
                raise RuntimeError(Error.from_event(answer).text)
            yield answer


async def voices(port: int) -> list[str]:
    async for event in ask(port, Describe().event()):
        if Info.is_type(event.type):
            return [voice.name for program in Info.from_event(event).tts for voice in program.voices]
    raise AssertionError("no answer")


async def hear(port: int) -> str:
    with wave.open(str(RECORDING)) as file:
        sound = {"rate": file.getframerate(), "width": file.getsampwidth(), "channels": file.getnchannels()}
        pcm = file.readframes(file.getnframes())
    start, chunk = AudioStart(**sound).event(), AudioChunk(audio=pcm, **sound).event()
    async for event in ask(port, Transcribe(language="en").event(), start, chunk, AudioStop().event()):
        if Transcript.is_type(event.type):
            return str(Transcript.from_event(event).text)
    raise AssertionError("no answer")


async def speak(port: int, voice: str) -> bytes:
    pcm = b""
    async for event in ask(port, Synthesize(text=TEXT, voice=SynthesizeVoice(name=voice)).event()):
        if AudioChunk.is_type(event.type):
            pcm += AudioChunk.from_event(event).audio
        if AudioStop.is_type(event.type):
            break
    return pcm


async def main() -> None:
    async with bridge() as port:
        with call("transcription"):
            assert await hear(port) == WORDS
        with call("speech in a voice of OpenAI's"):
            assert "alloy" in await voices(port)
            assert len(await speak(port, "alloy")) > 10_000
    async with bridge("--tts-voices", VOICE, "--tts-speed", "2") as port:
        with call("speech in a voice of one's own, speed 2"):
            assert await voices(port) == [VOICE]
            assert len(await speak(port, VOICE)) > 10_000
    async with bridge(token="vc_wrong") as port:
        with call("wrong key, told as an error"):
            try:
                heard = await hear(port)
            except RuntimeError as error:
                heard = f"error: {error}"
            assert heard.startswith("error: "), heard


if __name__ == "__main__":
    asyncio.run(main())
