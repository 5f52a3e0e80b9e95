"""The servers with `/v1/audio/voices`: SGLang-Omni, vLLM-Omni, and OpenAI's form."""

from __future__ import annotations

import base64
import re
import secrets
from typing import TYPE_CHECKING, Any

from tests.fakes import voice_servers

if TYPE_CHECKING:
    from tests.fakes.exchange import Exchange
    from tests.fakes.voice_servers import FakeVoiceServer

NAME = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9_.-]+")
DATA_URL = "data:audio/wav;base64,"
NATIVE_RATE = 44_100  # Of a model at vLLM-Omni whose rate nobody asked to be changed.
SPEECH_FIELDS = {"model", "input", "voice", "instructions", "response_format", "speed", "stream_format"}


async def answer(exchange: Exchange, server: FakeVoiceServer) -> None:
    path = exchange.request.path.removeprefix("/v1/audio/").split("/")
    match exchange.request.method, path:
        case "POST", ["speech"]:
            await (_speak_by_id if server.kind == "openai" else _speak_by_name)(exchange, server)
        case "POST", ["voice_consents"] if server.kind == "openai":
            await _store_consent(exchange, server)
        case "DELETE", ["voice_consents", consent_id] if server.kind == "openai":
            await _delete(exchange, server.consents, consent_id)
        case "POST", ["voices"]:
            await (_create_by_id if server.kind == "openai" else _create_by_name)(exchange, server)
        case "GET", ["voices"] if server.kind != "openai":
            await _list(exchange, server)
        case "DELETE", ["voices", name]:
            await _delete(exchange, server.references, name)
        case _:
            await exchange.send(404, {"detail": "Not Found"})


async def _create_by_name(exchange: Exchange, server: FakeVoiceServer) -> None:
    form, files = exchange.request.form, exchange.request.files
    if not {"name", "consent"} <= form.keys() or [file.field for file in files] != ["audio_sample"]:
        await exchange.send(422, {"detail": [{"loc": ["body"], "msg": "Field required", "type": "missing"}]})
    elif not NAME.fullmatch(form["name"]):
        await exchange.send(400, bad_request("name must contain only letters and digits", "name"))
    elif len(server.references) >= server.most_voices:
        await exchange.send(400, bad_request("Uploaded voice limit reached", "name"))
    else:
        server.references[form["name"].lower()] = files[0].sha256
        voice = {"name": form["name"], "consent": form["consent"], "created_at": 1, "file_size": files[0].size}
        await exchange.send(200, {"success": True, "voice": voice} if server.kind == "vllm" else voice)


async def _store_consent(exchange: Exchange, server: FakeVoiceServer) -> None:
    form, files = exchange.request.form, exchange.request.files
    if not {"name", "language"} <= form.keys() or [file.field for file in files] != ["recording"]:
        await exchange.send(400, bad_request("Missing required parameter", "recording"))
        return
    consent_id = f"cons_{secrets.token_hex(8)}"
    server.consents[consent_id] = form["name"]
    stored = {"id": consent_id, "object": "audio.voice_consent", "created_at": 1, "language": form["language"]}
    await exchange.send(200, stored)


async def _create_by_id(exchange: Exchange, server: FakeVoiceServer) -> None:
    form, files = exchange.request.form, exchange.request.files
    if form.keys() != {"name", "consent"} or [file.field for file in files] != ["audio_sample"]:
        await exchange.send(400, bad_request("Unknown or missing parameter", "audio_sample"))
    elif form["consent"] not in server.consents:
        await exchange.send(400, bad_request("No such consent", "consent"))
    else:
        voice_id = f"voice_{secrets.token_hex(8)}"
        server.references[voice_id] = files[0].sha256
        await exchange.send(200, {"id": voice_id, "object": "audio.voice", "name": form["name"], "created_at": 1})


async def _list(exchange: Exchange, server: FakeVoiceServer) -> None:
    uploaded = [{"name": name, "consent": "?", "created_at": 1} for name in server.references]
    # vLLM-Omni lists uploaded voices in both, SGLang-Omni too.
    await exchange.send(200, {"voices": ["default", *server.references], "uploaded_voices": uploaded})


async def _delete(exchange: Exchange, stored: dict[str, str], name: str) -> None:
    if stored.pop(name, None) is None:
        await exchange.send(404, {"success": False, "error": f"Voice '{name}' not found"})
    else:
        await exchange.send(200, {"success": True})


async def _speak_by_id(exchange: Exchange, server: FakeVoiceServer) -> None:
    asked: dict[str, Any] = exchange.request.json
    if unknown := asked.keys() - SPEECH_FIELDS:
        await exchange.send(400, bad_request("Unknown parameter", unknown.pop()))
    elif asked["voice"]["id"] not in server.references:
        await exchange.send(404, bad_request("No such voice", "voice"))
    else:
        sound = voice_servers.hum(server.references[asked["voice"]["id"]], asked["input"], 24_000)
        await server.send_sound(exchange, sound, "audio/pcm")


async def _speak_by_name(exchange: Exchange, server: FakeVoiceServer) -> None:
    asked: dict[str, Any] = exchange.request.json
    reference = server.references.get(asked.get("voice", "").lower(), "")
    if server.kind == "vllm" and "ref_audio" in asked:
        if not asked["ref_audio"].startswith(DATA_URL) or not asked.get("ref_text"):
            await exchange.send(400, bad_request("ref_audio must be a URL, a data URL or a file URI"))
            return
        reference = voice_servers.sha256(base64.b64decode(asked["ref_audio"].removeprefix(DATA_URL), validate=True))
    if asked.get("model", voice_servers.MODEL) != voice_servers.MODEL:
        await exchange.send(404, bad_request("The model does not exist.", "model", "model_not_found"))
    elif not reference:
        param = "voice" if server.kind == "sglang" else None
        await exchange.send(400, bad_request("Invalid voice. Supported: default", param))
    elif server.kind == "sglang":
        await _stream_as_sglang(exchange, server, asked, reference)
    else:
        await _stream_as_vllm(exchange, server, asked, reference)


async def _stream_as_sglang(exchange: Exchange, server: FakeVoiceServer, asked: dict[str, Any], reference: str) -> None:
    if not asked.get("stream") or asked.get("response_format") != "pcm":
        await exchange.send(400, bad_request("stream=true requires response_format='pcm'", "response_format"))
        return
    sound = voice_servers.hum(reference, asked["input"], server.sample_rate)
    await server.send_sound(exchange, sound, "audio/pcm", **{"x-sample-rate": str(server.sample_rate)})


async def _stream_as_vllm(exchange: Exchange, server: FakeVoiceServer, asked: dict[str, Any], reference: str) -> None:
    if asked.get("stream_format") != "audio":
        await exchange.send(200, "event: speech.audio.delta\n\n", {"content-type": "text/event-stream"})
        return
    rate = asked.get("sample_rate", NATIVE_RATE)
    sound = voice_servers.hum(reference, asked["input"], rate)
    if asked["response_format"] == "wav":
        await server.send_sound(exchange, voice_servers.wav(sound, rate), "audio/wav")
    else:
        await server.send_sound(exchange, sound, "audio/pcm")


def bad_request(message: str, param: str | None = None, code: str | int = 400) -> dict[str, Any]:
    return {"error": {"message": message, "type": "BadRequestError", "param": param, "code": code}}
