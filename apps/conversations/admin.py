from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.audited_admin import AuditedAdmin
from apps.accounts.authentication import signed_in_user
from apps.conversations import admin_export, admin_filters
from apps.conversations.models import SOUND_FIELDS, AbuseReport, Conversation, Share, Turn
from apps.conversations.reports import suspend_reported
from apps.conversations.search import MAX_FOUND, found_by_staff, titled_for_staff, turn_counts
from apps.conversations.turn_facts import facts_of
from apps.core import recordings
from apps.core.admin_actions import note_action
from apps.core.admin_filters import MonthFilter, OwnerFilter
from apps.core.admin_sound import sound
from apps.core.content_access import PLACEHOLDER, Kind, may_read_content, record_accesses
from apps.core.errors import RecordingMissingError
from apps.core.read_only_admin import ReadOnlyAdmin

# The whole of a long conversation is in the list of turns.
TURNS_ON_PAGE = 50


class ExportingAdmin(AuditedAdmin):
    """A list whose selected rows can be exported. Without the permission to read content, the files have none."""

    actions = ["export_as_json", "export_as_csv"]

    class Media:
        css = {"all": ["css/admin.css"]}

    @admin.action(description=_("Export as JSON"), permissions=["view"])
    def export_as_json(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponseBase:
        return self._export(request, rows, as_csv=False)

    @admin.action(description=_("Export as CSV"), permissions=["view"])
    def export_as_csv(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponseBase:
        return self._export(request, rows, as_csv=True)

    def _export(self, request: HttpRequest, rows: QuerySet[Any], *, as_csv: bool) -> HttpResponseBase:
        turns = list(
            self.turns_of(rows).select_related(None).only("pk", "conversation", "owner")[: admin_export.MAX_TURNS]
        )
        with_content = may_read_content(request.user)
        with transaction.atomic():
            note_action(request, turns, "Exported.")
            if with_content:
                owners = {turn.conversation_id: turn.owner_id for turn in turns}
                record_accesses(reader=request.user, kind=Kind.EXPORT, owners=owners)
        if len(turns) == admin_export.MAX_TURNS:
            text = gettext("The file has the newest %(count)d turns of the selection. Select fewer to get all of them.")
            messages.warning(request, text % {"count": admin_export.MAX_TURNS})
        return admin_export.export([turn.pk for turn in turns], as_csv=as_csv, with_content=with_content)

    def turns_of(self, rows: QuerySet[Any]) -> QuerySet[Turn]:
        """Return the turns of the selected rows, newest first."""
        raise NotImplementedError


def _content_context(request: HttpRequest) -> dict[str, Any]:
    return {"may_read_content": may_read_content(request.user), "placeholder": PLACEHOLDER}


@admin.register(Conversation)
class ConversationAdmin(ExportingAdmin):
    list_display = ["created_at", "owner", "voice", "language", "turn_count", "updated_at", "id"]
    list_filter = [
        OwnerFilter,
        admin_filters.VoiceFilter,
        admin_filters.ConversationStatusFilter,
        admin_filters.ConversationStageFilter,
        admin_filters.ConversationErrorCodeFilter,
        admin_filters.VoiceEngineFilter,
        admin_filters.ModelFilter,
        admin_filters.LanguageFilter,
        "created_at",
        MonthFilter,
    ]
    list_select_related = ["owner", "voice"]
    search_fields = ["title"]  # Shows the field; `search` looks for more.
    search_help_text = _("Words that were said, in titles, or in names and addresses of people")
    fields = ["title", "persona", "owner", "voice", "language", "model", "created_at", "updated_at"]
    private_fields = ("title", "persona")
    content_kind = Kind.CONVERSATION
    change_form_template = "admin/conversations/conversation/change_form.html"

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

    def turns_of(self, rows: QuerySet[Any]) -> QuerySet[Turn]:
        return Turn.objects.filter(conversation__in=rows.order_by().values("pk")).order_by("-created_at")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            latest = list(Turn.objects.filter(conversation=UUID(object_id)).order_by("-created_at")[:TURNS_ON_PAGE])
        except ValueError:
            latest = []
        context = {
            **_content_context(request),
            "turns": facts_of(latest[::-1]),
            "is_cut": len(latest) == TURNS_ON_PAGE,
            "all_turns": reverse("admin:conversations_turn_changelist", query={"conversation": object_id}),
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)


@admin.register(Turn)
class TurnAdmin(ExportingAdmin):
    list_display = [
        "created_at",
        "status",
        "owner",
        "voice",
        "failed_stage",
        "error_code",
        "first_audio_ms",
        "total_ms",
        "id",
    ]
    list_filter = [
        OwnerFilter,
        admin_filters.VoiceFilter,
        "status",
        admin_filters.StageFilter,
        admin_filters.ErrorCodeFilter,
        admin_filters.HearingEngineFilter,
        admin_filters.VoiceEngineFilter,
        admin_filters.TurnModelFilter,
        admin_filters.LanguageFilter,
        "created_at",
        MonthFilter,
    ]
    list_select_related = ["owner", "voice"]
    ordering = ["-created_at"]
    search_fields = ["transcript"]  # Shows the field; `search` looks for more.
    search_help_text = _("Words that were said, or in names and addresses of people")
    fields = [
        "conversation_link",
        "owner",
        "voice",
        "created_at",
        "status",
        "language",
        "heard_by",
        "failure",
        "transcript",
        "reply",
        "spoken_text",
    ]
    readonly_fields = ["conversation_link", "failure"]
    private_fields = ("transcript", "reply", "spoken_text", *SOUND_FIELDS)
    content_kind = Kind.TURN
    change_form_template = "admin/conversations/turn/change_form.html"

    def search(self, request: HttpRequest, queryset: QuerySet[Any], term: str) -> tuple[QuerySet[Any], bool]:
        """Find the words in what was said, and in the names and addresses of owners."""
        if not term:
            return queryset, False
        return queryset.filter(pk__in=[turn for turn, _conversation in _found(request, term)]), False

    def turns_of(self, rows: QuerySet[Any]) -> QuerySet[Turn]:
        return rows.order_by("-created_at")

    @admin.display(description=_("conversation"))
    def conversation_link(self, turn: Turn) -> str:
        address = reverse("admin:conversations_conversation_change", args=[turn.conversation_id])
        return format_html('<a href="{}">{}</a>', address, turn.conversation_id)

    @admin.display(description=_("failure"))
    def failure(self, turn: Turn) -> str:
        if not turn.error_code:
            return "–"
        stage = turn.get_failed_stage_display() or "–"
        return f"{stage}: {turn.error_code}. {turn.error_message}"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            turns = facts_of(Turn.objects.filter(pk=UUID(object_id)))
        except ValueError:
            turns = []
        context = {**_content_context(request), "turns": turns, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:turn_pk>/question/", view(self.question), name="conversations_turn_question"),
            path("<uuid:turn_pk>/answer/", view(self.answer), name="conversations_turn_answer"),
            *super().get_urls(),
        ]

    def question(self, request: HttpRequest, turn_pk: UUID) -> HttpResponseBase:
        turn = self._turn(request, turn_pk)
        return sound(request, turn.question, owner_id=turn.owner_id, kind=Kind.QUESTION, object_id=turn.pk)

    def answer(self, request: HttpRequest, turn_pk: UUID) -> HttpResponseBase:
        turn = self._turn(request, turn_pk)
        return sound(request, turn.answer, owner_id=turn.owner_id, kind=Kind.ANSWER, object_id=turn.pk)

    def _turn(self, request: HttpRequest, pk: UUID) -> Turn:
        turn: Turn = get_object_or_404(Turn, pk=pk)
        if not self.has_view_permission(request, turn):
            raise PermissionDenied
        return turn


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
    secret_fields = ("digest",)
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
    private_fields = ("text", "about", "contact", "file")
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

    def get_list_display(self, request: HttpRequest) -> Any:
        shown = super().get_list_display(request)
        return shown if may_read_content(request.user) else [name for name in shown if name != "about"]

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
        if not (self.has_view_permission(request, report) and may_read_content(request.user) and report.file):
            raise Http404
        self.note_reading(request, report)
        try:
            response = HttpResponse(recordings.read(report.file), content_type="application/octet-stream")
        except RecordingMissingError as error:
            messages.error(request, error.message)
            return redirect("admin:conversations_abusereport_change", report.pk)
        response["Content-Disposition"] = f'attachment; filename="report-{report.reference}.bin"'
        return response
