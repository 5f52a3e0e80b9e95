"""A light HTTP client: it shares the machine with what it measures, so it times what it reads and decodes nothing.

To read an answer of 780 events takes it a quarter of the CPU time that httpx needs: 0.09 s where that took 0.4.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

LARGEST_EVENT_BYTES = 10_000_000  # A retry repeats in one piece what was spoken before.
NAME_WITHIN_BYTES = 40  # An event begins with its name, behind the size of its HTTP chunk.
PATIENCE_SECONDS = 60
TRIES = 20
LONGEST_TURN_SECONDS = 150  # More than TURN_SECONDS.
PROVIDER_KEYS = {"Authorization": "Bearer any", "xi-api-key": "any"}


class AnswerError(Exception):
    """An answer was refused, or did not end well."""


class RefusedError(AnswerError):
    """A request was answered with another status than 2xx; `body` says why."""

    def __init__(self, path: str, status: str, body: str) -> None:
        super().__init__(f"{path} answered {status}: {body}")
        self.body = body


@dataclass(frozen=True, slots=True)
class Ending:
    """How a turn ended: `code` is that of the failure, "left" where nobody listened any more, "" where it was spoken.

    `turn` is its id, "" where the request was refused.
    """

    turn: str
    code: str
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class TurnTimes:
    """Seconds from sending a question to the first piece of speech, and to the end of the answer."""

    first_audio: float
    whole_answer: float


def add_voice(provider_url: str) -> str:
    """Make a voice at the provider, which may fail now and then."""
    files = {"name": (None, "Jane"), "files": ("speech.wav", "speech")}
    url = f"{provider_url}/v1/voices/add"
    for _ in range(TRIES):
        with suppress(requests.RequestException, KeyError):
            answer = requests.post(url, headers=PROVIDER_KEYS, files=files, timeout=PATIENCE_SECONDS)
            return str(answer.json()["voice_id"])
    raise AnswerError(f"{url} fails again and again")


def start_conversation(url: str, token: str, voice: str) -> str:
    """Start a conversation in which `voice` answers; return the address for its turns."""
    url, headers = f"{url}/api/v1/conversations", {"Authorization": f"Bearer {token}"}
    answer = requests.post(url, json={"voice": voice}, headers=headers, timeout=PATIENCE_SECONDS)
    return f"{url}/{answer.json()['id']}/turns"


async def ask(url: str, token: str, recording: bytes) -> TurnTimes:
    """Ask in a conversation and read the events of the answer; raise AnswerError where it does not end well."""
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {token}"}
    request = requests.Request("POST", url, headers, files={"audio": recording}).prepare()
    first_audio, started = 0.0, time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), _answer_to(request) as answer:
            while True:
                event = await answer.readuntil(b"\n\n")
                elapsed = time.perf_counter() - started
                if not first_audio and event.find(b"event: spoken\n", 0, NAME_WITHIN_BYTES) >= 0:
                    first_audio = elapsed
                elif first_audio and event.find(b"event: done\n", 0, NAME_WITHIN_BYTES) >= 0:
                    return TurnTimes(first_audio, elapsed)
                elif event.find(b"event: failed\n", 0, NAME_WITHIN_BYTES) >= 0:
                    raise AnswerError(event.partition(b"data: ")[2].decode().strip())
    except (OSError, EOFError, TimeoutError) as error:
        raise AnswerError(f"{type(error).__name__} after {time.perf_counter() - started:.1f} s") from None


async def hold_turn(url: str, token: str, *, leave: bool = False, **question: Any) -> Ending:
    """Ask, or try a turn again, and listen to its end or, with `leave`, to the first sound.

    What has neither the form of an answer nor of a refusal raises an error.
    """
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {token}"}
    request = requests.Request("POST", url, headers, **question).prepare()
    turn = ""
    try:
        async with asyncio.timeout(LONGEST_TURN_SECONDS), _answer_to(request) as answer:
            while True:
                head, _, data = (await answer.readuntil(b"\n\n")).partition(b"\ndata: ")
                match head.rpartition(b"event: ")[2]:
                    case b"heard":
                        turn = json.loads(data)["turn_id"]
                    case b"spoken" if leave:
                        return Ending(turn, "left")
                    case b"done":
                        return Ending(json.loads(data)["turn_id"], "")
                    case b"failed":
                        failure = json.loads(data)
                        return Ending(failure["turn_id"], failure["code"], failure["retryable"])
    except RefusedError as refusal:
        return Ending("", json.loads(refusal.body)["error"]["code"])


async def ask_serially(provider_url: str, voice_id: str, recording: bytes, reply: str) -> float:
    """Return the seconds to the first audio if each stage waits for the whole of the one before, at the bare providers.

    No serial application can be faster: there is no server, no check and no storage around the calls.
    """
    started = time.perf_counter()
    for call in _provider_calls(provider_url, f"{voice_id}?", recording, reply):
        async with _answer_to(call) as answer:
            await answer.read()
    return time.perf_counter() - started


async def ask_overlapped(provider_url: str, voice_id: str, recording: bytes, piece: str, tokens: int) -> float:
    """Return the seconds to the first audio if `piece` is spoken once `tokens` have come, at the bare providers.

    What an application needs above that is its own; below it is what providers and client need on this machine.
    """
    hear, think, speak = _provider_calls(provider_url, f"{voice_id}/stream?", recording, piece)
    started = time.perf_counter()
    async with _answer_to(hear) as answer:
        await answer.read()
    async with _answer_to(think) as answer:
        for _ in range(1 + tokens):  # The first event only says whose message begins.
            await answer.readuntil(b"\n\n")
        async with _answer_to(speak) as sound:
            await sound.read(1)
            return time.perf_counter() - started


def _provider_calls(url: str, voice: str, recording: bytes, text: str) -> list[requests.PreparedRequest]:
    """Return the requests that have `recording` heard, thought about, and `text` spoken."""
    question = {"model": "any", "stream": True, "messages": [{"role": "user", "content": "?"}]}
    return [
        requests.Request("POST", f"{url}{path}", PROVIDER_KEYS, **body).prepare()
        for path, body in (
            ("/v1/audio/transcriptions", {"files": {"model": (None, "any"), "file": recording}}),
            ("/v1/chat/completions", {"json": question}),
            (f"/v1/text-to-speech/{voice}output_format=pcm_24000", {"json": {"text": text}}),
        )
    ]


@asynccontextmanager
async def _answer_to(request: requests.PreparedRequest) -> AsyncIterator[asyncio.StreamReader]:
    """Send a request over a connection of its own; give what follows the head of the answer, chunk sizes and all."""
    url = urlsplit(str(request.url))
    reader, writer = await asyncio.open_connection(url.hostname, url.port, limit=LARGEST_EVENT_BYTES)
    try:
        headers = {"Host": url.netloc, "Connection": "close", **request.headers}
        body = request.body
        assert isinstance(body, bytes)  # noqa: S101 - forms and JSON are
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"POST {request.path_url} HTTP/1.1\r\n{head}\r\n".encode() + body)
        status = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        if not status.startswith("2"):
            raise RefusedError(request.path_url, status, (await reader.read()).decode())
        yield reader
    finally:
        writer.close()
