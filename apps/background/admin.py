from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy, ngettext
from django_tasks_db.admin import DBTaskResultAdmin
from django_tasks_db.models import DBTaskResult

from apps.background import queue
from apps.core.read_only_admin import LongListAdmin

admin.site.unregister(DBTaskResult)


@admin.register(DBTaskResult)
class BackgroundTaskAdmin(DBTaskResultAdmin, LongListAdmin):
    """Background tasks. A failed task stays until somebody has looked at it and runs it again."""

    actions = ["run_again"]

    @admin.action(description=gettext_lazy("Run failed tasks again"), permissions=["run"])
    def run_again(self, request: HttpRequest, tasks: QuerySet[DBTaskResult[..., Any]]) -> None:
        count = queue.requeue_failed(tasks)
        messages.info(
            request, ngettext("%(count)d task runs again.", "%(count)d tasks run again.", count) % {"count": count}
        )

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("django_tasks_database.change_dbtaskresult")
