"""A request to the fake provider and its answer."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from dataclasses import asdict, dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from typing import TYPE_CHECKING, Any

from tests.fakes.behaviour import HALF_ANSWER_BYTES, Fault, Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable

SHORT_SECONDS = 0.05  # A client that leaves within so little is noticed soon enough when it is over.
WAKING_SECONDS = 0.001  # Whoever sleeps until something is due is late by a third of that.


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
    """What a client sent, and what became of the answer. `finished` is set when nothing more can happen to it.

    `messages` and `sound` are what came through a WebSocket; messages with sound are not among them.
    """

    time: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str] = field(repr=False)
    connection: tuple[str, int]
    form: dict[str, str] = field(default_factory=dict)
    files: list[Upload] = field(default_factory=list)
    json: Any = None
    messages: list[dict[str, Any]] = field(default_factory=list)
    sound: bytearray = field(default_factory=bytearray, repr=False)
    sound_seconds: float = 0
    status: int = 0
    bytes_sent: int = 0
    left_early: bool = False
    finished: threading.Event = field(default_factory=threading.Event)

    def to_log(self) -> dict[str, Any]:
        names = ["time", "method", "path", "query", "form", "json", "messages", "sound_seconds"]
        names += ["status", "bytes_sent", "left_early"]
        return {name: getattr(self, name) for name in names} | {"files": [asdict(file) for file in self.files]}


class ClientLeftError(Exception):
    """The client closed the connection before the answer was complete."""


class CutOffError(Exception):
    """A fault asks for the connection to be closed in the middle of the answer."""


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

    @property
    def has_left(self) -> bool:
        """Whether the client has closed the connection."""
        return self._left is not None and self._left.done()

    async def pause(self, seconds: float) -> None:
        """Wait, but not for a client that is no longer there."""
        assert self._left is not None
        if seconds < SHORT_SECONDS:
            await asyncio.sleep(max(0, seconds))
        else:
            await asyncio.wait([self._left], timeout=seconds)
        if self.has_left:
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
