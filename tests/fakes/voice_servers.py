"""A stand-in for voice servers of an operator's own, each as its public source or documentation describes it.

- `sglang` (SGLang-Omni) and `vllm` (vLLM-Omni) store voices by name; `vllm` also takes a reference with each text.
- `openai` stores voices by id, after the recording of a consent.
- `omlx` (oMLX) stores nothing: it takes a reference with each text.
- `chatterbox` (Chatterbox-TTS-Server) has a folder of references.

The sound of a voice is a hum whose pitch depends on its reference, so that mixed-up voices are heard.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from tests.fakes import voice_servers_openai, voice_servers_reference
from tests.fakes.behaviour import Behaviour
from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    from tests.fakes.exchange import Exchange

Kind: TypeAlias = Literal["sglang", "vllm", "openai", "omlx", "chatterbox"]

MODEL = "clone-1"
PIECE_BYTES = 9_999  # Odd, so that a piece ends in the middle of a sample.
UNKNOWN_SIZE = 0xFFFF_FFFF
CHARACTERS_PER_SECOND = 15


class FakeVoiceServer(FakeProvider):
    """One server of the chosen `kind`. `references` are the SHA-256 of stored ones by the names or ids of voices.

    With a `behaviour.key`, it lets nobody else in. `consents` are the names of recordings of consents, by their ids.
    `odd_answer` are the body and the headers of what it answers to each text instead of speech.
    """

    def __init__(self) -> None:
        super().__init__(Behaviour(key=None))

    def reset(self) -> None:
        super().reset()
        self.kind: Kind = "sglang"
        self.references: dict[str, str] = {}
        self.consents: dict[str, str] = {}
        self.most_voices = 1000
        self.sample_rate = 24_000
        self.odd_answer: tuple[bytes, dict[str, str]] | None = None

    @property
    def base_url(self) -> str:
        """The address that the operator sets."""
        return self.url if self.kind == "chatterbox" else self.openai_url

    @property
    def calls(self) -> list[str]:
        """The requests so far, as "METHOD /path"."""
        return [f"{request.method} {request.path}" for request in self.requests]

    async def _answer(self, exchange: Exchange) -> None:
        request, fault = exchange.request, exchange.fault
        await exchange.pause(fault.delay_seconds)
        if fault.status is not None:
            await exchange.send(fault.status, fault.body, fault.headers)
        elif self.behaviour.key and request.headers.get("authorization") != f"Bearer {self.behaviour.key}":
            await exchange.send(401, {"error": "Unauthorized"})
        elif self.kind in ("omlx", "chatterbox"):
            await voice_servers_reference.answer(exchange, self)
        else:
            await voice_servers_openai.answer(exchange, self)

    async def send_sound(self, exchange: Exchange, sound: bytes, content_type: str, **headers: str) -> None:
        await exchange.work(self.behaviour.first_audio_seconds)
        if self.odd_answer:
            sound, headers = self.odd_answer
        await exchange.start(200, {"content-type": content_type} | headers)
        for start in range(0, len(sound), PIECE_BYTES):
            await exchange.send_piece(sound[start : start + PIECE_BYTES])
        await exchange.finish()


def hum(reference: str, text: str, sample_rate: int) -> bytes:
    """Return `text` in the voice of the reference with this SHA-256, as mono s16le PCM."""
    seconds = np.arange(round(len(text) / CHARACTERS_PER_SECOND * sample_rate)) / sample_rate
    return (np.sin(2 * np.pi * pitch(reference) * seconds) * 8000).astype("<i2").tobytes()


def pitch(reference: str) -> float:
    """Return the pitch in hertz of the voice with a reference of this SHA-256."""
    return 200 + int(reference[:3], 16) % 1200


def heard_pitch(pcm: bytes, sample_rate: int) -> float:
    """Return the loudest frequency of mono s16le PCM in hertz."""
    spectrum = np.abs(np.fft.rfft(np.frombuffer(pcm, "<i2").astype(float)))
    return float(spectrum.argmax() * sample_rate / (len(pcm) // 2))


def wav(pcm: bytes, sample_rate: int, *, size: int = UNKNOWN_SIZE, channels: int = 1) -> bytes:
    """Return a WAV file, by default one that does not know its own length."""
    rate = sample_rate * 2 * channels
    form = struct.pack("<HHIIHH", 1, channels, sample_rate, rate, 2 * channels, 16)
    return b"RIFF" + struct.pack("<I", size) + b"WAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", size) + pcm


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sentence(text: str) -> dict[str, Any]:
    """Return an error as FastAPI sends it."""
    return {"detail": text}
