"""A stand-in for OpenAI and ElevenLabs on this machine, for tests, benchmarks and trials of the whole application.

In a test: the fixture `provider`. On its own: `python -m tests.fakes.provider --port 9000 --log requests.jsonl`, with
OPENAI_BASE_URL=http://127.0.0.1:9000/v1 and ELEVENLABS_BASE_URL=http://127.0.0.1:9000 for the application.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import secrets
import selectors
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import parse_qsl

import numpy as np
import uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

TRANSCRIPTIONS = "/v1/audio/transcriptions"
CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
VOICES = "/v1/voices"
VOICES_ADD = "/v1/voices/add"
VOICES_SEARCH = "/v2/voices"
SPEECH = "/v1/text-to-speech"

CHARACTERS_PER_SECOND = 15
PIECE_SECONDS = 0.05
HANGING_SECONDS = 3600
SHORT_SECONDS = 0.05  # A client that leaves within so little is noticed soon enough when it is over.
WAKING_SECONDS = 0.001  # Whoever sleeps until something is due is late by a third of that.
HALF_ANSWER_BYTES = 1000  # Less than the events of a short reply have, and much less than a second of speech.


@dataclass
class Upload:
    """A file of a form as it arrived, without its content."""

    field: str
    name: str
    content_type: str
    size: int
    sha256: str


@dataclass
class ReceivedRequest:
    """What a client sent, and what became of the answer. `finished` is set when nothing more can happen to it."""

    time: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str] = field(repr=False)
    connection: tuple[str, int]
    form: dict[str, str] = field(default_factory=dict)
    files: list[Upload] = field(default_factory=list)
    json: Any = None
    status: int = 0
    bytes_sent: int = 0
    left_early: bool = False
    finished: threading.Event = field(default_factory=threading.Event)

    def to_log(self) -> dict[str, Any]:
        names = ["time", "method", "path", "query", "form", "json", "status", "bytes_sent", "left_early"]
        return {name: getattr(self, name) for name in names} | {"files": [asdict(file) for file in self.files]}


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose path begins with `path`."""

    path: str
    times: int
    status: int | None = None
    body: Mapping[str, Any] | str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0
    cut_after_bytes: int | None = None
    without_end: bool = False
    hang_at_end: bool = False


class Moment(Enum):
    """How far a request has come, as the provider sees it."""

    HALF_RECEIVED = "half of the request is there"
    RECEIVED = "the whole request is there, and nothing is done"
    DONE = "it is done, and nothing is answered"
    HALF_ANSWERED = "a part of the answer is sent"
    ANSWERED = "the whole answer is sent"


@dataclass
class Ambush:
    """What happens at a moment of the next request whose method and path are these."""

    method: str
    path: str
    moment: Moment
    action: Callable[[], None]


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


@dataclass
class Behaviour:
    """What the fake says, and how fast: a rate of 0 is as fast as it can. A `key` of None is any but an empty one."""

    key: str | None = "test-key"
    transcript: str = "What is the capital of France?"
    languages: list[str] = field(default_factory=list)
    reply: str = "The capital of France is Paris. It lies on the Seine."
    finish_reason: str = "stop"
    voice_limit: int | None = None
    requires_verification: bool = False
    hear_seconds: float = 0
    first_token_seconds: float = 0
    tokens_per_second: float = 0
    first_audio_seconds: float = 0
    audio_speed: float = 0  # Times real time.
    failing_share: float = 0  # Of all calls, 0 to 1: each goes wrong in one of the ways of FAILURES.


# How services fail, as arguments of a Fault.
FAILURES: list[dict[str, Any]] = [
    {"status": 500, "body": {"detail": "Internal Server Error"}},
    {"status": 503, "body": "<html><h1>Service Unavailable</h1></html>"},
    {"status": 429, "body": {"detail": {"code": "system_busy"}}, "headers": {"retry-after": "1"}},
    {"status": 200, "body": "<html><h1>Welcome</h1></html>"},
    {"status": 200, "body": {"unexpected": [1, None]}},
    {"cut_after_bytes": 0},
    {"cut_after_bytes": HALF_ANSWER_BYTES},
    {"without_end": True},
    {"hang_at_end": True},
    {"delay_seconds": 12},
]


class ClientLeftError(Exception):
    """The client closed the connection before the answer was complete."""


class CutOffError(Exception):
    """A fault asks for the connection to be closed in the middle of the answer."""


class FakeProvider:
    """An ASGI application with both APIs, and the server in a thread that runs it."""

    def __init__(self, behaviour: Behaviour | None = None, log: TextIO | None = None) -> None:
        self._log = log
        self._behaviour = behaviour or Behaviour()
        self._socket: socket.socket | None = None
        self.reset()

    def reset(self) -> None:
        self.behaviour = Behaviour(**asdict(self._behaviour))
        self.requests: list[ReceivedRequest] = []
        self.voices: dict[str, Voice] = {}
        self.faults: list[Fault] = []
        self._random = random.Random(1)  # noqa: S311 - the same failures in every run
        self._ambushes: list[Ambush] = []

    # The server

    @contextlib.contextmanager
    def running(self, port: int = 0) -> Iterator[FakeProvider]:
        """Serve on 127.0.0.1 until the block ends; port 0 is any free one."""
        self._socket = socket.create_server(("127.0.0.1", port))
        # asyncio does so only for sockets that it opened itself; without it, a stream's first piece is 40 ms late.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = uvicorn.Server(server_config(self))
        thread = threading.Thread(target=run_punctually, args=(server, self._socket), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.should_exit = server.force_exit = True
            thread.join()
            self._socket.close()

    @property
    def url(self) -> str:
        """The base URL for ElevenLabs' SDK."""
        assert self._socket is not None
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def openai_url(self) -> str:
        """The base URL for OpenAI's SDK."""
        return f"{self.url}/v1"

    # What tests look at

    def requests_to(self, path: str) -> list[ReceivedRequest]:
        return [request for request in self.requests if request.path.startswith(path)]

    @property
    def last_request(self) -> ReceivedRequest:
        return self.requests[-1]

    @property
    def connections(self) -> int:
        """How many TCP connections the requests came through."""
        return len({request.connection for request in self.requests})

    # What tests ask for

    def add_voice(self, name: str, *, category: str = "cloned") -> str:
        voice = Voice(secrets.token_hex(10), name, [], category)
        voice.voice_verification["requires_verification"] = self.behaviour.requires_verification
        self.voices[voice.voice_id] = voice
        return voice.voice_id

    def fail_next(
        self,
        path: str,
        *,
        status: int,
        body: Mapping[str, Any] | str = "",
        headers: Mapping[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """Answer with `status` and `body`: JSON for a mapping, else text, as HTML if `headers` do not say otherwise."""
        self.faults.append(Fault(path, times, status=status, body=body, headers=headers or {}))

    def delay(self, path: str, seconds: float, *, times: int = 1) -> None:
        """Wait before the first byte of the answer."""
        self.faults.append(Fault(path, times, delay_seconds=seconds))

    def cut_after(self, path: str, size: int, *, times: int = 1) -> None:
        """Close the connection after `size` bytes of a streamed answer."""
        self.faults.append(Fault(path, times, cut_after_bytes=size))

    def leave_out_end(self, path: str, *, times: int = 1) -> None:
        """End a reply cleanly, but without the mark that it is finished."""
        self.faults.append(Fault(path, times, without_end=True))

    def hang_at_end(self, path: str, *, times: int = 1) -> None:
        """Mark a reply as finished, and then neither send more nor close the connection."""
        self.faults.append(Fault(path, times, hang_at_end=True))

    def at(self, method: str, path: str, moment: Moment, action: Callable[[], None]) -> None:
        """Have `action` done once, in the provider's thread, when the next such request has come so far."""
        self._ambushes.append(Ambush(method, path, moment, action))

    def reach(self, request: ReceivedRequest, moment: Moment) -> None:
        for ambush in self._ambushes:
            if ambush.moment is moment and ambush.method == request.method and request.path.startswith(ambush.path):
                self._ambushes.remove(ambush)
                ambush.action()
                return

    def take_fault(self, path: str) -> Fault:
        for fault in self.faults:
            if fault.times and path.startswith(fault.path):
                fault.times -= 1
                return fault
        is_failing = self._random.random() < self.behaviour.failing_share
        return Fault(path, 0, **self._random.choice(FAILURES)) if is_failing else Fault(path, 0)

    # The application

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        assert scope["client"] is not None
        request = ReceivedRequest(
            time=time.time(),
            method=scope["method"],
            path=scope["path"],
            query=dict(parse_qsl(scope["query_string"].decode())),
            headers={name.decode(): value.decode() for name, value in scope["headers"]},
            connection=scope["client"],
        )
        exchange = Exchange(request, receive, send, self.reach)
        try:
            await exchange.read()
            self.requests.append(request)
            self.reach(request, Moment.RECEIVED)
            exchange.fault = self.take_fault(request.path)
            await self._answer(exchange)
        except ClientLeftError:
            request.left_early = True
        finally:
            exchange.close()
            request.finished.set()
            if self._log:
                self._log.write(json.dumps(request.to_log()) + "\n")
                self._log.flush()

    async def _answer(self, exchange: Exchange) -> None:
        request, fault = exchange.request, exchange.fault
        await exchange.pause(fault.delay_seconds)
        if fault.status is not None:
            await exchange.send(fault.status, fault.body, fault.headers)
            return
        is_openai = request.path.startswith(("/v1/audio/", "/v1/chat/", MODELS))
        key = request.headers.get("authorization" if is_openai else "xi-api-key", "").removeprefix("Bearer ")
        if not key or self.behaviour.key not in (None, key):
            refusal = openai_error if is_openai else elevenlabs_error
            await exchange.send(401, refusal("invalid_api_key", f"Incorrect API key provided: {key}"))
            return
        await self._route(exchange)

    async def _route(self, exchange: Exchange) -> None:
        match exchange.request.method, exchange.request.path.split("/")[1:]:
            case "POST", ["v1", "audio", "transcriptions"]:
                await self._transcribe(exchange)
            case "POST", ["v1", "chat", "completions"]:
                await self._reply(exchange)
            case "GET", ["v1", "models"]:
                await exchange.send(200, {"object": "list", "data": [{"id": "fake", "object": "model"}]})
            case "POST", ["v1", "voices", "add"]:
                await self._add_voice(exchange)
            case "DELETE", ["v1", "voices", voice_id]:
                await self._delete_voice(exchange, voice_id)
            case "GET", ["v1", "voices"]:
                await exchange.send(200, {"voices": [asdict(voice) for voice in self.voices.values()]})
            case "GET", ["v2", "voices"]:
                await self._search_voices(exchange)
            case "POST", ["v1", "text-to-speech", voice_id] | ["v1", "text-to-speech", voice_id, "stream"]:
                await self._speak(exchange, voice_id)
            case _:
                await exchange.send(404, {"detail": "Not Found"})

    async def _transcribe(self, exchange: Exchange) -> None:
        if not exchange.request.files or not exchange.request.form.get("model"):
            await exchange.send(400, openai_error("missing_required_parameter", "file and model are required"))
            return
        await exchange.work(self.behaviour.hear_seconds)
        answer: dict[str, Any] = {"text": self.behaviour.transcript}
        if self.behaviour.languages:
            answer["languages"] = [{"code": code} for code in self.behaviour.languages]
        await exchange.send(200, answer)

    async def _reply(self, exchange: Exchange) -> None:
        asked = exchange.request.json
        if not isinstance(asked, dict) or not asked.get("model") or not asked.get("messages"):
            await exchange.send(400, openai_error("missing_required_parameter", "model and messages are required"))
            return
        await exchange.work(self.behaviour.first_token_seconds)
        usage = {"prompt_tokens": 20, "completion_tokens": len(self.behaviour.reply.split()), "total_tokens": 20}
        head = {"id": "chatcmpl-fake", "created": int(time.time()), "model": asked["model"]}
        if asked.get("stream"):
            await self._stream_reply(exchange, head | {"object": "chat.completion.chunk"}, usage)
            return
        message = {"role": "assistant", "content": self.behaviour.reply}
        choice = {"index": 0, "message": message, "finish_reason": self.behaviour.finish_reason}
        await exchange.send(200, head | {"object": "chat.completion", "choices": [choice], "usage": usage})

    async def _stream_reply(self, exchange: Exchange, head: dict[str, Any], usage: dict[str, int]) -> None:
        async def send_delta(delta: dict[str, str], finish_reason: str | None = None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
            await exchange.send_piece(event(head | {"choices": [choice]}))

        await exchange.start(200, {"content-type": "text/event-stream; charset=utf-8"})
        await send_delta({"role": "assistant", "content": ""})
        words = self.behaviour.reply.split(" ") if self.behaviour.reply else []
        for number, word in enumerate(words):
            await send_delta({"content": f" {word}" if number else word})
            await exchange.keep_pace(number + 1, self.behaviour.tokens_per_second)
        if not exchange.fault.without_end:
            await send_delta({}, self.behaviour.finish_reason)
            await exchange.pause(HANGING_SECONDS if exchange.fault.hang_at_end else 0)
            if (exchange.request.json.get("stream_options") or {}).get("include_usage"):
                await exchange.send_piece(event(head | {"choices": [], "usage": usage}))
            await exchange.send_piece(b"data: [DONE]\n\n")
        await exchange.finish()

    async def _add_voice(self, exchange: Exchange) -> None:
        name, files = exchange.request.form.get("name"), exchange.request.files
        if not name or not files:
            missing = [{"loc": ["body", "name" if files else "files"], "msg": "Field required", "type": "missing"}]
            await exchange.send(422, {"detail": missing})
            return
        if self.behaviour.voice_limit is not None and len(self.voices) >= self.behaviour.voice_limit:
            status = {"status": "voice_limit_reached", "message": "You have reached your maximum amount of voices."}
            await exchange.send(400, {"detail": status})
            return
        voice_id = self.add_voice(name)
        self.voices[voice_id].file_sizes = [file.size for file in files]
        await exchange.send(200, {"voice_id": voice_id, "requires_verification": self.behaviour.requires_verification})

    async def _delete_voice(self, exchange: Exchange, voice_id: str) -> None:
        if self.voices.pop(voice_id, None) is None:
            await exchange.send(404, elevenlabs_error("voice_not_found", f"No voice {voice_id}", kind="not_found"))
            return
        await exchange.send(200, {"status": "ok"})

    async def _search_voices(self, exchange: Exchange) -> None:
        query = exchange.request.query
        size, start = int(query.get("page_size", "10")), int(query.get("next_page_token", "0"))
        voices = [voice for voice in self.voices.values() if voice.category == query.get("category", voice.category)]
        end = start + size
        has_more = end < len(voices)
        page = {
            "voices": [asdict(voice) for voice in voices[start:end]],
            "has_more": has_more,
            "total_count": len(voices),
            "next_page_token": str(end) if has_more else None,
        }
        await exchange.send(200, page)

    async def _speak(self, exchange: Exchange, voice_id: str) -> None:
        if voice_id not in self.voices:
            await exchange.send(404, elevenlabs_error("voice_not_found", f"No voice {voice_id}", kind="not_found"))
            return
        text = (exchange.request.json or {}).get("text", "")
        encoding, _, sample_rate = exchange.request.query.get("output_format", "mp3_44100_128").partition("_")
        if encoding != "pcm" or not text.strip():
            code = "empty_text" if encoding == "pcm" else "invalid_output_format"
            await exchange.send(400, elevenlabs_error(code, "This cannot be spoken.", kind="validation_error"))
            return
        await exchange.work(self.behaviour.first_audio_seconds)
        await exchange.start(200, {"content-type": "audio/pcm", "request-id": secrets.token_hex(8)})
        sound = speech(text, int(sample_rate))
        piece_size = 2 * int(PIECE_SECONDS * int(sample_rate))
        for number, start in enumerate(range(0, len(sound), piece_size)):
            await exchange.send_piece(sound[start : start + piece_size])
            await exchange.keep_pace(number + 1, self.behaviour.audio_speed / PIECE_SECONDS)
        await exchange.finish()


class Exchange:
    """One request and its answer."""

    def __init__(
        self,
        request: ReceivedRequest,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        reach: Callable[[ReceivedRequest, Moment], None],
    ) -> None:
        self.request = request
        self._reach = reach
        self.fault = Fault(request.path, 0)
        self._receive = receive
        self._send = send
        self._arrived = self._started = time.monotonic()
        self._left: asyncio.Future[Any] | None = None

    async def read(self) -> None:
        """Read the body, and from then on look out for the client to leave."""
        body = b""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeftError
            assert message["type"] == "http.request"
            body += message["body"]
            more = message["more_body"]
            if len(body) >= int(self.request.headers.get("content-length", "0")) / 2:
                self._reach(self.request, Moment.HALF_RECEIVED)
        self._arrived = time.monotonic()
        content_type = self.request.headers.get("content-type", "")
        if content_type.startswith("multipart/form-data"):
            self.request.form, self.request.files = parse_form(content_type, body)
        elif content_type.startswith("application/json"):
            self.request.json = json.loads(body)
        self._left = asyncio.ensure_future(self._receive())

    def close(self) -> None:
        if self._left is not None:
            self._left.cancel()

    async def pause(self, seconds: float) -> None:
        """Wait, but not for a client that is no longer there."""
        assert self._left is not None
        if seconds < SHORT_SECONDS:
            await asyncio.sleep(max(0, seconds))
        else:
            await asyncio.wait([self._left], timeout=seconds)
        if self._left.done():
            raise ClientLeftError

    async def work(self, seconds: float) -> None:
        """Wait until `seconds` after the whole of the request was there: to take it apart is a part of the work."""
        due = self._arrived + seconds
        await self.pause(due - WAKING_SECONDS - time.monotonic())
        while time.monotonic() < due:  # noqa: ASYNC110 - a clock sets no event
            await asyncio.sleep(0)

    async def keep_pace(self, count: float, rate: float) -> None:
        """Wait until `count` things are due at `rate` a second since the answer began."""
        await self.pause(self._started + count / rate - time.monotonic() if rate else 0)

    async def send(self, status: int, body: Mapping[str, Any] | str, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer."""
        content_type = "text/html" if isinstance(body, str) else "application/json"
        await self.start(status, {"content-type": content_type} | dict(headers or {}))
        await self.send_piece((body if isinstance(body, str) else json.dumps(body)).encode())
        await self.finish()

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        self.request.status = status
        self._reach(self.request, Moment.DONE)
        self._started = time.monotonic()
        raw_headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw_headers, "trailers": False})

    async def send_piece(self, piece: bytes) -> None:
        limit = self.fault.cut_after_bytes
        if limit is not None:
            piece = piece[: limit - self.request.bytes_sent]
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        self.request.bytes_sent += len(piece)
        if self.request.bytes_sent >= HALF_ANSWER_BYTES:
            self._reach(self.request, Moment.HALF_ANSWERED)
        if limit is not None and self.request.bytes_sent >= limit:
            raise CutOffError

    async def finish(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        self._reach(self.request, Moment.ANSWERED)


def parse_form(content_type: str, body: bytes) -> tuple[dict[str, str], list[Upload]]:
    """Take a multipart form apart (RFC 7578): its fields, and its files without their content."""
    form: dict[str, str] = {}
    files: list[Upload] = []
    boundary = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode(), policy=HTTP).get_boundary() or ""
    for part in body.split(b"--" + boundary.encode())[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        headers = message_from_bytes(head + b"\r\n\r\n", policy=HTTP)
        content = content.removesuffix(b"\r\n")
        name = str(headers.get_param("name", header="content-disposition"))
        if headers.get_filename() is None:
            form[name] = content.decode()
        else:
            digest = hashlib.sha256(content).hexdigest()
            files.append(Upload(name, str(headers.get_filename()), headers.get_content_type(), len(content), digest))
    return form, files


def event(data: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def openai_error(code: str, message: str = "", kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


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


def run_punctually(server: uvicorn.Server, on: socket.socket) -> None:
    # The other selectors wake up to 2 ms late, at each pause anew.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(server.serve([on]))


def server_config(application: FakeProvider) -> uvicorn.Config:
    # A connection that is cut off on purpose is an error to uvicorn.
    return uvicorn.Config(
        application,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        timeout_keep_alive=120,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for OpenAI and ElevenLabs on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--log", type=argparse.FileType("a"), help="file that gets one line of JSON for each request")
    parser.add_argument("--key", help="the only key that is let in; without it, any")
    parser.add_argument("--transcript", default=Behaviour.transcript)
    parser.add_argument("--reply", default=Behaviour.reply)
    for name in (
        "hear_seconds",
        "first_token_seconds",
        "tokens_per_second",
        "first_audio_seconds",
        "audio_speed",
        "failing_share",
    ):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=0)
    options = vars(parser.parse_args())
    port, log = options.pop("port"), options.pop("log")
    with FakeProvider(Behaviour(**options), log).running(port) as provider:
        sys.stdout.write(f"Listening on {provider.url}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
