"""`manage.py worker`: does the background work, beside the web server."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import deque
from itertools import count
from threading import Event, Thread
from typing import Any

from django.db import DatabaseError, close_old_connections, connection
from django_tasks_db.management.commands.db_worker import Command as WorkerCommand
from django_tasks_db.models import DBTaskResult

from apps.background import housekeeping
from apps.background.reconciling import reconcile

logger = logging.getLogger(__name__)

PARENT_CHECK_SECONDS = 2
DATABASE_PAUSE_SECONDS = 5
HOUSEKEEPING_SECONDS = 60
RECONCILE_SECONDS = 180
RUNS_PER_FILE_SEARCH = 480  # Once a day: searching a large folder takes a while, and stray files are not urgent.


class Command(WorkerCommand):
    """The worker of django-tasks. It also does the housekeeping, and ends with the process that started it.

    It repairs what killed processes left behind at its start and then every few minutes.
    """

    help = "Do background work, such as sending webhooks, until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        stopped = Event()
        housekeeping_thread = Thread(target=_do_housekeeping, args=[stopped], daemon=True)
        housekeeping_thread.start()
        # Not joined at the end: a provider can take long to answer, and the next run repairs what this one did not.
        Thread(target=_reconcile_regularly, args=[stopped], daemon=True).start()
        try:
            self._work(options)
        finally:
            stopped.set()
            housekeeping_thread.join()

    def _work(self, options: dict[str, Any]) -> None:
        """Work until stopped. If the database is missing or locked, wait for it instead of ending."""
        DBTaskResult.objects.exists()  # Without the tables, end here with an error.
        while True:
            try:
                super().handle(**options)
            except DatabaseError:
                logger.exception("The database does not answer: background work continues when it does")
                connection.close()
                time.sleep(DATABASE_PAUSE_SECONDS)
            else:
                return


def _do_housekeeping(stopped: Event) -> None:
    """Do the housekeeping regularly, and end this process with its parent."""
    parent = os.getppid()
    checks = 0
    try:
        while True:
            if checks % (HOUSEKEEPING_SECONDS // PARENT_CHECK_SECONDS) == 0:
                close_old_connections()
                housekeeping.run_steps()
            if os.getppid() != parent:
                # The parent was killed, so that it could not end this process.
                os.kill(os.getpid(), signal.SIGTERM)
                return
            checks += 1
            if stopped.wait(PARENT_CHECK_SECONDS):
                return
    finally:
        connection.close()


def _reconcile_regularly(stopped: Event) -> None:
    for run in count():
        deque(reconcile(with_files=run % RUNS_PER_FILE_SEARCH == 0), maxlen=0)
        connection.close()
        if stopped.wait(RECONCILE_SECONDS):
            return
