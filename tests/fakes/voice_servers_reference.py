"""The servers whose references are no voices of OpenAI's form: oMLX and Chatterbox-TTS-Server."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from tests.fakes import voice_servers

if TYPE_CHECKING:
    from tests.fakes.exchange import Exchange
    from tests.fakes.voice_servers import FakeVoiceServer

JSON = {"content-type": "application/json"}


async def answer(exchange: Exchange, server: FakeVoiceServer) -> None:
    match server.kind, exchange.request.method, exchange.request.path:
        case "omlx", "POST", "/v1/audio/speech":
            await _speak_as_omlx(exchange, server)
        case "chatterbox", "POST", "/upload_reference":
            await _upload(exchange, server)
        case "chatterbox", "GET", "/get_reference_files":
            await exchange.send(200, json.dumps(["someone.wav", *server.references]), JSON)
        case "chatterbox", "POST", "/tts":
            await _speak_as_chatterbox(exchange, server)
        case _:
            await exchange.send(404, voice_servers.sentence("Not Found"))


async def _speak_as_omlx(exchange: Exchange, server: FakeVoiceServer) -> None:
    asked: dict[str, Any] = exchange.request.json
    if asked.get("model") != voice_servers.MODEL:
        await exchange.send(404, voice_servers.sentence("Model not found. Available: (none)"))
        return
    if asked.get("stream") and asked.get("response_format", "wav") != "wav":
        await exchange.send(400, voice_servers.sentence("Streaming TTS only supports response_format='wav'"))
        return
    if not asked.get("ref_text"):
        await exchange.send(400, voice_servers.sentence("'ref_text' is required when 'ref_audio' is provided"))
        return
    try:
        reference = base64.b64decode(asked["ref_audio"], validate=True)
    except binascii.Error:
        await exchange.send(400, voice_servers.sentence("Invalid base64 encoding in 'ref_audio' field"))
        return
    sound = voice_servers.hum(voice_servers.sha256(reference), asked["input"], server.sample_rate)
    await server.send_sound(exchange, voice_servers.wav(sound, server.sample_rate), "audio/wav")


async def _upload(exchange: Exchange, server: FakeVoiceServer) -> None:
    (file,) = exchange.request.files
    assert file.field == "files"
    is_accepted = file.name.endswith((".wav", ".mp3"))
    if is_accepted:
        server.references.setdefault(file.name, file.sha256)  # A file that exists is kept.
    body = {
        "message": "Processed 1 file(s).",
        "uploaded_files": [file.name] if is_accepted else [],
        "all_reference_files": list(server.references),
        "errors": [] if is_accepted else [{"filename": file.name, "error": "Invalid file type."}],
    }
    await exchange.send(200 if is_accepted else 400, body)


async def _speak_as_chatterbox(exchange: Exchange, server: FakeVoiceServer) -> None:
    asked: dict[str, Any] = exchange.request.json
    reference = server.references.get(asked.get("reference_audio_filename", ""))
    if asked.get("voice_mode") != "clone" or reference is None:
        await exchange.send(404, voice_servers.sentence("Reference audio file not found."))
        return
    sound = voice_servers.hum(reference, asked["text"], server.sample_rate)
    size = voice_servers.UNKNOWN_SIZE if asked.get("stream") else len(sound)
    await server.send_sound(exchange, voice_servers.wav(sound, server.sample_rate, size=size), "audio/wav")
