"""A light HTTP client. It shares the machine with the application, so it measures times but decodes nothing.

It needs a quarter of the CPU time of httpx: 0.09 s instead of 0.4 s for an answer of 780 events.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

MAX_EVENT_BYTES = 10_000_000  # A retry sends all earlier speech in one event.
HTTP_CHUNK_BOUNDARY = re.compile(rb"\r\n[0-9a-f]+\r\n")
EVENT_NAME_WITHIN_BYTES = 40  # An event begins with the size of its HTTP chunk, then its name.
TIMEOUT_SECONDS = 60
ADD_VOICE_ATTEMPTS = 20
TURN_TIMEOUT_SECONDS = 150  # More than TURN_SECONDS.
NO_CODE = "no_code"
PROVIDER_KEYS = {"Authorization": "Bearer any", "xi-api-key": "any"}


class AnswerError(Exception):
    """A turn was refused or failed."""


class RefusedError(AnswerError):
    """The status of a response was not 2xx. `code` is the reason, or NO_CODE if the application did not give it."""

    def __init__(self, path: str, status: int, body: str) -> None:
        super().__init__(f"{path} answered {status}: {body}")
        self.status = status
        try:
            self.code = str(json.loads(body)["error"]["code"])
        except (ValueError, KeyError, TypeError):
            self.code = NO_CODE


@dataclass(frozen=True, slots=True)
class Ending:
    """How a turn ended: `code` is an error code, "left" if the client disconnected, or "" if the answer was spoken.

    `turn` is its id, or "" if the request was refused, with this `status`. `reply` is what was spoken.
    """

    turn: str
    code: str
    retryable: bool = False
    status: int = 200
    reply: str = ""


@dataclass(frozen=True, slots=True)
class TurnTimes:
    """Seconds from sending a question to the first speech, and to the end of the answer."""

    first_audio: float
    whole_answer: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the sound of `segment` of the reply; `arrived` is in seconds after the question was sent."""

    arrived: float
    seconds: float
    segment: str


def add_voice(provider_url: str) -> str:
    """Create a voice at the provider and return its id. Retries, because the fake provider may fail on purpose."""
    files = {"name": (None, "Jane"), "files": ("speech.wav", "speech")}
    url = f"{provider_url}/v1/voices/add"
    for _ in range(ADD_VOICE_ATTEMPTS):
        with suppress(requests.RequestException, KeyError):
            answer = requests.post(url, headers=PROVIDER_KEYS, files=files, timeout=TIMEOUT_SECONDS)
            return str(answer.json()["voice_id"])
    raise AnswerError(f"{url} failed {ADD_VOICE_ATTEMPTS} times")


def start_conversation(url: str, token: str, voice: str) -> str:
    """Create a conversation with `voice`. Return the URL for its turns."""
    url, headers = f"{url}/api/v1/conversations", {"Authorization": f"Bearer {token}"}
    answer = requests.post(url, json={"voice": voice}, headers=headers, timeout=TIMEOUT_SECONDS)
    return f"{url}/{answer.json()['id']}/turns"


async def ask(url: str, token: str, recording: bytes) -> TurnTimes:
    """Send a question and read the events of the answer. Raises AnswerError if the turn fails."""
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {token}"}
    request = requests.Request("POST", url, headers, files={"audio": recording}).prepare()
    first_audio, started = 0.0, time.perf_counter()
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS), _answer_to(request) as answer:
            while True:
                event = await answer.readuntil(b"\n\n")
                elapsed = time.perf_counter() - started
                if not first_audio and event.find(b"event: spoken\n", 0, EVENT_NAME_WITHIN_BYTES) >= 0:
                    first_audio = elapsed
                elif first_audio and event.find(b"event: done\n", 0, EVENT_NAME_WITHIN_BYTES) >= 0:
                    return TurnTimes(first_audio, elapsed)
                elif event.find(b"event: failed\n", 0, EVENT_NAME_WITHIN_BYTES) >= 0:
                    raise AnswerError(event.partition(b"data: ")[2].decode().strip())
    except (OSError, EOFError, TimeoutError) as error:
        raise AnswerError(f"{type(error).__name__} after {time.perf_counter() - started:.1f} s") from None


async def hold_turn(
    url: str,
    token: str,
    *,
    leave: bool = False,
    told: Callable[[str], None] = lambda _turn: None,
    key: str = "",
    **question: Any,
) -> Ending:
    """Send a question or a retry, and read to the end or, with `leave`, to the first sound.

    `told` gets the id of the turn as soon as the answer names it, and `key` is an Idempotency-Key. Raises an error if
    the response is neither an answer nor a refusal.
    """
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {token}"}
    headers |= {"Idempotency-Key": key} if key else {}
    request = requests.Request("POST", url, headers, **question).prepare()
    turn = ""
    try:
        async with asyncio.timeout(TURN_TIMEOUT_SECONDS), _answer_to(request) as answer:
            while True:
                head, data = await _next_event(answer)
                match head.rpartition(b"event: ")[2]:
                    case b"heard":
                        turn = json.loads(data)["turn_id"]
                        told(turn)
                    case b"spoken" if leave:
                        return Ending(turn, "left")
                    case b"done":
                        done = json.loads(data)
                        return Ending(done["turn_id"], "", reply=done["reply"])
                    case b"failed":
                        failure = json.loads(data)
                        return Ending(failure["turn_id"], failure["code"], failure["retryable"])
    except RefusedError as refusal:
        return Ending("", refusal.code, status=refusal.status)


def play(url: str, token: str) -> tuple[int, str]:
    """Ask for the beginning of a recording; return the status, and the code of the error or ""."""
    headers = {"Authorization": f"Bearer {token}", "Range": "bytes=0-999"}
    try:
        answer = requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS)
    except requests.RequestException:
        return 0, NO_CODE
    return answer.status_code, "" if answer.ok else RefusedError(url, answer.status_code, answer.text).code


async def listen(url: str, token: str, **question: Any) -> list[Chunk]:
    """Send a question, and return the sound of the answer as it arrives. Raises AnswerError if the turn fails."""
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {token}"}
    request = requests.Request("POST", url, headers, **question).prepare()
    chunks: list[Chunk] = []
    started = time.perf_counter()
    try:
        async with asyncio.timeout(TURN_TIMEOUT_SECONDS), _answer_to(request) as answer:
            while True:
                head, data = await _next_event(answer)
                match head.rpartition(b"event: ")[2]:
                    case b"spoken":
                        chunks.append(_chunk(time.perf_counter() - started, json.loads(data)))
                    case b"done":
                        return chunks
                    case b"failed":
                        raise AnswerError(data.decode().strip())
    except (OSError, EOFError, TimeoutError) as error:
        raise AnswerError(f"{type(error).__name__} after {time.perf_counter() - started:.1f} s") from None


def _chunk(arrived: float, spoken: dict[str, Any]) -> Chunk:
    seconds = len(base64.b64decode(spoken["audio"])) / 2 / spoken["sample_rate"]
    return Chunk(arrived, seconds, spoken["text"])


async def ask_serially(provider_url: str, voice_id: str, recording: bytes, reply: str) -> float:
    """Return the seconds to the first audio if each stage waits for the end of the stage before it.

    Calls the providers directly. No serial application can be faster: there is no server, no check and no storage.
    """
    started = time.perf_counter()
    for call in _provider_calls(provider_url, f"{voice_id}?", recording, reply):
        async with _answer_to(call) as answer:
            await answer.read()
    return time.perf_counter() - started


async def ask_overlapped(provider_url: str, voice_id: str, recording: bytes, segment: str, tokens: int) -> float:
    """Return the seconds to the first audio if `segment` is spoken as soon as `tokens` have arrived.

    Calls the providers directly. The difference to the application is the time that the application itself needs.
    """
    hear, think, speak = _provider_calls(provider_url, f"{voice_id}/stream?", recording, segment)
    started = time.perf_counter()
    async with _answer_to(hear) as answer:
        await answer.read()
    async with _answer_to(think) as answer:
        for _ in range(1 + tokens):  # The first event contains only the role of the message.
            await answer.readuntil(b"\n\n")
        async with _answer_to(speak) as sound:
            await sound.read(1)
            return time.perf_counter() - started


def _provider_calls(url: str, voice: str, recording: bytes, text: str) -> list[requests.PreparedRequest]:
    """Return the requests that transcribe `recording`, ask the model, and speak `text`."""
    question = {"model": "any", "stream": True, "messages": [{"role": "user", "content": "?"}]}
    return [
        requests.Request("POST", f"{url}{path}", PROVIDER_KEYS, **body).prepare()
        for path, body in (
            ("/v1/audio/transcriptions", {"files": {"model": (None, "any"), "file": recording}}),
            ("/v1/chat/completions", {"json": question}),
            (f"/v1/text-to-speech/{voice}output_format=pcm_24000", {"json": {"text": text}}),
        )
    ]


async def _next_event(answer: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return the head and the data of the next event. A large event comes in several HTTP chunks."""
    event = HTTP_CHUNK_BOUNDARY.sub(b"", await answer.readuntil(b"\n\n"))
    head, _, data = event.partition(b"\ndata: ")
    return head, data


@asynccontextmanager
async def _answer_to(request: requests.PreparedRequest) -> AsyncIterator[asyncio.StreamReader]:
    """Send a request over its own connection. Yield a reader of the response body, with its raw HTTP chunks."""
    url = urlsplit(str(request.url))
    reader, writer = await asyncio.open_connection(url.hostname, url.port, limit=MAX_EVENT_BYTES)
    try:
        headers = {"Host": url.netloc, "Connection": "close", **request.headers}
        body = request.body
        assert isinstance(body, bytes)  # noqa: S101 - forms and JSON are bytes
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"POST {request.path_url} HTTP/1.1\r\n{head}\r\n".encode() + body)
        status = int((await reader.readuntil(b"\r\n\r\n")).split()[1])
        if not 200 <= status < 300:
            raise RefusedError(request.path_url, status, (await reader.read()).decode())
        yield reader
    finally:
        writer.close()
