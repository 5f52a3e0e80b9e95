from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy, ngettext

from apps.accounts.models import User
from apps.core.links import absolute_url
from apps.core.pages import report_refusals_to
from apps.core.read_only_admin import LongListAdmin, ReadOnlyAdmin, WrittenBySiteAdmin
from apps.privacy import erasures
from apps.privacy.models import ContentAccess, Erasure, Export


@admin.register(User)
class PersonAdmin(LongListAdmin, UserAdmin[User]):
    """Accounts. To delete one is to erase it: with all rows and files, and with its voices at their providers."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)  # One by one: an erasure is not undone.
        return actions

    def get_deleted_objects(
        self, objs: Any, _request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Return the accounts only. Django would read everything that belongs to them to list it."""
        names = [str(user) for user in objs]
        return names, {str(User._meta.verbose_name_plural): len(names)}, set(), []

    def delete_model(self, request: HttpRequest, user: User) -> None:
        with report_refusals_to(lambda message: messages.error(request, message)):
            erasure = erasures.request_erasure(user=user)
            link = absolute_url(request, reverse("privacy:erasure", args=[erasure.pk]))
            transaction.on_commit(partial(erasures.mail_confirmation, erasure=erasure, link=link))
            messages.success(request, gettext("The account is blocked, and is erased with all its data: see Erasures."))

    def response_delete(self, _request: HttpRequest, _obj_display: str, _obj_id: int) -> HttpResponse:
        return redirect("admin:accounts_user_changelist")


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


@admin.register(ContentAccess)
class ContentAccessAdmin(ReadOnlyAdmin):
    """Who of the staff read or listened to what. The owners see it in the export of their data."""

    list_display = ["created_at", "reader", "kind", "object_id", "owner"]
    list_filter = ["kind", "created_at"]
    list_select_related = ["owner", "reader"]
    search_fields = ["object_id", "reader__username", *WrittenBySiteAdmin.search_fields]
