"""A stand-in for OpenAI and ElevenLabs on this machine, for tests, benchmarks and trials of the whole application.

In a test: the fixture `provider`. On its own: `python -m tests.fakes.provider --port 9000 --log requests.jsonl`, with
OPENAI_BASE_URL=http://127.0.0.1:9000/v1 and ELEVENLABS_BASE_URL=http://127.0.0.1:9000 for the application.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import selectors
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import parse_qsl

import uvicorn

from tests.fakes import elevenlabs, elevenlabs_live, openai, openai_live
from tests.fakes.behaviour import FAILURES, Behaviour, Fault, Moment
from tests.fakes.exchange import ClientLeftError, Exchange, ReceivedRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope


@dataclass
class Ambush:
    """What happens at a moment of the next request whose method and path are these."""

    method: str
    path: str
    moment: Moment
    action: Callable[[], object]


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
        self.voices: dict[str, elevenlabs.Voice] = {}
        self.faults: list[Fault] = []
        self._random = random.Random(1)  # noqa: S311 - the same failures in every run
        self._ambushes: list[Ambush] = []
        self._speeches: list[Exchange] = []
        self.most_speaking = 0  # Requests for speech at once.
        self.over_limit: list[float] = []  # When there were more than the plan allows.

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

    @property
    def speaking(self) -> int:
        """How many requests for speech there are, without those whose client has left."""
        return sum(not speech.has_left for speech in self._speeches)

    # What tests ask for

    def add_voice(self, name: str, *, category: str = "cloned") -> str:
        """Add a voice to the account at ElevenLabs, and return its id."""
        needed = self.behaviour.requires_verification
        return elevenlabs.add_voice(self.voices, name, category=category, requires_verification=needed).voice_id

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

    def break_socket(
        self,
        path: str,
        *,
        after_seconds: float | None = None,
        error: str = "",
        failed_code: str = "",
        hangs: bool = False,
        times: int = 1,
    ) -> None:
        """Close a WebSocket after so much sound, or else at the commit; with `hangs`, answer nothing from then on."""
        fault = Fault(path, times, after_seconds=after_seconds, socket_error=error, hang_at_end=hangs)
        fault.failed_code, fault.at_commit = failed_code, after_seconds is None and not failed_code
        self.faults.append(fault)

    def at(self, method: str, path: str, moment: Moment, action: Callable[[], object]) -> None:
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
        assert scope["type"] != "lifespan"
        assert scope["client"] is not None
        request = ReceivedRequest(
            time=time.time(),
            method=scope["method"] if scope["type"] == "http" else "WEBSOCKET",
            path=scope["path"],
            query=dict(parse_qsl(scope["query_string"].decode())),
            headers={name.decode(): value.decode() for name, value in scope["headers"]},
            connection=scope["client"],
        )
        if scope["type"] == "websocket":
            await self._listen(request, receive, send)
            return
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
            self._finish(request)

    def _finish(self, request: ReceivedRequest) -> None:
        request.finished.set()
        if self._log:
            self._log.write(json.dumps(request.to_log()) + "\n")
            self._log.flush()

    async def _listen(self, request: ReceivedRequest, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Hear what comes through a WebSocket."""
        self.requests.append(request)
        fault = self.take_fault(request.path)
        await receive()  # The request for the connection.
        await asyncio.sleep(fault.delay_seconds)
        refusal = self._refusal(request)
        try:
            if fault.status is not None and fault.status != 200:
                await refuse_socket(send, fault.status, fault.body, fault.headers)
            elif refusal is not None:
                await refuse_socket(send, 401, refusal, {})
            elif request.path == elevenlabs_live.PATH:
                await elevenlabs_live.ElevenLabsSocket(request, fault, self.behaviour, receive, send).serve()
            else:
                await openai_live.OpenAISocket(request, fault, self.behaviour, receive, send).serve()
        finally:
            self._finish(request)

    def _refusal(self, request: ReceivedRequest) -> dict[str, Any] | None:
        """Return the refusal of a wrong key; None if the key is right."""
        is_openai = request.path.startswith((*openai.PATHS, openai_live.PATH))
        key = request.headers.get("authorization" if is_openai else "xi-api-key", "").removeprefix("Bearer ")
        if self.behaviour.key == "" or (key and self.behaviour.key in (None, key)):
            return None
        refusal = openai.openai_error if is_openai else elevenlabs.elevenlabs_error
        return refusal("invalid_api_key", f"Incorrect API key provided: {key}")

    async def _answer(self, exchange: Exchange) -> None:
        request, fault = exchange.request, exchange.fault
        await exchange.pause(fault.delay_seconds)
        if fault.status is not None:
            await exchange.send(fault.status, fault.body, fault.headers)
            return
        if (refusal := self._refusal(request)) is not None:
            await exchange.send(401, refusal)
        elif request.path.startswith(openai.PATHS):
            await openai.answer(exchange, self.behaviour)
        elif request.path.startswith(elevenlabs.SPEECH):
            await self._speak(exchange)
        else:
            await elevenlabs.answer(exchange, self.behaviour, self.voices)

    async def _speak(self, exchange: Exchange) -> None:
        """Speak, unless the plan allows no more requests at once."""
        self._speeches.append(exchange)
        self.most_speaking = max(self.most_speaking, self.speaking)
        try:
            if 0 < self.behaviour.speech_limit < self.speaking:
                self.over_limit.append(time.time())
                code = "too_many_concurrent_requests"
                await exchange.send(
                    429, elevenlabs.elevenlabs_error(code, "Too many requests.", kind="rate_limit_error")
                )
            else:
                await elevenlabs.answer(exchange, self.behaviour, self.voices)
        finally:
            self._speeches.remove(exchange)


async def refuse_socket(
    send: ASGISendCallable, status: int, body: Mapping[str, Any] | str, headers: Mapping[str, str]
) -> None:
    """Answer the request for a WebSocket with an HTTP response."""
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    raw_headers = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "websocket.http.response.start", "status": status, "headers": raw_headers})
    await send({"type": "websocket.http.response.body", "body": content, "more_body": False})


def run_punctually(server: uvicorn.Server, on: socket.socket) -> None:
    # The other selectors wake up to 2 ms late, at each pause anew.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(server.serve([on]))


def server_config(application: FakeProvider) -> uvicorn.Config:
    # A connection that is cut off on purpose is an error to uvicorn.
    return uvicorn.Config(
        application,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
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
        "spoken_seconds",
        "partial_seconds",
        "final_seconds",
        "failing_share",
    ):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=0)
    options = vars(parser.parse_args())
    port, log = options.pop("port"), options.pop("log")
    with FakeProvider(Behaviour(**options, keeps_sound=False), log).running(port) as provider:
        sys.stdout.write(f"Listening on {provider.url}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
