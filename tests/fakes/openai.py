"""OpenAI's side of the fake provider: transcriptions, replies and the list of models."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.fakes.behaviour import Behaviour
    from tests.fakes.exchange import Exchange

TRANSCRIPTIONS = "/v1/audio/transcriptions"
CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
PATHS = ("/v1/audio/", "/v1/chat/", MODELS)

HANGING_SECONDS = 3600


async def answer(exchange: Exchange, behaviour: Behaviour) -> None:
    """Answer a request to an address of OpenAI's."""
    match exchange.request.method, exchange.request.path:
        case "POST", "/v1/audio/transcriptions":
            await _transcribe(exchange, behaviour)
        case "POST", "/v1/chat/completions":
            await _reply(exchange, behaviour)
        case "GET", "/v1/models":
            await exchange.send(200, {"object": "list", "data": [{"id": "fake", "object": "model"}]})
        case _:
            await exchange.send(404, {"detail": "Not Found"})


async def _transcribe(exchange: Exchange, behaviour: Behaviour) -> None:
    if not exchange.request.files or not exchange.request.form.get("model"):
        await exchange.send(400, openai_error("missing_required_parameter", "file and model are required"))
        return
    await exchange.work(behaviour.hear_seconds)
    heard: dict[str, Any] = {"text": behaviour.transcript}
    if behaviour.languages:
        heard["languages"] = [{"code": code} for code in behaviour.languages]
    if exchange.request.form.get("response_format") == "verbose_json":
        heard |= _times(behaviour.transcript, exchange.request.form)
    await exchange.send(200, heard)


def _times(text: str, form: Mapping[str, str]) -> dict[str, Any]:
    """Return what whisper-1 adds: each word takes half a second. The form keeps the last granularity of several."""
    seconds = len(text.split()) / 2
    scores = {"temperature": 0.0, "avg_logprob": -0.25, "compression_ratio": 0.9, "no_speech_prob": 0.01}
    segment = {"id": 0, "seek": 0, "start": 0.0, "end": seconds, "text": f" {text}", "tokens": [50364, 3], **scores}
    added: dict[str, Any] = {"language": "english", "duration": seconds, "segments": [segment]}
    if form.get("timestamp_granularities[]") == "word":
        words = enumerate(text.split())
        added["words"] = [{"word": word, "start": at / 2, "end": at / 2 + 0.5} for at, word in words]
    return added


async def _reply(exchange: Exchange, behaviour: Behaviour) -> None:
    asked = exchange.request.json
    if not isinstance(asked, dict) or not asked.get("model") or not asked.get("messages"):
        await exchange.send(400, openai_error("missing_required_parameter", "model and messages are required"))
        return
    await exchange.work(behaviour.first_token_seconds)
    usage = {"prompt_tokens": 20, "completion_tokens": len(behaviour.reply.split()), "total_tokens": 20}
    head = {"id": "chatcmpl-fake", "created": int(time.time()), "model": asked["model"]}
    if asked.get("stream"):
        await _stream_reply(exchange, behaviour, head | {"object": "chat.completion.chunk"}, usage)
        return
    message = {"role": "assistant", "content": behaviour.reply}
    choice = {"index": 0, "message": message, "finish_reason": behaviour.finish_reason}
    await exchange.send(200, head | {"object": "chat.completion", "choices": [choice], "usage": usage})


async def _stream_reply(exchange: Exchange, behaviour: Behaviour, head: dict[str, Any], usage: dict[str, int]) -> None:
    async def send_delta(delta: dict[str, str], finish_reason: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        await exchange.send_piece(event(head | {"choices": [choice]}))

    await exchange.start(200, {"content-type": "text/event-stream; charset=utf-8"})
    await send_delta({"role": "assistant", "content": ""})
    deltas = [*_reasoning(behaviour), *({"content": word} for word in _words(behaviour.reply))]
    for number, delta in enumerate(deltas):
        await send_delta(delta)
        await exchange.keep_pace(number + 1, behaviour.tokens_per_second)
    if not exchange.fault.without_end:
        await send_delta({}, behaviour.finish_reason)
        await exchange.pause(HANGING_SECONDS if exchange.fault.hang_at_end else 0)
        if (exchange.request.json.get("stream_options") or {}).get("include_usage"):
            await exchange.send_piece(event(head | {"choices": [], "usage": usage}))
        await exchange.send_piece(b"data: [DONE]\n\n")
    await exchange.finish()


def _words(text: str) -> list[str]:
    return [f" {word}" if number else word for number, word in enumerate(text.split(" "))] if text else []


def _reasoning(behaviour: Behaviour) -> list[dict[str, str]]:
    words = _words(behaviour.reasoning)
    if words and behaviour.reasoning_field == "content":
        words = ["<think>", *words, "</think>"]
    return [{behaviour.reasoning_field: word} for word in words]


def event(data: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def openai_error(code: str, message: str = "", kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
