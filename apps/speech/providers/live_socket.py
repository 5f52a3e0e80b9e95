"""Hears while it is spoken, through a WebSocket to a service. A `Dialect` knows what is particular to the service.

docs/decisions/0029-hearing-while-it-is-spoken.md explains the rules.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed

from apps.speech.base import ProviderError, Transcript
from apps.speech.providers.breakers import State
from apps.speech.providers.faults import provider_error
from apps.speech.providers.live_dialect import Final, Partial, connection, message_errors
from apps.speech.providers.live_queue import SoundQueue
from apps.speech.providers.retries import TRANSIENT_CODES, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from websockets.asyncio.client import ClientConnection

    from apps.speech.providers.live_dialect import Dialect, LiveConfig

_FIRST_PAUSE_SECONDS = 0.2
_RETRIED_CODES = TRANSIENT_CODES | {"provider_timeout"}


class LiveSocketSpeechToText:
    """A LiveSpeechToText. `create_dialect` gets the language, and returns the dialect of one connection."""

    def __init__(self, name: str, config: LiveConfig, create_dialect: Callable[[str], Dialect]) -> None:
        self.name = name
        self._config = config
        self._create_dialect = create_dialect

    @asynccontextmanager
    async def listen(self, *, language: str, on_partial: Callable[[str], None]) -> AsyncIterator[SocketTranscription]:
        transcription = SocketTranscription(self.name, self._config, self._create_dialect, language, on_partial)
        task = asyncio.ensure_future(transcription.run())
        try:
            yield transcription
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class _Rest(Enum):
    """Until when no connection is opened."""

    NONE = auto()
    UNTIL_SOUND = auto()  # Nobody has spoken for a while.
    UNTIL_COMMIT = auto()  # The service has failed. The commit tries it again with the whole question.


class SocketTranscription:
    """A LiveTranscription."""

    def __init__(
        self,
        name: str,
        config: LiveConfig,
        create_dialect: Callable[[str], Dialect],
        language: str,
        on_partial: Callable[[str], None],
    ) -> None:
        self.name = name
        self._config = config
        self._create_dialect = create_dialect
        self._language = language
        self._on_partial = on_partial
        self._breaker = config.breakers["hear"]
        self._queue = SoundQueue(config.max_seconds)
        self._rest = _Rest.NONE
        self._failures = 0  # In a row.
        self._wake = asyncio.Event()
        self._now = asyncio.get_running_loop().time
        self._heard_at = self._now()
        self._answer_timer = asyncio.timeout(None)

    @property
    def sent_seconds(self) -> float:
        return self._queue.sent_seconds

    def hear(self, pcm: bytes) -> None:
        self._queue.add(pcm)
        self._heard_at = self._now()
        if self._rest is _Rest.UNTIL_SOUND:
            self._rest = _Rest.NONE
        self._wake.set()

    def likely_end(self) -> None:
        """Do nothing: the service hears all the time."""

    async def commit(self) -> Transcript:
        result = self._queue.end_question()
        self._try_again()
        if result is None:
            return Transcript("")
        try:
            with self._breaker.guarding():
                async with until(self._now() + self._config.hear_seconds, stage="hear"):
                    text = await result
        finally:
            result.cancel()
        return Transcript(text, self._language if text else "")

    def clear(self) -> None:
        self._queue.forget_question()
        self._try_again()

    def _try_again(self) -> None:
        self._failures = 0
        self._rest = _Rest.NONE
        self._wake.set()

    async def run(self) -> None:
        """Keep a connection while it is needed, and open the first one in advance, because that takes a while."""
        while True:
            try:
                if self._breaker.state is State.OPEN:
                    self._breaker.check()
                await self._use_connection()
            except ProviderError as error:
                await self._note_failure(error)
            while self._rest is not _Rest.NONE or not self._queue.has_work:
                self._wake.clear()
                await self._wake.wait()

    async def _note_failure(self, error: ProviderError) -> None:
        """Wait before the next try, or give up until somebody asks again."""
        self._failures += 1
        pause = error.retry_after
        if pause is None:
            pause = random.uniform(0, _FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1))  # noqa: S311 - no secret
        can_pass = error.code in _RETRIED_CODES and pause <= self._config.hear_seconds
        if can_pass and self._failures <= self._config.max_retries:
            await asyncio.sleep(pause)
            return
        self._failures = 0
        self._queue.fail(error)
        if self._queue.has_sound:
            self._rest = _Rest.UNTIL_COMMIT

    async def _use_connection(self) -> None:
        """Use a new connection until it is no longer needed. Raises ProviderError if it is lost before."""
        self._queue.begin_again()
        dialect = self._create_dialect(self._language)
        try:
            async with asyncio.timeout(None) as self._answer_timer, connection(dialect, self._config) as socket:
                sender = asyncio.ensure_future(self._send(socket, dialect))
                try:
                    await self._receive(socket, dialect)
                finally:
                    sender.cancel()
                    await asyncio.wait([sender])
        except TimeoutError:
            raise provider_error("provider_timeout", stage="hear") from None
        finally:
            self._queue.begin_again()
        if _lost_connection(sender) and self._queue.has_sound:
            raise provider_error("provider_incomplete", stage="hear")

    async def _send(self, socket: ClientConnection, dialect: Dialect) -> None:
        """Send what there is to send, until nobody has spoken for a while or the connection is too old."""
        ends_at = self._now() + dialect.max_age_seconds
        try:
            while not self._is_over(ends_at):
                message = self._queue.next_message(dialect) or await self._wait_for_sound(dialect)
                if message:
                    await socket.send(message)
                self._watch_answer()
        finally:
            await socket.close()

    def _is_over(self, ends_at: float) -> bool:
        if self._queue.has_commits:
            return False
        if self._now() - self._heard_at > self._config.idle_seconds:
            self._rest = _Rest.UNTIL_SOUND
            return True
        return self._now() > ends_at

    async def _wait_for_sound(self, dialect: Dialect) -> str | None:
        """Wait for something to send. After a while without it, return a message with silence if the service needs it.

        A service that hears nothing for some seconds needs seconds to get going again, or closes the connection.
        """
        seconds = min(self._config.silence_seconds, self._config.idle_seconds)
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
                return None
        return self._queue.silence(seconds, dialect) if dialect.sends_silence else None

    def _watch_answer(self) -> None:
        """Limit the time of the answer to a commit."""
        if self._answer_timer.expired():
            return
        if not self._queue.awaits_answer:
            self._answer_timer.reschedule(None)
        elif self._answer_timer.when() is None:
            self._answer_timer.reschedule(self._now() + self._config.answer_seconds)

    async def _receive(self, socket: ClientConnection, dialect: Dialect) -> None:
        """Take the answers until the connection is closed. Raises ProviderError."""
        with suppress(ConnectionClosed):
            async for message in socket:
                with message_errors():
                    event = dialect.read(message)
                match event:
                    case Partial(text):
                        partial = self._queue.partial(text)
                        if partial is not None:
                            self._on_partial(partial)
                    case Final(text):
                        self._queue.final(text)
                        self._failures = 0
                        self._wake.set()


def _lost_connection(sender: asyncio.Task[None]) -> bool:
    """Tell whether the sender did not end by itself, but lost its connection."""
    if sender.cancelled():
        return True
    error = sender.exception()
    if error is not None and not isinstance(error, ConnectionClosed):
        raise error
    return error is not None
