"""Limits on the bodies of requests. They apply before Django stores a body, which it does before any view runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection

from apps.core import readiness
from apps.core.rate_limits import network_of
from voiceclone.server import Application, Message, Receive, Send

REFUSED = "voiceclone.refused"
TOO_LARGE, UNKNOWN_CALLER, TOO_MANY, NO_ROOM = "too large", "unknown caller", "too many", "no room"
NO_LENGTH = "no length"

BODY_SECONDS = 600  # Enough for 50 megabytes over a bad connection.
DISCARD_FACTOR = 10  # A client may send this many times the limit; then its connection is closed.
UNCHECKED_BYTES = 1_000_000  # A body may become this large before its caller is checked, which takes a query.
UNCHECKED_AT_ONCE = 20  # So many bodies from one network are read without a check.
OPEN_AT_ONCE = 2  # So many large bodies from one network may go to the addresses that are open to everybody.

IsKnown = Callable[[Message], Awaitable[bool]]


class Places:
    """The bodies that each network sends at this moment: at most `number`."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._taken: Counter[str] = Counter()

    def take(self, network: str) -> bool:
        is_free = self._taken[network] < self._number
        if is_free:
            self._taken[network] += 1
        return is_free

    def give_back(self, network: str) -> None:
        self._taken[network] -= 1
        if not self._taken[network]:
            del self._taken[network]


class BodyLimit:
    """Refuses bodies over `max_bytes`, large ones of callers that are not known, and too many from one network.

    `is_known` tells whether the request of a scope comes from a caller that is known. Everybody may send large bodies
    to `open_paths`, a few at once.

    `voiceclone.middleware.body_limit` makes the response: it gets the request without a body, and the reason as REFUSED
    in its scope. A client that takes more than `max_seconds` to send a body gets a 408 without a body.
    """

    def __init__(
        self,
        application: Application,
        *,
        max_bytes: int,
        is_known: IsKnown,
        open_paths: Collection[str] = (),
        max_seconds: float = BODY_SECONDS,
    ) -> None:
        self.application = application
        self.max_bytes = max_bytes
        self.max_seconds = max_seconds
        self._is_known = is_known
        self._open_paths = frozenset(open_paths)
        self._unchecked = Places(UNCHECKED_AT_ONCE)
        self._open = Places(OPEN_AT_ONCE)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        body = LimitedBody(receive, self._admission(scope), self.max_bytes, self.max_seconds)
        try:
            await body.expect(announced_bytes(scope))
            if not body.refusal:
                await self.application(scope, body.receive, send)
        finally:
            body.admission.end()
        if body.is_late:
            await send({"type": "http.response.start", "status": 408, "headers": [(b"connection", b"close")]})
            await send({"type": "http.response.body"})
        elif body.refusal:
            await body.discard(DISCARD_FACTOR * self.max_bytes)
            await self.application({**scope, REFUSED: body.refusal}, body.receive_empty, send)

    def _admission(self, scope: Message) -> Admission:
        client = scope.get("client") or ("", 0)
        return Admission(
            network=_network(client[0]),
            is_open=scope["path"] in self._open_paths,
            is_known=lambda: self._is_known(scope),
            unchecked=self._unchecked,
            opened=self._open,
        )


class Admission:
    """What the sender of one body may send, and the place that the body takes."""

    def __init__(
        self, *, network: str, is_open: bool, is_known: Callable[[], Awaitable[bool]], unchecked: Places, opened: Places
    ) -> None:
        self._network = network
        self._is_open = is_open
        self._is_known = is_known
        self._unchecked = unchecked
        self._opened = opened
        self._place: Places | None = None
        self._is_checked = False

    async def refusal_of(self, size: int) -> str:
        """Return why a body of `size` bytes, or of as many so far, is refused; "" if it is not."""
        if self._is_checked or not size:
            return ""
        if size <= UNCHECKED_BYTES and (self._place or self._take(self._unchecked)):
            return ""
        self.end()
        self._is_checked = True
        if self._is_open:
            return self._refusal_at_open_path()
        if await self._is_known():
            return ""
        return UNKNOWN_CALLER if size > UNCHECKED_BYTES else TOO_MANY

    def _refusal_at_open_path(self) -> str:
        if not readiness.has_room():
            return NO_ROOM
        return "" if self._take(self._opened) else TOO_MANY

    def _take(self, places: Places) -> bool:
        if places.take(self._network):
            self._place = places
        return self._place is not None

    def end(self) -> None:
        """Give the place back: the body is over."""
        if self._place:
            self._place.give_back(self._network)
            self._place = None


class LimitedBody:
    """The body of a request. To the application, the client disconnects when the body is refused or late."""

    def __init__(self, receive: Receive, admission: Admission, max_bytes: int, max_seconds: float) -> None:
        self.admission = admission
        self.refusal = ""
        self.is_late = False
        self._receive = receive
        self._max_bytes = max_bytes
        self._deadline = asyncio.get_running_loop().time() + max_seconds
        self._received = 0
        self._is_over = False
        self._is_empty_sent = False

    async def expect(self, size: int) -> None:
        """Refuse a body that announces `size` bytes, if it has to be refused, before any of it is read."""
        self.refusal = TOO_LARGE if size > self._max_bytes else await self.admission.refusal_of(size)

    async def receive(self) -> Message:
        """Return the next message, or a disconnect if the body is refused or the client was too slow."""
        if self._is_over:
            return await self._receive()
        message = await self._next()
        if not self.is_late:
            too_large = self._received > self._max_bytes
            self.refusal = TOO_LARGE if too_large else await self.admission.refusal_of(self._received)
        if self._is_over:
            self.admission.end()
        return {"type": "http.disconnect"} if self.refusal or self.is_late else message

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            self.is_late = True
            return {"type": "http.disconnect"}
        self._received += len(message.get("body", b""))
        self._is_over = not message.get("more_body", False)
        return message

    async def discard(self, max_bytes: int) -> None:
        """Read and discard the rest, up to `max_bytes` in total.

        A client that still sends when the connection closes may lose the response (RFC 9112, section 9.6).
        """
        while not (self._is_over or self.is_late) and self._received <= max_bytes:
            await self._next()
        if self._received > self._max_bytes:
            self.refusal = TOO_LARGE

    async def receive_empty(self) -> Message:
        """Return an empty body first, then wait until the client disconnects."""
        if not self._is_empty_sent:
            self._is_empty_sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        message = await self._receive()
        while message["type"] != "http.disconnect":
            message = await self._receive()
        return message


def announced_bytes(scope: Message) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _network(address: str) -> str:
    try:
        return network_of(address)
    except ValueError:  # A Unix socket, or whatever a proxy says.
        return address
