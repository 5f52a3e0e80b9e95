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

LOOK_SECONDS = 2
PAUSE_SECONDS = 5
TIDY_SECONDS = 60
RECONCILE_SECONDS = 180
FILES_EVERY = 480  # Once a day: to look through a large folder takes a while, and what is stray there waits for nobody.


class Command(WorkerCommand):
    """The worker of django-tasks, which also keeps its queue in order and ends with the process that started it.

    Beside the queue, it puts right what killed processes left: first of all, and every few minutes.
    """

    help = "Do background work, such as sending webhooks, until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        over = Event()
        watch = Thread(target=_watch, args=[over], daemon=True)
        watch.start()
        # Not waited for at the end: a provider may take long to answer, and the next run does what this one did not.
        Thread(target=_reconcile_regularly, args=[over], daemon=True).start()
        try:
            self._work(options)
        finally:
            over.set()
            watch.join()

    def _work(self, options: dict[str, Any]) -> None:
        """Work until stopped. While the database is gone or locked there is nothing to do, and no reason to end."""
        DBTaskResult.objects.exists()  # Without its tables it ends here.
        while True:
            try:
                super().handle(**options)
            except DatabaseError:
                logger.exception("The database does not answer: background work goes on when it does")
                connection.close()
                time.sleep(PAUSE_SECONDS)
            else:
                return


def _watch(over: Event) -> None:
    parent = os.getppid()
    looks = 0
    try:
        while True:
            if looks % (TIDY_SECONDS // LOOK_SECONDS) == 0:
                close_old_connections()
                housekeeping.run_steps()
            if os.getppid() != parent:
                # Who had started this was killed, and could not end it.
                os.kill(os.getpid(), signal.SIGTERM)
                return
            looks += 1
            if over.wait(LOOK_SECONDS):
                return
    finally:
        connection.close()


def _reconcile_regularly(over: Event) -> None:
    for run in count():
        deque(reconcile(with_files=run % FILES_EVERY == 0), maxlen=0)
        connection.close()
        if over.wait(RECONCILE_SECONDS):
            return
