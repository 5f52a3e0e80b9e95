"""The queues of background work: what waits in them. Tasks of a dead worker run again, old tasks are deleted.

Tasks are rows of django-tasks, in the queues of the setting TASKS. Messages to webhooks are rows of their own.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django_tasks import TaskResultStatus
from django_tasks_db.models import DBTaskResult, get_date_max

from apps.webhooks import deliveries

logger = logging.getLogger(__name__)

TASK_QUEUES = list(settings.TASKS["default"]["QUEUES"])
WEBHOOKS = "webhooks"
# No task takes longer: a task that still runs after that has lost its worker.
TASK_LEASE = timedelta(minutes=10)
MAX_TASK_STARTS = 5
# A running worker begins every task earlier than this.
BEHIND_AFTER = timedelta(minutes=5)
TASK_RETENTION = timedelta(days=14)


def waiting_tasks() -> QuerySet[DBTaskResult[..., Any]]:
    """Return the tasks that could run now."""
    return DBTaskResult.objects.ready()


def lengths() -> dict[str, int]:
    """Return how much of each queue could be done now and waits."""
    counts = waiting_tasks().order_by().values_list("queue_name").annotate(Count("pk"))
    return dict.fromkeys(TASK_QUEUES, 0) | dict(counts) | {WEBHOOKS: deliveries.waiting().count()}


def is_behind() -> bool:
    """Whether work has waited for so long that no worker can be running."""
    long_ago = timezone.now() - BEHIND_AFTER
    # Tasks without a time of their own have the last one that there is.
    due = Q(run_after=get_date_max(), enqueued_at__lt=long_ago) | Q(run_after__lt=long_ago)
    # Their owners are responsible for servers that are slow or fail.
    messages = deliveries.waiting().filter(webhook__failures=0, next_try_at__lt=long_ago)
    return waiting_tasks().filter(due).exists() or messages.exists()


def requeue_abandoned() -> int:
    """Queue the tasks again that a worker began and did not finish; return their number.

    A task that was begun MAX_TASK_STARTS times is given up, and stays in the admin as failed.
    """
    lost = Q(status=TaskResultStatus.RUNNING, started_at__lt=timezone.now() - TASK_LEASE)
    count = 0
    for task in DBTaskResult.objects.filter(lost):
        begun = DBTaskResult.objects.filter(pk=task.pk, status=task.status, started_at=task.started_at)
        if len(task.worker_ids) < MAX_TASK_STARTS:
            count += _queue(begun)
        elif task.status == TaskResultStatus.RUNNING:
            given_up = {"status": TaskResultStatus.FAILED, "finished_at": timezone.now()}
            begun.update(**given_up, traceback=f"The task was begun {MAX_TASK_STARTS} times and never finished.")
    if count:
        logger.warning("Abandoned background tasks are queued again", extra={"tasks": count})
    return count


def requeue_begun(worker_ids: Collection[str]) -> None:
    """Queue the tasks again that workers have begun which end now, in the middle of them."""
    for task in DBTaskResult.objects.running():
        if task.worker_ids[-1] in worker_ids:
            _queue(DBTaskResult.objects.filter(pk=task.pk, status=TaskResultStatus.RUNNING))


def requeue_failed(tasks: QuerySet[DBTaskResult[..., Any]]) -> int:
    """Queue the failed ones of `tasks` again, with their starts reset; return their number."""
    return _queue(tasks.filter(status=TaskResultStatus.FAILED), worker_ids=[])


def _queue(tasks: QuerySet[DBTaskResult[..., Any]], **values: Any) -> int:
    blank = {"status": TaskResultStatus.READY, "exception_class_path": "", "traceback": "", "finished_at": None}
    return tasks.update(**blank | values)


def delete_old_tasks() -> None:
    """Delete successful tasks after TASK_RETENTION. Failed tasks stay until somebody has looked at them."""
    DBTaskResult.objects.successful().filter(finished_at__lt=timezone.now() - TASK_RETENTION).delete()
