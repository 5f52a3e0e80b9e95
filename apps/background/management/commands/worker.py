"""`manage.py worker`: does the background work, beside the web server."""

from __future__ import annotations

import logging
import os
import signal
from argparse import ArgumentParser, BooleanOptionalAction
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from threading import Event, Thread
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import close_old_connections, connection
from django.utils.autoreload import run_with_reloader
from django_tasks_db.management.commands.db_worker import valid_interval
from django_tasks_db.models import DBTaskResult

from apps.background import housekeeping
from apps.background.reconciling import reconcile, reconcile_quickly
from apps.background.workers import THREADS, Workers
from apps.core import identity

logger = logging.getLogger(__name__)

PARENT_CHECK_SECONDS = 2
HOUSEKEEPING_SECONDS = 60
RECONCILE_SECONDS = 180  # Asks providers for lists of voices.
QUICK_RECONCILE_SECONDS = 10  # Asks the database only.
RUNS_PER_FILE_SEARCH = 480  # Once a day: searching a large folder takes a while, and stray files are not urgent.
# The limits of glibc's resolver. With its own, a name server that never answers could hold a sender for 30 seconds.
RESOLVER_LIMITS = "timeout:2 attempts:2"


class Command(BaseCommand):
    """Serves the queues, and does the housekeeping beside them.

    It repairs what killed processes left behind at its start and then every few minutes.
    """

    help = "Do background work, such as deleting voices, making exports and sending webhooks, until stopped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        names = ", ".join(THREADS)
        parser.add_argument("--queue-name", default="*", help=f"queues, separated by commas: {names} (default: all)")
        parser.add_argument(
            "--interval", type=valid_interval, default=1, help="seconds after which an idle queue is looked at again"
        )
        parser.add_argument("--batch", action="store_true", help="do what is due, then end")
        parser.add_argument("--no-startup-delay", action="store_false", dest="startup_delay", help="begin at once")
        parser.add_argument(
            "--reload", action=BooleanOptionalAction, default=settings.DEBUG, help="start again when code changes"
        )
        parser.add_argument(
            "--with-parent", action="store_true", help="end when the process that started this one has ended"
        )

    def handle(
        self,
        *_args: Any,
        queue_name: str,
        interval: float,
        batch: bool,
        startup_delay: bool,
        reload: bool,
        with_parent: bool,
        **_options: Any,
    ) -> None:
        os.environ.setdefault("RES_OPTIONS", RESOLVER_LIMITS)  # Before the first name is resolved.
        DBTaskResult.objects.exists()  # Without the tables, end here with an error.
        if refusal := identity.disagreement():
            raise CommandError(refusal)
        workers = Workers(_queues(queue_name), interval=interval, batch=batch, startup_delay=startup_delay)
        if reload and not batch:
            run_with_reloader(_work, workers, with_parent=with_parent)
        else:
            _end_on_signals(workers)
            _work(workers, with_parent=with_parent)


def _queues(names: str) -> list[str]:
    queues = list(THREADS) if names == "*" else names.split(",")
    for name in queues:
        if name not in THREADS:
            raise CommandError(f"There is no queue {name!r}. The queues are: {', '.join(THREADS)}.")
    return queues


def _end_on_signals(workers: Workers) -> None:
    """Finish the running work on the first signal, and abandon it on the second one."""

    def end(number: int, _frame: FrameType | None) -> None:
        name = signal.strsignal(number)
        if workers.is_stopped:
            logger.warning("Received %s again: running work is abandoned, and queued again", name)
            try:
                workers.abandon()
            finally:
                os._exit(1)
        logger.warning("Received %s: ending when running work is finished", name)
        workers.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, end)


def _work(workers: Workers, *, with_parent: bool) -> None:
    stopped = Event()
    parent = os.getppid() if with_parent else 0
    housekeeping_thread = Thread(target=_do_housekeeping, args=[stopped, parent], daemon=True)
    housekeeping_thread.start()
    # Not joined at the end: a provider can take long to answer, and the next run repairs what this one did not.
    Thread(target=_reconcile_regularly, args=[stopped, RECONCILE_SECONDS, _reconcile], daemon=True).start()
    quick = [stopped, QUICK_RECONCILE_SECONDS, lambda _run: reconcile_quickly()]
    Thread(target=_reconcile_regularly, args=quick, daemon=True).start()
    try:
        workers.run()
    finally:
        stopped.set()
        housekeeping_thread.join()


def _do_housekeeping(stopped: Event, parent: int) -> None:
    """Do the housekeeping regularly. End this process with its `parent`, unless that is 0."""
    checks = 0
    try:
        while True:
            if checks % (HOUSEKEEPING_SECONDS // PARENT_CHECK_SECONDS) == 0:
                close_old_connections()
                housekeeping.run_steps()
            if parent and os.getppid() != parent:
                # The parent was killed, so that it could not end this process.
                os.kill(os.getpid(), signal.SIGTERM)
                return
            checks += 1
            if stopped.wait(PARENT_CHECK_SECONDS):
                return
    finally:
        connection.close()


def _reconcile(run: int) -> Iterator[object]:
    return reconcile(with_files=run % RUNS_PER_FILE_SEARCH == 0)


def _reconcile_regularly(stopped: Event, seconds: float, repairs: Callable[[int], Iterator[object]]) -> None:
    for run in count():
        deque(repairs(run), maxlen=0)
        connection.close()
        if stopped.wait(seconds):
            return
