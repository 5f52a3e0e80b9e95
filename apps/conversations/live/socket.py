"""`/v1/realtime` as an ASGI application: the handshake, one task that reads and one that writes, and the end."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from asgiref.sync import sync_to_async
from django.db import Error as DatabaseFailure
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.conversations import metrics, services
from apps.conversations.live import ground
from apps.conversations.live.access import Caller, identify, still_valid
from apps.conversations.live.handshake import HEADERS, POLICY_VIOLATION, Message, Send, refuse, subprotocol
from apps.conversations.live.protocol import Event, decoded_event, error_event
from apps.conversations.live.session import LiveSession
from apps.core import readiness
from apps.core.api_errors import known_error
from apps.core.database import shared_thread
from apps.core.errors import UserError
from apps.speech.base import ProviderError
from apps.speech.live import turn_end
from apps.speech.registry import current_engines

logger = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[Message]]

PATH = "/v1/realtime"
NORMAL, GOING_AWAY, INTERNAL, RESTART = 1000, 1001, 1011, 1012
# Events that wait for a client that reads slowly; sound is at most some seconds ahead, so these are many.
MAX_WAITING = 2000
ENDING_CHECK_SECONDS = 0.1
# Of one person, in one process: pages, tabs and programs. Each session takes memory, also while nobody speaks.
MAX_SOCKETS_OF_ONE = 50


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Times in seconds: `write` for a client to take what is sent, `idle` without a word from it, and so on."""

    write: float = 20
    check: float = 5
    idle: float = 15 * 60
    session: float = 60 * 60


class LiveSockets:
    """Serves the sockets of a process, and passes everything else on to `application`.

    `abort` closes the connection behind an ASGI `send` at once, without waiting for its client.
    """

    def __init__(self, application: Any, *, abort: Callable[[Send], None], deadlines: Deadlines = Deadlines()) -> None:
        self.application = application
        self.abort = abort
        self.deadlines = deadlines
        self._open: set[LiveSocket] = set()
        self._watching: asyncio.Task[None] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.application(scope, receive, send)
            return
        await receive()  # websocket.connect
        if scope["path"].rstrip("/") != PATH:
            await refuse(scope, send, UserError("not_found", _("There is no socket at this address."), status=404))
            return
        socket = LiveSocket(
            scope,
            receive,
            send,
            abort=lambda: self.abort(send),
            has_too_many=lambda caller: self._count(caller.user) > MAX_SOCKETS_OF_ONE,
            deadlines=self.deadlines,
        )
        self._open.add(socket)
        if self._watching is None:
            # In a context of its own: the task outlives the socket that started it.
            self._watching = asyncio.create_task(self._watch(), context=Context())
        try:
            with metrics.LIVE_SESSIONS.track_inprogress():
                await socket.serve()
        finally:
            self._open.discard(socket)
            if not self._open and self._watching is not None:
                self._watching.cancel()
                self._watching = None

    def _count(self, user: User) -> int:
        return sum(socket.caller is not None and socket.caller.user == user for socket in self._open)

    async def _watch(self) -> None:
        """Close the sockets of callers who may no longer use them. The queries are for all sockets together."""
        while True:
            await asyncio.sleep(self.deadlines.check)
            sockets = {socket: socket.caller for socket in self._open if socket.caller is not None}
            try:
                valid = await _in_thread(still_valid, set(sockets.values()))
            except DatabaseFailure:  # The next look tries again.
                continue
            for socket, caller in sockets.items():
                if caller not in valid:
                    socket.end_refused()

    def end_idle(self) -> None:
        """Close the sockets on which nothing happens, and the others as soon as their answers are given."""
        for socket in self._open:
            socket.end_soon()

    def end_all(self) -> None:
        """Interrupt the answers that are left, and close all sockets."""
        for socket in self._open:
            socket.end_now()


class LiveSocket:
    """One socket, from its handshake to its end."""

    def __init__(
        self,
        scope: Message,
        receive: Receive,
        send: Send,
        *,
        abort: Callable[[], None],
        has_too_many: Callable[[Caller], bool],
        deadlines: Deadlines,
    ) -> None:
        self._scope, self._receive, self._send, self._abort = scope, receive, send, abort
        self._has_too_many = has_too_many
        self._deadlines = deadlines
        self._outgoing: deque[Event] = deque()
        self._news = asyncio.Event()
        self._close_code: int | None = None
        self._closing = asyncio.Event()
        self._is_ending = asyncio.Event()
        self._last_event_at = 0.0
        self._session: LiveSession | None = None
        self.caller: Caller | None = None

    def close(self, code: int) -> None:
        """Close the socket when what is waiting has been sent."""
        if self._close_code is None:
            self._close_code = code
            self._closing.set()
            self._news.set()

    def end_soon(self) -> None:
        """Close the socket as soon as nobody asks or is answered."""
        self._is_ending.set()

    def end_refused(self) -> None:
        """Close the socket of a caller who may no longer use it."""
        self.send(error_event("authentication_failed", "You are signed out, or your token was revoked."))
        self.close(POLICY_VIOLATION)

    def end_now(self) -> None:
        """End the response, so that the client hears of it, and close the socket."""
        if self._session is not None:
            self._session.interrupt()
        self.close(RESTART)

    async def serve(self) -> None:
        query = {name: values[-1] for name, values in parse_qs(self._scope["query_string"].decode("latin-1")).items()}
        try:
            readiness.require_ready()
            self.caller = caller = await _in_thread(identify, self._scope)
            if self._has_too_many(caller):
                text = _("You have too many live conversations open. Close one, then try again.")
                raise UserError("too_many_sessions", text, status=429)
        except (UserError, DatabaseFailure) as error:
            await refuse(self._scope, self._send, error)
            return
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol(self._scope), "headers": HEADERS})
        writing = asyncio.create_task(self._write())
        try:
            await self._converse(caller, query)
        finally:
            self.close(NORMAL)
            with suppress(asyncio.CancelledError):
                await writing

    async def _converse(self, caller: Caller, query: dict[str, str]) -> None:
        model = query.get("model", "") or services.chat_models()[0]
        try:
            conversation = await _in_thread(
                ground.open_conversation,
                caller,
                voice_name=query.get("voice", ""),
                conversation_id=query.get("conversation", ""),
                model=model,
            )
        except (UserError, ProviderError, DatabaseFailure) as error:
            self._refuse_with_event(error)
            return
        async with current_engines() as engines:
            session = LiveSession(
                caller=caller,
                conversation=conversation,
                model=model,
                engines=engines,
                send=self.send,
                on_left=lambda: self.close(POLICY_VIOLATION),
                finishes=query.get("finish") == "true",
            )
            await session.open(await asyncio.to_thread(turn_end))
            self._session = session
            try:
                await self._read_until_closed(session)
            finally:
                await asyncio.shield(asyncio.create_task(session.close()))

    async def _read_until_closed(self, session: LiveSession) -> None:
        reading = asyncio.create_task(self._read(session))
        watching = asyncio.create_task(self._watch())
        closing = asyncio.create_task(self._closing.wait())
        ending = asyncio.create_task(self._end_when_idle(session))
        tasks = {reading, watching, closing, ending}
        try:
            done, _rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                logger.error("A live session failed", exc_info=error)
                self.close(INTERNAL)

    async def _read(self, session: LiveSession) -> None:
        """Take the client's events until it leaves. Only a socket that is read gets the answers to its pings."""
        loop = asyncio.get_running_loop()
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self.close(message.get("code") or GOING_AWAY)
                return
            self._last_event_at = loop.time()
            received = decoded_event(message.get("text") or message.get("bytes") or "")
            if received is None:
                self.send(error_event("invalid_json", "Send events as JSON objects, in text messages."))
            else:
                await session.handle(received)

    async def _watch(self) -> None:
        """Close the socket of a caller who does nothing, or when its time is over."""
        loop = asyncio.get_running_loop()
        began = self._last_event_at = loop.time()
        while True:
            await asyncio.sleep(self._deadlines.check)
            now = loop.time()
            if now - began > self._deadlines.session:
                self.send(error_event("session_expired", "A session lasts no longer than this. Open another one."))
                return
            if now - self._last_event_at > self._deadlines.idle:
                return

    async def _end_when_idle(self, session: LiveSession) -> None:
        await self._is_ending.wait()
        while not session.is_idle:  # noqa: ASYNC110 - it depends on much, and matters only at the end of a process
            await asyncio.sleep(ENDING_CHECK_SECONDS)
        self.close(RESTART)

    def send(self, event: Event) -> None:
        """Send an event when those before it are sent."""
        self._outgoing.append(event)
        self._news.set()
        if len(self._outgoing) > MAX_WAITING:
            self._outgoing.clear()
            self.close(POLICY_VIOLATION)

    async def _write(self) -> None:
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._outgoing:
                    text = json.dumps(self._outgoing.popleft(), ensure_ascii=False)
                    await self._put({"type": "websocket.send", "text": text})
                if self._close_code is not None:
                    await self._put({"type": "websocket.close", "code": self._close_code})
                    return
        except TimeoutError:
            logger.info("A client of a live session takes nothing more; its connection is closed")
            self._closing.set()
            self._abort()
        except OSError:  # It has left.
            self._closing.set()

    async def _put(self, message: Message) -> None:
        async with asyncio.timeout(self._deadlines.write):
            await self._send(message)

    def _refuse_with_event(self, error: Exception) -> None:
        """Tell why there is no session: after the handshake, browsers show no other reason."""
        known = known_error(error)
        if known is None:
            logger.error("A live session could not be opened", exc_info=error)
            self.send(error_event("internal_error", _("Something went wrong on this site."), kind="server_error"))
            self.close(INTERNAL)
            return
        param = {"voice_not_found": "voice", "conversation_not_found": "conversation"}.get(known.code, "")
        self.send(error_event(known.code, known.message, param=param))
        self.close(POLICY_VIOLATION)


async def _in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    async with shared_thread():
        return await sync_to_async(function)(*args, **kwargs)
