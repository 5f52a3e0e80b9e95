"""The threads of `manage.py worker`. Each serves one queue, so that no queue waits for the work of another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from threading import Event, Thread

from django.db import DatabaseError, close_old_connections, connection
from django.utils.crypto import get_random_string
from django_tasks_db.management.commands.db_worker import Worker

from apps.background import queue
from apps.webhooks.deliveries import deliver_next

logger = logging.getLogger(__name__)

PAUSE_AFTER_ERROR_SECONDS = 5
# Two for the urgent queue, so that a provider that is slow to delete one voice does not delay all others.
THREADS = dict.fromkeys(queue.TASK_QUEUES, 1) | {"urgent": 2, queue.WEBHOOKS: 4}


class Workers:
    """Threads that serve `queues` until they are stopped or, with `batch`, until nothing is due.

    `interval` is the time in seconds after which an idle thread looks again.
    """

    def __init__(self, queues: Collection[str], *, interval: float, batch: bool, startup_delay: bool) -> None:
        self._interval = interval
        self._batch = batch
        self._stopped = Event()
        self._workers = [
            Worker(
                queue_names=[name],
                excluded_queue_names=[],
                interval=interval,
                batch=batch,
                backend_name="default",
                startup_delay=startup_delay,
                max_tasks=None,
                worker_id=get_random_string(32),
            )
            for name in queues
            if name != queue.WEBHOOKS
            for _thread in range(THREADS[name])
        ]
        jobs: list[Callable[[], None]] = [worker.run for worker in self._workers]
        if queue.WEBHOOKS in queues:
            # One thread never waits for a receiver that was slow or failed lately.
            jobs += [self._send_to_healthy, *[self._send_to_all] * (THREADS[queue.WEBHOOKS] - 1)]
        # Daemons, so that the process can end in the middle of their work.
        self._threads = [Thread(target=self._do, args=[job], daemon=True) for job in jobs]

    def run(self) -> None:
        """Work until all threads have ended."""
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Let each thread finish what it is doing, and then end."""
        self._stopped.set()
        for worker in self._workers:
            worker.running = False

    def abandon(self) -> None:
        """Queue again what the threads are doing. To be called when the process ends at once."""
        queue.requeue_begun([worker.worker_id for worker in self._workers])

    @property
    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    def _do(self, job: Callable[[], None]) -> None:
        """Do the job until it ends by itself. If the database is missing or locked, wait for it instead of ending."""
        while not self._stopped.is_set():
            try:
                job()
            except DatabaseError:
                logger.exception("The database does not answer: background work continues when it does")
            except Exception:
                logger.exception("A worker failed, and continues")
            else:
                break
            connection.close()
            self._stopped.wait(PAUSE_AFTER_ERROR_SECONDS)
        connection.close()

    def _send_to_all(self) -> None:
        self._send(only_healthy=False)

    def _send_to_healthy(self) -> None:
        self._send(only_healthy=True)

    def _send(self, *, only_healthy: bool) -> None:
        while not self._stopped.is_set():
            close_old_connections()
            if deliver_next(only_healthy=only_healthy):
                continue
            if self._batch:
                return
            close_old_connections()
            self._stopped.wait(self._interval)
