from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy, ngettext

from apps.core.read_only_admin import ReadOnlyAdmin, WrittenBySiteAdmin
from apps.privacy import erasures
from apps.privacy.models import Erasure, Export


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    """Staff can see exports here, but cannot open them."""

    list_display = [
        "id",
        "owner",
        "state",
        "parts_done",
        "parts",
        "size",
        "missing",
        "starts",
        "created_at",
        "expires_at",
    ]
    list_filter = ["state", "created_at"]
    list_select_related = ["owner"]
    search_fields = WrittenBySiteAdmin.search_fields
    exclude = ["file"]


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin):
    """Accounts that are being deleted, and the receipts of deleted ones. Unfinished erasures continue by themselves."""

    list_display = ["id", "user", "state", "requested_at", "due_at", "tries", "error_code", "next_try_at", "done_at"]
    list_filter = ["state", "requested_at"]
    list_select_related = ["user"]
    search_fields = ["id", "user__username", "user__email"]
    actions = ["run_again"]

    @admin.action(description=gettext_lazy("Run again now, if the deletion has begun"), permissions=["run"])
    def run_again(self, request: HttpRequest, rows: QuerySet[Erasure]) -> None:
        count = erasures.retry_now(rows)
        text = ngettext("%(count)d erasure runs again now.", "%(count)d erasures run again now.", count)
        messages.info(request, text % {"count": count})

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("privacy.change_erasure")
