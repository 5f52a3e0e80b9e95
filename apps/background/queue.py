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

# No task takes longer: a task that still runs after that has lost its worker.
TASK_LEASE = timedelta(minutes=10)
MAX_TASK_STARTS = 5
# A running worker begins every task earlier than this.
BEHIND_AFTER = timedelta(minutes=5)
TASK_RETENTION = timedelta(days=14)
# The end of a task if its worker gets a second signal to stop.
_STOPPED = Q(status=TaskResultStatus.FAILED, exception_class_path="builtins.SystemExit")


def waiting_tasks() -> QuerySet[DBTaskResult[..., Any]]:
    """Return the tasks that could run now."""
    return DBTaskResult.objects.ready()


def is_behind() -> bool:
    """Whether tasks have waited for so long that no worker can be running."""
    long_ago = timezone.now() - BEHIND_AFTER
    due = Q(run_after__isnull=True) | Q(run_after__lt=long_ago)
    return waiting_tasks().filter(due, enqueued_at__lt=long_ago).exists()


def requeue_abandoned() -> int:
    """Queue the tasks again that a worker began and did not finish; return their number.

    A task that was begun MAX_TASK_STARTS times is given up, and stays in the admin as failed.
    """
    lost = Q(status=TaskResultStatus.RUNNING, started_at__lt=timezone.now() - TASK_LEASE)
    count = 0
    for task in DBTaskResult.objects.filter(lost | _STOPPED):
        begun = DBTaskResult.objects.filter(pk=task.pk, status=task.status, started_at=task.started_at)
        if len(task.worker_ids) < MAX_TASK_STARTS:
            count += _queue(begun)
        elif task.status == TaskResultStatus.RUNNING:
            given_up = {"status": TaskResultStatus.FAILED, "finished_at": timezone.now()}
            begun.update(**given_up, traceback=f"The task was begun {MAX_TASK_STARTS} times and never finished.")
    if count:
        logger.warning("Abandoned background tasks are queued again", extra={"tasks": count})
    return count


def requeue_failed(tasks: QuerySet[DBTaskResult[..., Any]]) -> int:
    """Queue the failed ones of `tasks` again, with their starts reset; return their number."""
    return _queue(tasks.filter(status=TaskResultStatus.FAILED), worker_ids=[])


def _queue(tasks: QuerySet[DBTaskResult[..., Any]], **values: Any) -> int:
    blank = {"status": TaskResultStatus.READY, "exception_class_path": "", "traceback": "", "finished_at": None}
    return tasks.update(**blank | values)


def delete_old_tasks() -> None:
    """Delete successful tasks after TASK_RETENTION. Failed tasks stay until somebody has looked at them."""
    DBTaskResult.objects.successful().filter(finished_at__lt=timezone.now() - TASK_RETENTION).delete()
