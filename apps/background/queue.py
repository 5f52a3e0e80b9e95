"""The queue of background tasks: tasks of a dead worker run again, old tasks are deleted."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django_tasks import TaskResultStatus
from django_tasks_db.models import DBTaskResult

logger = logging.getLogger(__name__)

# No task takes longer: what still runs after that has lost its worker.
LEASE = timedelta(minutes=10)
MAX_STARTS = 5
# So long after it could have begun, no task waits for a worker that is there.
BEHIND_AFTER = timedelta(minutes=5)
KEPT_TASKS = timedelta(days=14)
# How a task ends whose worker was stopped a second time.
_STOPPED = Q(status=TaskResultStatus.FAILED, exception_class_path="builtins.SystemExit")


def waiting_tasks() -> QuerySet[DBTaskResult[..., Any]]:
    """Return the tasks that could run now."""
    return DBTaskResult.objects.ready()


def is_behind() -> bool:
    """Whether tasks wait for so long that no worker can be there."""
    long_ago = timezone.now() - BEHIND_AFTER
    due = Q(run_after__isnull=True) | Q(run_after__lt=long_ago)
    return waiting_tasks().filter(due, enqueued_at__lt=long_ago).exists()


def run_abandoned_again() -> int:
    """Queue what a worker began and did not end, and return how much that was.

    What has taken its worker down MAX_STARTS times is given up, and stays in the admin as failed.
    """
    lost = Q(status=TaskResultStatus.RUNNING, started_at__lt=timezone.now() - LEASE)
    count = 0
    for task in DBTaskResult.objects.filter(lost | _STOPPED):
        begun = DBTaskResult.objects.filter(pk=task.pk, status=task.status, started_at=task.started_at)
        if len(task.worker_ids) < MAX_STARTS:
            count += _queue(begun)
        elif task.status == TaskResultStatus.RUNNING:
            given_up = {"status": TaskResultStatus.FAILED, "finished_at": timezone.now()}
            begun.update(**given_up, traceback=f"It was begun {MAX_STARTS} times and never ended.")
    if count:
        logger.warning("Background work was left behind and is done again", extra={"tasks": count})
    return count


def run_again(tasks: QuerySet[DBTaskResult[..., Any]]) -> int:
    """Queue those of `tasks` that failed, with all their starts anew, and return how many they are."""
    return _queue(tasks.filter(status=TaskResultStatus.FAILED), worker_ids=[])


def _queue(tasks: QuerySet[DBTaskResult[..., Any]], **values: Any) -> int:
    blank = {"status": TaskResultStatus.READY, "exception_class_path": "", "traceback": "", "finished_at": None}
    return tasks.update(**blank | values)


def delete_old_tasks() -> None:
    """Delete tasks that succeeded long ago. Failed tasks stay until somebody has looked at them."""
    DBTaskResult.objects.successful().filter(finished_at__lt=timezone.now() - KEPT_TASKS).delete()
