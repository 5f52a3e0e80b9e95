"""Deletes what nobody has used for the term that the settings name, and tells its owner before."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone
from django_tasks import task
from django_tasks_db.models import DBTaskResult

from apps.core.personal_data import Due, NotYetError, all_personal_data

logger = logging.getLogger(__name__)

EVERY = timedelta(days=1)


def due(*, days_ahead: int = 0) -> list[Due]:
    """Return what is to be announced or deleted now, or will be by then where nothing is used before."""
    now = timezone.now() + timedelta(days=days_ahead)
    return [each for data in all_personal_data() for each in data.due(now)]


def apply(each: Due) -> str:
    """Announce or delete; return "" or what was in the way, in which case the next day tries again."""
    try:
        each.act()
    except NotYetError as error:
        logger.warning("Something stays beyond its term", extra={"rows": each.rows, "code": error.code})
        return error.code
    logger.info(
        "Announced before its term ends" if each.is_announcement else "Deleted after its term",
        extra={"rows": each.rows, "user": each.owner_id},
    )
    return ""


def in_words(each: Due, *, is_done: bool) -> str:
    """Say it to the operator, by numbers and without a name."""
    act = "announce" if each.is_announcement else "delete"
    verb = f"{act}d" if is_done else f"would {act}"
    whose = f" of user {each.owner_id}" if each.owner_id else ""
    return f"{verb}: {each.what}{whose}, since {each.since:%Y-%m-%d}: {', '.join(each.rows)}"


@task()
def apply_retention() -> None:
    """Do all that is due."""
    for each in due():
        apply(each)


def apply_daily() -> None:
    """Have it done, unless it was in the last day."""
    lately = DBTaskResult.objects.filter(task_path=apply_retention.module_path, enqueued_at__gt=timezone.now() - EVERY)
    if not lately.exists():
        apply_retention.enqueue()
