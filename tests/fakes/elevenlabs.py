"""ElevenLabs' side of the fake provider: voices, and speech that is a hum with syllables."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tests.fakes.behaviour import Behaviour
    from tests.fakes.exchange import Exchange

VOICES = "/v1/voices"
VOICES_ADD = "/v1/voices/add"
VOICES_SEARCH = "/v2/voices"
SPEECH = "/v1/text-to-speech"

CHARACTERS_PER_SECOND = 15
PIECE_SECONDS = 0.05


@dataclass
class Voice:
    voice_id: str
    name: str
    file_sizes: list[int]
    category: str = "cloned"
    voice_verification: dict[str, Any] = field(
        default_factory=lambda: {
            "requires_verification": False,
            "is_verified": False,
            "verification_failures": [],
            "verification_attempts_count": 0,
        }
    )


async def answer(exchange: Exchange, behaviour: Behaviour, voices: dict[str, Voice]) -> None:
    """Answer a request to an address of ElevenLabs'. `voices` are those of the account, by their ids."""
    match exchange.request.method, exchange.request.path.split("/")[1:]:
        case "POST", ["v1", "voices", "add"]:
            await _add_voice(exchange, behaviour, voices)
        case "DELETE", ["v1", "voices", voice_id]:
            await _delete_voice(exchange, voices, voice_id)
        case "GET", ["v1", "voices"]:
            await exchange.send(200, {"voices": [asdict(voice) for voice in voices.values()]})
        case "GET", ["v2", "voices"]:
            await _search_voices(exchange, voices)
        case "POST", ["v1", "text-to-speech", voice_id] | ["v1", "text-to-speech", voice_id, "stream"]:
            await _speak(exchange, behaviour, voices, voice_id)
        case _:
            await exchange.send(404, {"detail": "Not Found"})


async def _add_voice(exchange: Exchange, behaviour: Behaviour, voices: dict[str, Voice]) -> None:
    name, files = exchange.request.form.get("name"), exchange.request.files
    if not name or not files:
        missing = [{"loc": ["body", "name" if files else "files"], "msg": "Field required", "type": "missing"}]
        await exchange.send(422, {"detail": missing})
        return
    if behaviour.voice_limit is not None and len(voices) >= behaviour.voice_limit:
        status = {"status": "voice_limit_reached", "message": "You have reached your maximum amount of voices."}
        await exchange.send(400, {"detail": status})
        return
    voice = add_voice(voices, name, requires_verification=behaviour.requires_verification)
    voice.file_sizes = [file.size for file in files]
    await exchange.send(200, {"voice_id": voice.voice_id, "requires_verification": behaviour.requires_verification})


def add_voice(
    voices: dict[str, Voice], name: str, *, category: str = "cloned", requires_verification: bool = False
) -> Voice:
    voice = Voice(secrets.token_hex(10), name, [], category)
    voice.voice_verification["requires_verification"] = requires_verification
    voices[voice.voice_id] = voice
    return voice


async def _delete_voice(exchange: Exchange, voices: dict[str, Voice], voice_id: str) -> None:
    if voices.pop(voice_id, None) is None:
        await exchange.send(404, elevenlabs_error("voice_not_found", f"No voice {voice_id}", kind="not_found"))
        return
    await exchange.send(200, {"status": "ok"})


async def _search_voices(exchange: Exchange, voices: dict[str, Voice]) -> None:
    query = exchange.request.query
    size, start = int(query.get("page_size", "10")), int(query.get("next_page_token", "0"))
    found = [voice for voice in voices.values() if voice.category == query.get("category", voice.category)]
    end = start + size
    has_more = end < len(found)
    page = {
        "voices": [asdict(voice) for voice in found[start:end]],
        "has_more": has_more,
        "total_count": len(found),
        "next_page_token": str(end) if has_more else None,
    }
    await exchange.send(200, page)


async def _speak(exchange: Exchange, behaviour: Behaviour, voices: dict[str, Voice], voice_id: str) -> None:
    if voice_id not in voices:
        await exchange.send(404, elevenlabs_error("voice_not_found", f"No voice {voice_id}", kind="not_found"))
        return
    text = (exchange.request.json or {}).get("text", "")
    encoding, _, sample_rate = exchange.request.query.get("output_format", "mp3_44100_128").partition("_")
    if encoding != "pcm" or not text.strip():
        code = "empty_text" if encoding == "pcm" else "invalid_output_format"
        await exchange.send(400, elevenlabs_error(code, "This cannot be spoken.", kind="validation_error"))
        return
    await exchange.work(behaviour.first_audio_seconds)
    await exchange.start(200, {"content-type": "audio/pcm", "request-id": secrets.token_hex(8)})
    sound = speech(text, int(sample_rate))
    piece_size = 2 * int(PIECE_SECONDS * int(sample_rate))
    for number, start in enumerate(range(0, len(sound), piece_size)):
        await exchange.send_piece(sound[start : start + piece_size])
        await exchange.keep_pace(number + 1, behaviour.audio_speed / PIECE_SECONDS)
    await exchange.finish()


def elevenlabs_error(code: str, message: str = "", kind: str = "authentication_error") -> dict[str, Any]:
    return {"detail": {"type": kind, "code": code, "message": message, "status": code, "request_id": "fake"}}


def speech(text: str, sample_rate: int) -> bytes:
    """Return a hum with syllables, as long as saying `text` takes, as mono s16le PCM."""
    samples = round(len(text) / CHARACTERS_PER_SECOND * sample_rate)
    second = _second_of_speech(sample_rate)
    return (second * (samples // sample_rate + 1))[: 2 * samples]


@cache
def _second_of_speech(sample_rate: int) -> bytes:
    seconds = np.arange(sample_rate) / sample_rate
    voice = sum(np.sin(2 * np.pi * 120 * harmonic * seconds) / harmonic for harmonic in range(1, 6))
    syllables = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * seconds)
    return (voice * syllables * 6000).astype("<i2").tobytes()
