"""Deletes data that has not been used for the term in the settings, after announcing it to its owner."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone
from django_tasks import task
from django_tasks_db.models import DBTaskResult

from apps.core.personal_data import Due, NotYetError, all_personal_data

logger = logging.getLogger(__name__)

RETENTION_INTERVAL = timedelta(days=1)


def find_due(*, days_ahead: int = 0) -> list[Due]:
    """Return the data to announce or delete now, or in `days_ahead` days if it is not used until then."""
    now = timezone.now() + timedelta(days=days_ahead)
    return [due for data in all_personal_data() for due in data.due(now)]


def apply(due: Due) -> str:
    """Announce or delete; return "" or the code of the obstacle. The task of the next day tries again."""
    try:
        due.act()
    except NotYetError as error:
        logger.warning("Data is kept beyond its term", extra={"rows": due.rows, "code": error.code})
        return error.code
    logger.info(
        "Announced before its term ends" if due.is_announcement else "Deleted after its term",
        extra={"rows": due.rows, "user": due.owner_id},
    )
    return ""


def describe(due: Due, *, is_done: bool) -> str:
    """Return a line for the operator, with ids and without names."""
    act = "announce" if due.is_announcement else "delete"
    verb = f"{act}d" if is_done else f"would {act}"
    whose = f" of user {due.owner_id}" if due.owner_id else ""
    return f"{verb}: {due.what}{whose}, since {due.since:%Y-%m-%d}: {', '.join(due.rows)}"


@task()
def apply_retention() -> None:
    """Apply everything that is due."""
    for due in find_due():
        apply(due)


def apply_daily() -> None:
    """Queue the task, unless it was queued in the last day."""
    recent = DBTaskResult.objects.filter(
        task_path=apply_retention.module_path, enqueued_at__gt=timezone.now() - RETENTION_INTERVAL
    )
    if not recent.exists():
        apply_retention.enqueue()
