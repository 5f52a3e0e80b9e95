"""Interrupts running turns: those that are to stop, and all of them when the process ends."""

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

LOOK_SECONDS = 1

Work = asyncio.Task[None]


class _Watch:
    """Polls the rows of all turns that run on an event loop, in one query, for as long as there are any.

    The request to stop a turn, or to silence its voice, may have been handled by another process.
    """

    def __init__(self) -> None:
        self.works: dict[UUID, Work] = {}
        self._task: Work | None = None

    def begin(self) -> None:
        if self._task is None:
            # In a context of its own: it outlives the request that began it.
            self._task = asyncio.get_running_loop().create_task(self._look_again_and_again(), context=Context())

    async def _look_again_and_again(self) -> None:
        try:
            while self.works:
                await asyncio.sleep(LOOK_SECONDS)
                for turn in await asyncio.to_thread(_wanted_to_stop, list(self.works)):
                    if turn in self.works:
                        self.works[turn].cancel()
        finally:
            self._task = None  # A reference would keep the loop, and so this watch, alive forever.


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()


@contextmanager
def stoppable(turn: Turn, work: Work) -> Iterator[None]:
    """Cancel `work`, a task of the running loop, if `turn` is to stop while the block runs."""
    watch = _watches.setdefault(asyncio.get_running_loop(), _Watch())
    watch.works[turn.pk] = work
    watch.begin()
    try:
        yield
    finally:
        del watch.works[turn.pk]


def interrupt_all() -> None:
    """End all turns of this process, as closing them would, but with a last event for their listeners."""
    for loop, watch in list(_watches.items()):
        for work in list(watch.works.values()):
            loop.call_soon_threadsafe(work.cancel)


def _wanted_to_stop(turns: Collection[UUID]) -> list[UUID]:
    """Return those of `turns` that are to stop: by request, or because their voice may no longer speak."""
    voice_ended = Q(voice__suspended_at__isnull=False) | Q(voice__status=VoiceProfile.Status.DELETING)
    try:
        rows = Turn.objects.filter(Q(stop_requested=True) | voice_ended, pk__in=turns)
        return list(rows.values_list("pk", flat=True))
    except DatabaseFailure:  # The next poll looks again.
        logger.warning("The turns to stop could not be read", exc_info=True)
        return []
    finally:
        connection.close()
