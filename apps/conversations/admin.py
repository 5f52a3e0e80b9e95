from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps.accounts import audit
from apps.conversations.models import Conversation, Turn


class HistoryAdmin(admin.ModelAdmin[Any]):
    """What was said is history: it can be read here, never made or changed."""

    date_hierarchy = "created_at"

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        row: Any = super().get_object(request, object_id, from_field)
        if row is not None:
            what = f"{self.opts.model_name} {row.pk}"
            audit.note("private_read", request=request, user=request.user.pk, owner=row.owner_id, row=what)
        return row

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class TurnInline(admin.TabularInline[Turn, Conversation]):
    model = Turn
    fields = ["created_at", "status", "transcript", "reply", "error_code", "total_ms"]
    readonly_fields = ["created_at", "status", "transcript", "reply", "error_code", "total_ms"]
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Conversation)
class ConversationAdmin(HistoryAdmin):
    list_display = ["__str__", "owner", "voice", "language", "turn_count", "created_at", "updated_at"]
    list_filter = ["created_at", "voice__provider", "language", "model"]
    list_select_related = ["owner", "voice"]
    search_fields = ["title", "owner__username", "owner__email", "turns__transcript", "turns__reply"]
    inlines = [TurnInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        conversations: QuerySet[Any] = super().get_queryset(request)
        counted: QuerySet[Any] = conversations.annotate(turns_counted=Count("turns", distinct=True))
        return counted

    @admin.display(description=_("turns"), ordering="turns_counted")
    def turn_count(self, conversation: Any) -> int:
        return int(conversation.turns_counted)


@admin.register(Turn)
class TurnAdmin(HistoryAdmin):
    list_display = [
        "__str__",
        "owner",
        "status",
        "failed_stage",
        "error_code",
        "first_audio_ms",
        "total_ms",
        "created_at",
    ]
    list_filter = ["status", "failed_stage", "error_code", "language", "created_at"]
    list_select_related = ["owner"]
    search_fields = ["transcript", "reply", "owner__username", "owner__email"]
