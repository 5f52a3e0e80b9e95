from __future__ import annotations

from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext, gettext_lazy, ngettext

from apps.core.admin_actions import note_action
from apps.core.admin_sound import require_content
from apps.core.content_access import Kind, record_access
from apps.core.read_only_admin import ReadOnlyAdmin, WrittenBySiteAdmin
from apps.privacy import erasures
from apps.privacy.downloads import file_response
from apps.privacy.models import ContentAccess, Erasure, Export


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    """Exports. Those who may read content can fetch one to send it on, of which its owner's next export tells."""

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
    readonly_fields = ["download"]

    @admin.display(description=gettext_lazy("file"))
    def download(self, export: Export) -> str:
        if export.state != Export.State.READY:
            return "–"
        address = reverse("admin:privacy_export_download", args=[export.pk])
        return format_html('<a href="{}">{}</a>', address, gettext("Download, to send it on to its owner"))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.file)
        return [path("<uuid:export_pk>/file/", view, name="privacy_export_download"), *super().get_urls()]

    def file(self, request: HttpRequest, export_pk: UUID) -> HttpResponseBase:
        export = get_object_or_404(Export, pk=export_pk)
        if not self.has_view_permission(request, export):
            raise PermissionDenied
        require_content(request)
        response = file_response(export)
        record_access(reader=request.user, owner=export.owner_id, kind=Kind.EXPORT, object_id=export.pk)
        note_action(request, [export], "Downloaded.")
        return response


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
