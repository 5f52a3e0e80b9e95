"""Database connections: nothing holds one while a provider works or a client reads.

A request's own thread has one while its view runs. The queries of a stream, and of work that a view waits for, run in a
few threads that all requests of the process share. See docs/decisions/0026-streams-and-connections.md.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from itertools import cycle
from typing import ParamSpec, TypeVar

from asgiref.sync import ThreadSensitiveContext
from django.db import connections

Params = ParamSpec("Params")
Result = TypeVar("Result")

SHARED_THREADS = 4


class _SharedThread(ThreadPoolExecutor):
    """One thread, which gives its connections back after each call. It keeps one to SQLite: opening it takes 3 ms."""

    def __init__(self) -> None:
        super().__init__(max_workers=1, thread_name_prefix="database")

    def submit(self, work: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs) -> Future[Result]:
        def run() -> Result:
            try:
                return work(*args, **kwargs)
            finally:
                for connection in connections.all(initialized_only=True):
                    if connection.vendor != "sqlite" or connection.errors_occurred:
                        connection.close()

        return super().submit(run)


_shared_threads = cycle([_SharedThread() for _number in range(SHARED_THREADS)])


def shared_thread() -> AbstractAsyncContextManager[object]:
    """Return a context whose queries, and other calls of `sync_to_async`, run in one of the shared threads."""
    return ThreadSensitiveContext(executor=next(_shared_threads))


def release_connections() -> bool:
    """Give the connections of this thread, which is about to wait, back to the pool; return whether it has none now.

    Those to SQLite stay: they take nothing from others. So do those with an open transaction.
    """
    mine = connections.all(initialized_only=True)
    if any(connection.vendor == "sqlite" or connection.in_atomic_block for connection in mine):
        return False
    for connection in mine:
        connection.close()
    return True


def while_waiting() -> AbstractAsyncContextManager[object]:
    """Release the connections of this thread; return the context for the work that it waits for."""
    return shared_thread() if release_connections() else nullcontext()
