"""A client of live conversations: a microphone in real time, and a clock for what comes back.

It decodes as little as it can: it shares the machine with the application.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
import wave
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from apps.speech.audio.resampling import resample
from apps.speech.base import LIVE_SAMPLE_RATE, Recording
from bench.client import TIMEOUT_SECONDS, AnswerError
from tests.fakes.live import FRAME_SECONDS, VOICED_RMS

SPEECH = Path(__file__).parent.parent / "tests/data/speech/austen-0920.wav"  # The end of its sentence is plain to hear.
PIECE_SECONDS = 0.04
NOISE_RMS = 8  # About -72 dBFS: a quiet room.
KIND_WITHIN = 80  # An event begins with its type.
BUTTON_PAUSE_SECONDS = 0.7
# Who goes on speaking sooner after the first sound of an answer has not heard it: the question goes on.
PAUSE_SECONDS = 2.0
# The end of an answer is sent some seconds before it is heard. Who speaks sooner interrupts it.
END_HEARD_SECONDS = 2.8


@dataclass(frozen=True, slots=True)
class AnswerTimes:
    """Seconds from the last spoken sample, and from the release of the button, to the first sound; to the end."""

    since_word: float
    since_release: float
    whole_answer: float = 0.0


@dataclass(frozen=True, slots=True)
class Said:
    """What a person says, up to the last spoken sample: mono s16le at LIVE_SAMPLE_RATE."""

    pcm: bytes

    @property
    def seconds(self) -> float:
        return len(self.pcm) / 2 / LIVE_SAMPLE_RATE


def spoken(seconds: float) -> Said:
    """Return the last `seconds` of a sentence."""
    with wave.open(str(SPEECH)) as reader:
        recording = Recording(reader.readframes(reader.getnframes()), reader.getframerate())
    pcm = resample(recording, sample_rate=LIVE_SAMPLE_RATE).pcm
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    length = round(FRAME_SECONDS * LIVE_SAMPLE_RATE)
    voiced = [start for start in range(0, len(samples), length) if samples[start : start + length].std() > VOICED_RMS]
    end = 2 * (voiced[-1] + length)
    return Said(pcm[end - _bytes(seconds) : end])


def _bytes(seconds: float) -> int:
    return 2 * round(seconds * LIVE_SAMPLE_RATE)


def _noise(seconds: float) -> bytes:
    samples = np.random.default_rng(1).normal(0, NOISE_RMS, _bytes(seconds) // 2)
    return samples.astype("<i2").tobytes()


def _message(pcm: bytes) -> str:
    return f'{{"type":"input_audio_buffer.append","audio":"{base64.b64encode(pcm).decode()}"}}'


NOISE = _message(_noise(PIECE_SECONDS))


class LiveClient:
    """One socket. With `is_hands_free`, the microphone is always on, else while the person speaks."""

    def __init__(self, socket: ClientConnection, *, is_hands_free: bool) -> None:
        self._socket = socket
        self._is_hands_free = is_hands_free
        self._random = random.Random(1)  # noqa: S311 - the same pauses in every run
        self._pieces: deque[bytes] = deque()
        self._began = time.perf_counter()
        self._number = 0
        self._first_sound = asyncio.Event()
        self._done = asyncio.Event()
        self._sound_at = self._done_at = 0.0
        self._failure = ""

    async def ask(self, said: Said, *, release_after: float = 0.0, hears_all: bool) -> AnswerTimes:
        """Say a question and wait for its answer, or else only for its first sound. Raises AnswerError.

        Who pushes to talk releases the button `release_after` seconds after the last word.
        """
        self._first_sound.clear()
        self._done.clear()
        if self._is_hands_free:
            last_word = self._say(said)
            released = last_word
        else:
            last_word, released = await self._push(said, release_after)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await self._until(self._first_sound)
            sound_at = self._sound_at
            if not hears_all:
                await self._socket.send('{"type":"response.cancel"}')
            await self._until(self._done)
        pause = PAUSE_SECONDS if self._is_hands_free else BUTTON_PAUSE_SECONDS
        await asyncio.sleep(END_HEARD_SECONDS if hears_all else pause)
        return AnswerTimes(sound_at - last_word, sound_at - released, self._done_at - last_word)

    def _say(self, said: Said) -> float:
        """Let the microphone hear it, at any offset from its pieces. Return when the last word will be over."""
        pcm = _noise(self._random.uniform(0, PIECE_SECONDS)) + said.pcm
        end = self._began + self._number * PIECE_SECONDS + len(pcm) / 2 / LIVE_SAMPLE_RATE
        size = _bytes(PIECE_SECONDS)
        pcm += _noise(PIECE_SECONDS)[: -len(pcm) % size]
        self._pieces.extend(pcm[start : start + size] for start in range(0, len(pcm), size))
        return end

    async def _push(self, said: Said, release_after: float) -> tuple[float, float]:
        """Push the button, speak, and release it. Return when the last word was over, and when it was released."""
        pcm = said.pcm + _noise(release_after)
        began, size = time.perf_counter(), _bytes(PIECE_SECONDS)
        for start in range(0, len(pcm), size):
            piece = pcm[start : start + size]
            await _sleep_until(began + (start + len(piece)) / 2 / LIVE_SAMPLE_RATE)
            await self._socket.send(_message(piece))
        await self._socket.send('{"type":"input_audio_buffer.commit"}')
        await self._socket.send('{"type":"response.create"}')
        return began + said.seconds, began + said.seconds + release_after

    async def listen(self) -> None:
        """Take the events until the socket is closed."""
        async for message in self._socket:
            now = time.perf_counter()
            head = message[:KIND_WITHIN]
            assert isinstance(head, str)  # noqa: S101 - this protocol has no other messages
            if '"response.output_audio.delta"' in head:
                if not self._first_sound.is_set():
                    self._sound_at = now
                    self._first_sound.set()
            elif '"response.done"' in head:
                self._done_at = now
                self._note_end(json.loads(message)["response"])
                self._done.set()
            elif '"type": "error"' in head:
                self._fail(str(message))
        self._fail("the socket was closed")

    async def keep_microphone_on(self) -> None:
        """Send what is said, and the noise of the room in between: each piece when its last sample is recorded."""
        while True:
            message = _message(self._pieces.popleft()) if self._pieces else NOISE
            self._number += 1
            await _sleep_until(self._began + self._number * PIECE_SECONDS)
            await self._socket.send(message)

    def _note_end(self, response: dict[str, Any]) -> None:
        if response["status"] not in {"completed", "cancelled"}:
            self._fail(json.dumps(response.get("status_details")))

    def _fail(self, reason: str) -> None:
        self._failure = reason
        self._first_sound.set()
        self._done.set()

    async def _until(self, event: asyncio.Event) -> None:
        await event.wait()
        if self._failure:
            failure, self._failure = self._failure, ""
            raise AnswerError(failure)


async def _sleep_until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.perf_counter()))


@asynccontextmanager
async def live(url: str, token: str, voice: str, *, is_hands_free: bool) -> AsyncIterator[LiveClient]:
    """Open a session, and close it after the block."""
    address = f"ws{url.removeprefix('http')}/v1/realtime?voice={voice}"
    detection = {"type": "semantic_vad"} if is_hands_free else None
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(address, additional_headers=headers, compression=None, max_size=None) as socket:
        await socket.send(json.dumps({"type": "session.update", "session": session}))
        while '"session.updated"' not in str(await socket.recv())[:KIND_WITHIN]:
            pass
        client = LiveClient(socket, is_hands_free=is_hands_free)
        works = [client.listen()] + ([client.keep_microphone_on()] if is_hands_free else [])
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield client
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
