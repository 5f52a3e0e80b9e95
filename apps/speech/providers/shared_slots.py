"""A limit on concurrent calls that several processes share through Redis."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from apps.speech import metrics
from apps.speech.providers import shared_scripts
from apps.speech.providers.retries import deadline_paused

# What a process holds belongs to nobody after so long without a report: it was killed, or cannot reach Redis.
LEASE_SECONDS = 5
_KEYS = ("held", "pending", "waiting", "lowered", "sequence", "beat", "settling")


class UnreachableError(Exception):
    """Redis does not answer."""


class SlotServer(Protocol):
    """Redis, as the slots see it."""

    process: str
    mailboxes: str
    is_up: bool

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        """Return the answer to one of the scripts. Runs in the order of the calls. Raises UnreachableError."""
        ...

    def run_later(self, script: str, keys: Sequence[str], arguments: Sequence[str | int]) -> None:
        """Do the same beside the caller, and tell nobody if it fails."""
        ...

    def share_of(self, size: int) -> int:
        """Return how many of `size` slots are for this process as long as it knows nothing of the others."""
        ...


@dataclass(slots=True)
class _Waiter:
    is_urgent: bool
    granted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class SharedSlots:
    """At most `size` slots named `name` are taken at a time, by all processes with this Redis. A SpeechSlots.

    A free slot goes to an urgent call first, then to the call that has waited longest, in whichever process. While
    Redis does not answer, this process keeps to its share. The deadline of a call is paused while it waits.
    """

    def __init__(self, server: SlotServer, name: str, size: int) -> None:
        self._server = server
        self._name = name
        self._size = size
        self._keys = [f"voiceclone:slots:{name}:{key}" for key in _KEYS]
        self._numbers = itertools.count()
        self._held: set[str] = set()
        self._waiting: dict[str, _Waiter] = {}  # In the order of arrival.
        self._lowered: int | None = None  # While alone.

    @asynccontextmanager
    async def slot(self, *, urgent: bool) -> AsyncIterator[None]:
        """Wait for a slot, and hold it inside the block."""
        token = f"{self._server.process}:{next(self._numbers)}"
        try:
            await self._take(token, urgent=urgent)
            yield
        finally:
            self._give_back(token)

    def shrink(self, *, seconds: float) -> None:
        """For `seconds`, lower the size to one less than the number of slots taken now, but at least to 1."""
        if self._server.is_up:
            self._server.run_later(shared_scripts.SHRINK, self._keys, [*self._arguments(), round(seconds * 1000)])
            return
        self._lowered = max(1, len(self._held) - 1)
        asyncio.get_running_loop().call_later(seconds, self._forget_lowered)

    async def report(self) -> None:
        """Extend the leases of all that is held or waited for. Raises UnreachableError."""
        arguments = [*self._arguments(), len(self._held), *self._held]
        for token, waiter in self._waiting.items():
            arguments += [token, int(waiter.is_urgent)]
        granted = await self._server.run(shared_scripts.BEAT, self._keys, arguments)
        for token in granted:
            self.grant(str(token))

    def grant(self, token: str) -> None:
        """Give a slot to the call that waits with `token`. One that no longer waits has given it back already."""
        waiter = self._waiting.pop(token, None)
        if waiter is not None and not waiter.granted.done():
            self._held.add(token)
            waiter.granted.set_result(None)

    def hand_out_alone(self) -> None:
        """Give this process's share of the slots to those that wait, unless Redis does it."""
        if self._server.is_up:
            return
        share = min(self._server.share_of(self._size), self._lowered or self._size)
        while self._waiting and len(self._held) < share:
            self.grant(min(self._waiting, key=self._is_calm))

    async def _take(self, token: str, *, urgent: bool) -> None:
        waiter = self._waiting[token] = _Waiter(urgent)
        with deadline_paused():
            if self._server.is_up:
                await self._ask(token, urgent=urgent)
            self.hand_out_alone()
            if not waiter.granted.done():
                with metrics.SPEECH_QUEUE.track_inprogress():
                    await waiter.granted

    async def _ask(self, token: str, *, urgent: bool) -> None:
        try:
            arguments = [*self._arguments(), token, int(urgent)]
            if await self._server.run(shared_scripts.ACQUIRE, self._keys, arguments):
                self.grant(token)
        except UnreachableError:
            return  # The share of this process is left.

    def _give_back(self, token: str) -> None:
        self._held.discard(token)
        self._waiting.pop(token, None)
        if self._server.is_up:
            self._server.run_later(shared_scripts.RELEASE, self._keys, [*self._arguments(), token])
        self.hand_out_alone()

    def _arguments(self) -> list[str | int]:
        share = self._server.share_of(self._size)
        return [self._name, self._size, share, LEASE_SECONDS * 1000, self._server.mailboxes]

    def _is_calm(self, token: str) -> bool:
        return not self._waiting[token].is_urgent

    def _forget_lowered(self) -> None:
        self._lowered = None
        self.hand_out_alone()
