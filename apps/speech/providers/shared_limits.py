"""What the processes of a site share through Redis: slots for speech requests, and the states of breakers.

A script per request for speech is all that waits for Redis. Everything else goes along with a report, once a second.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from apps.speech.providers import shared_scripts
from apps.speech.providers.shared_slots import LEASE_SECONDS, SharedSlots, UnreachableError

if TYPE_CHECKING:
    from redis.commands.core import AsyncScript

    from apps.speech.providers.breakers import Breaker

logger = logging.getLogger("voiceclone.speech")

REPORT_SECONDS = 1
# Redis answers within a millisecond. A turn waits once for one that does not, and then goes on without it.
TIMEOUT_SECONDS = 0.5
_MAIL_SECONDS = 5
_BREAKER_KEYS = ("voiceclone:breakers", "voiceclone:processes")


@dataclass(frozen=True, slots=True)
class SharedLimitsConfig:
    """`processes` is how many processes there are, to divide the slots by while Redis does not answer."""

    url: str = field(repr=False)
    processes: int


class SharedLimits:
    """The connections of one event loop to Redis. A SlotServer. `breakers` returns all breakers by name."""

    def __init__(self, config: SharedLimitsConfig, breakers: Callable[[], Mapping[str, Breaker]]) -> None:
        self.process = secrets.token_hex(8)
        self.mailboxes = "voiceclone:mailbox:"
        self.is_up = True  # Until the first call fails.
        self._processes = self._configured_processes = config.processes
        self._redis = _connection(config.url, timeout=TIMEOUT_SECONDS)
        self._mail = _connection(config.url, timeout=_MAIL_SECONDS + TIMEOUT_SECONDS)
        self._scripts: dict[str, AsyncScript] = {}
        self._slots: dict[str, SharedSlots] = {}
        self._breakers = breakers
        self._known: dict[str, tuple[int, str]] = {}  # A breaker's own changes and the version that Redis has.
        self._background: set[asyncio.Task[Any]] = set()
        self._loops: list[asyncio.Task[None]] = []

    def slots(self, name: str, size: int) -> SharedSlots:
        """Return the slots of this name. Starts the reports."""
        self.start()
        return self._slots.setdefault(name, SharedSlots(self, name, size))

    def start(self) -> None:
        """Begin to report, on the running event loop."""
        if not self._loops:
            self._loops = [asyncio.create_task(self._report_regularly()), asyncio.create_task(self._read_mail())]

    async def close(self) -> None:
        """Finish what is on its way, and close the connections."""
        if self._background:
            await asyncio.wait(self._background)
        for loop in self._loops:
            loop.cancel()
        if self._loops:
            await asyncio.wait(self._loops)
            with suppress(RedisError, OSError):
                await self._redis.zrem(_BREAKER_KEYS[1], self.process)
        for redis in (self._redis, self._mail):
            with suppress(RedisError, OSError):
                await redis.aclose()

    def share_of(self, size: int) -> int:
        return max(1, size // self._processes)

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        # In a task of its own: to cancel a command would close the connection, and its outcome would be unknown.
        return await asyncio.shield(self._task(self._run(script, keys, arguments)))

    def run_later(self, script: str, keys: Sequence[str], arguments: Sequence[str | int]) -> None:
        self._task(self._run(script, keys, arguments))

    def _task(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[object]) -> None:
        self._background.discard(task)
        if not task.cancelled():
            task.exception()  # Nobody may have waited for it.

    async def _run(self, script: str, keys: Sequence[str], arguments: Sequence[str | int]) -> object:
        if script not in self._scripts:
            self._scripts[script] = self._redis.register_script(script)
        try:
            answer: object = await self._scripts[script](keys=keys, args=arguments)
        except (RedisError, OSError) as error:
            self._note_down(error)
            raise UnreachableError from error
        return answer

    def _note_down(self, error: Exception) -> None:
        if not self.is_up:
            return
        self.is_up = False
        message = "Redis does not answer: until it does, this process takes 1/%d of the slots for speech"
        logger.warning(message, self._processes, extra={"reason": type(error).__name__})
        for slots in self._slots.values():
            slots.hand_out_alone()

    async def _report_regularly(self) -> None:
        while True:
            with suppress(UnreachableError):
                for slots in list(self._slots.values()):
                    await slots.report()
                await self._share_breakers()
                if not self.is_up:
                    self.is_up = True
                    logger.warning("Redis is back: the processes share their slots for speech again")
            await asyncio.sleep(REPORT_SECONDS)

    async def _read_mail(self) -> None:
        """Learn at once which calls got a slot that another one gave back. A report tells it too, but later."""
        while True:
            try:
                mail = await self._mail.blpop([f"{self.mailboxes}{self.process}"], timeout=_MAIL_SECONDS)
            except (RedisError, OSError):
                await asyncio.sleep(REPORT_SECONDS)
                continue
            if mail:
                name, token = str(mail[1]).split(" ")
                self._slots[name].grant(token)

    async def _share_breakers(self) -> None:
        """Tell the others of each breaker that opened or closed here, and follow those that did elsewhere."""
        breakers = self._breakers()
        changes = {
            name: breaker.changes
            for name, breaker in breakers.items()
            if breaker.changes != self._known.get(name, (0, ""))[0]
        }
        arguments: list[str | int] = [self.process, LEASE_SECONDS * 1000]
        for name in changes:
            arguments += [name, round(1000 * breakers[name].open_seconds)]
        answer = await self.run(shared_scripts.BREAKERS, _BREAKER_KEYS, arguments)
        self._processes = max(self._configured_processes, int(answer[0]))
        for name, version, left in zip(*[iter(map(str, answer[1:]))] * 3, strict=True):
            if name not in breakers:
                continue
            known_changes, known_version = self._known.get(name, (0, ""))
            if version != known_version and name not in changes:
                breakers[name].follow(open_seconds=float(left) / 1000 if left else None)
            self._known[name] = (changes.get(name, known_changes), version)


def _connection(url: str, *, timeout: float) -> Redis:
    return Redis.from_url(
        url,
        decode_responses=True,
        single_connection_client=True,
        socket_timeout=timeout,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
