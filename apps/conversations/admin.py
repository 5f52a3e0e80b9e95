from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.forms import BaseInlineFormSet, ModelForm
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.audited_admin import AuditedAdmin
from apps.accounts.authentication import signed_in_user
from apps.conversations.languages import Language
from apps.conversations.models import AbuseReport, Conversation, Share, Turn
from apps.conversations.reports import suspend_reported
from apps.conversations.search import MAX_FOUND, found_by_staff, titled_for_staff, turn_counts
from apps.core import recordings
from apps.core.admin_filters import MonthFilter
from apps.core.errors import RecordingMissingError
from apps.core.read_only_admin import ReadOnlyAdmin

# The whole of a long conversation is in the list of turns.
TURNS_ON_PAGE = 50


class LatestTurns(BaseInlineFormSet[Turn, Conversation, ModelForm[Turn]]):
    """The latest turns of a conversation."""

    def get_queryset(self) -> QuerySet[Turn]:
        if not hasattr(self, "_queryset"):
            self._queryset = super().get_queryset()[:TURNS_ON_PAGE]
        return self._queryset


class TurnInline(admin.TabularInline[Turn, Conversation]):
    model = Turn
    formset = LatestTurns
    ordering = ["-created_at"]
    verbose_name_plural = _("latest turns")
    fields = ["created_at", "status", "transcript", "reply", "error_code", "total_ms"]
    readonly_fields = ["created_at", "status", "transcript", "reply", "error_code", "total_ms"]
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Conversation)
class ConversationAdmin(AuditedAdmin):
    list_display = ["id", "created_at", "owner", "voice", "language", "turn_count", "updated_at"]
    list_filter = ["created_at", MonthFilter, "voice__provider", "language", "model"]
    list_select_related = ["owner", "voice"]
    search_fields = ["title"]  # Shows the field; `search` looks for more.
    readonly_fields = ["all_turns"]
    inlines = [TurnInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        conversations: QuerySet[Any] = super().get_queryset(request)
        counted: QuerySet[Any] = conversations.annotate(turns_counted=turn_counts())
        return counted

    def search(self, request: HttpRequest, queryset: QuerySet[Any], term: str) -> tuple[QuerySet[Any], bool]:
        """Find the words in what was said, in titles, and in the names and addresses of owners."""
        if not term:
            return queryset, False
        turns = _found(request, term)
        said = {conversation for _turn, conversation in turns}
        return queryset.filter(Q(pk__in=said) | titled_for_staff(term)), False

    @admin.display(description=_("turns"), ordering="turns_counted")
    def turn_count(self, conversation: Any) -> int:
        return int(conversation.turns_counted)

    @admin.display(description=_("all turns"))
    def all_turns(self, conversation: Conversation) -> str:
        address = reverse("admin:conversations_turn_changelist", query={"conversation": conversation.pk})
        return format_html('<a href="{}">{}</a>', address, gettext("Show them as a list"))


class LanguageFilter(admin.SimpleListFilter):
    """The languages that there are: to know which ones turns have, the database would read all turns."""

    title = _("language")
    parameter_name = "language"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, Any]]:
        return list(Language.choices)

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Turn]) -> QuerySet[Turn]:
        return queryset.filter(language=self.value()) if self.value() else queryset


@admin.register(Turn)
class TurnAdmin(AuditedAdmin):
    list_display = [
        "id",
        "created_at",
        "status",
        "owner",
        "failed_stage",
        "error_code",
        "first_audio_ms",
        "total_ms",
    ]
    list_filter = ["status", "failed_stage", "error_code", LanguageFilter, "created_at", MonthFilter]
    list_select_related = ["owner"]
    ordering = ["-created_at"]
    search_fields = ["transcript"]  # Shows the field; `search` looks for more.

    def search(self, request: HttpRequest, queryset: QuerySet[Any], term: str) -> tuple[QuerySet[Any], bool]:
        """Find the words in what was said, and in the names and addresses of owners."""
        if not term:
            return queryset, False
        return queryset.filter(pk__in=[turn for turn, _conversation in _found(request, term)]), False


def _found(request: HttpRequest, term: str) -> list[tuple[UUID, UUID]]:
    """Return the turns that contain the words of `term`, and say so if there may be more."""
    turns = found_by_staff(term)
    if len(turns) == MAX_FOUND:
        text = gettext("Only the %(count)d newest turns with these words are searched. Add a word to find older ones.")
        messages.info(request, text % {"count": MAX_FOUND})
    return turns


@admin.register(Share)
class ShareAdmin(ReadOnlyAdmin):
    """The links with which people share answers. Nobody can open one from here: its secret is not stored."""

    list_display = ["id", "owner", "turn", "with_text", "created_at", "expires_at"]
    list_filter = ["created_at", "expires_at", "with_text"]
    list_select_related = ["owner", "turn"]
    search_fields = ["owner__username", "owner__email"]
    fields = ["id", "owner", "turn", "with_text", "created_at", "expires_at"]


@admin.register(AbuseReport)
class AbuseReportAdmin(AuditedAdmin):
    """Reports of abuse, with an action that suspends the voice at once."""

    list_display = ["reference", "created_at", "about", "voice", "turn", "handled_at"]
    list_filter = ["created_at", "handled_at"]
    list_select_related = ["voice", "turn"]
    search_fields = ["text", "about", "contact"]
    date_hierarchy = "created_at"
    fields = ["reference", "created_at", "text", "about", "contact", "download", "voice", "turn", "handled_at"]
    actions = ["suspend", "note_handled"]

    @admin.action(description=_("Suspend the voice at once"), permissions=["suspend"])
    def suspend(self, request: HttpRequest, reports: QuerySet[AbuseReport]) -> None:
        by = signed_in_user(request)
        suspended = [suspend_reported(report, by=by) for report in reports.select_related("voice")]
        if all(suspended):
            messages.success(request, gettext("Suspended. The voices cannot speak any more."))
        else:
            text = gettext("Not every report names a known voice. Find it in the list of voices, and suspend it there.")
            messages.warning(request, text)

    @admin.action(description=_("Mark as handled"), permissions=["suspend"])
    def note_handled(self, request: HttpRequest, reports: QuerySet[AbuseReport]) -> None:
        reports.filter(handled_at=None).update(handled_at=timezone.now())
        messages.success(request, gettext("Marked as handled."))

    def has_suspend_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("voices.change_voiceprofile")

    @admin.display(description=_("file"))
    def download(self, report: AbuseReport) -> str:
        if not report.file:
            return "–"
        address = reverse("admin:conversations_abusereport_file", args=[report.pk])
        return format_html('<a href="{}">{}</a>', address, gettext("Download"))

    def get_urls(self) -> list[URLPattern]:
        file = path(
            "<uuid:report_pk>/file/", self.admin_site.admin_view(self.file), name="conversations_abusereport_file"
        )
        return [file, *super().get_urls()]

    def file(self, request: HttpRequest, report_pk: UUID) -> HttpResponse:
        """Return the file unchanged, as a download that no browser opens."""
        report = get_object_or_404(self.get_queryset(request), pk=report_pk)
        if not self.has_view_permission(request, report) or not report.file:
            raise Http404
        self.note_reading(request, report)
        try:
            response = HttpResponse(recordings.read(report.file), content_type="application/octet-stream")
        except RecordingMissingError as error:
            messages.error(request, error.message)
            return redirect("admin:conversations_abusereport_change", report.pk)
        response["Content-Disposition"] = f'attachment; filename="report-{report.reference}.bin"'
        return response
