"""Interrupts running turns: those that must stop, and all of them when the process ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import Context
from uuid import UUID
from weakref import WeakKeyDictionary

from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.models import Q

from apps.conversations.models import Turn
from apps.voices.models import VoiceProfile

logger = logging.getLogger(__name__)

POLL_SECONDS = 1


class _StopPoller:
    """Polls the rows of all turns that run on an event loop, in one query, while there are any.

    Another process may have handled the request to stop a turn or to suspend its voice.
    """

    def __init__(self) -> None:
        self.tasks: dict[UUID, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            # In a context of its own: the task outlives the request that started it.
            self._task = asyncio.get_running_loop().create_task(self._poll(), context=Context())

    async def _poll(self) -> None:
        try:
            while self.tasks:
                await asyncio.sleep(POLL_SECONDS)
                for turn in await asyncio.to_thread(_turns_to_stop, list(self.tasks)):
                    if turn in self.tasks:
                        self.tasks[turn].cancel()
        finally:
            self._task = None  # A reference would keep the event loop, and so this poller, alive forever.


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, _StopPoller] = WeakKeyDictionary()


@contextmanager
def stoppable(turn: Turn, task: asyncio.Task[None]) -> Iterator[None]:
    """Cancel `task`, a task of the running loop, if `turn` must stop while the block runs."""
    poller = _pollers.setdefault(asyncio.get_running_loop(), _StopPoller())
    poller.tasks[turn.pk] = task
    poller.start()
    try:
        yield
    finally:
        del poller.tasks[turn.pk]


def interrupt(turn_pk: UUID) -> None:
    """Interrupt a turn at once if it runs in this process."""
    for loop, poller in list(_pollers.items()):
        task = poller.tasks.get(turn_pk)
        if task is not None:
            loop.call_soon_threadsafe(task.cancel)


def interrupt_all() -> None:
    """Interrupt all turns of this process. Unlike closing their generators, this sends their listeners a last event."""
    for loop, poller in list(_pollers.items()):
        for task in list(poller.tasks.values()):
            loop.call_soon_threadsafe(task.cancel)


def _turns_to_stop(turns: Collection[UUID]) -> list[UUID]:
    """Return those of `turns` that must stop: by request, or because their voice or account was blocked."""
    voice_ended = Q(voice__suspended_at__isnull=False) | Q(voice__status=VoiceProfile.Status.DELETING)
    try:
        rows = Turn.objects.filter(Q(stop_requested=True) | voice_ended | Q(owner__is_active=False), pk__in=turns)
        return list(rows.values_list("pk", flat=True))
    except DatabaseFailure:  # The next poll tries again.
        logger.warning("The turns to stop could not be read", exc_info=True)
        return []
    finally:
        connection.close()
