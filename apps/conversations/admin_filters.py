"""Filters of the admin's lists of conversations and turns."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps.conversations.languages import Language
from apps.conversations.models import RUNNING, Turn
from apps.conversations.services import chat_models
from apps.core.admin_filters import TextFilter
from apps.speech.base import ELEVENLABS_LIVE, LOCAL, OPENAI, OPENAI_LIVE
from apps.voices.models import VoiceProfile

MAX_VOICES = 500
DEFAULT_MODEL = "default"


class VoiceFilter(TextFilter):
    """The rows of one voice, or of the voices with one name."""

    title = _("voice")
    parameter_name = "of_voice"
    hint = _("Name or id of a voice")

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = (self.value() or "").strip()
        if not name:
            return queryset
        is_named = Q(name__iexact=name) | Q(voice_id=name)
        with suppress(ValueError):
            is_named |= Q(pk=UUID(name))
        voices = VoiceProfile.objects.filter(is_named).order_by()
        return queryset.filter(voice__in=list(voices.values_list("pk", flat=True)[:MAX_VOICES]))


class VoiceEngineFilter(admin.SimpleListFilter):
    """The provider of the voice."""

    title = _("engine of the voice")
    parameter_name = "engine"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, Any]]:
        return list(VoiceProfile.Provider.choices)

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        voices = VoiceProfile.objects.filter(provider=self.value()).order_by()
        return queryset.filter(voice__in=voices.values("pk"))


class HearingEngineFilter(admin.SimpleListFilter):
    """The engine that heard the question."""

    title = _("heard by")
    parameter_name = "heard_by"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, name) for name in (OPENAI, OPENAI_LIVE, ELEVENLABS_LIVE, LOCAL)]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Turn]) -> QuerySet[Turn]:
        return queryset.filter(heard_by=self.value()) if self.value() else queryset


class ModelFilter(admin.SimpleListFilter):
    """The language model of the conversation. `field` leads to it."""

    title = _("language model")
    parameter_name = "model"
    field = "model"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, Any]]:
        default, *others = chat_models()
        label = _("the site’s default (%(model)s)") % {"model": default}
        return [(DEFAULT_MODEL, label), *((name, name) for name in others)]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset.filter(**{self.field: "" if chosen == DEFAULT_MODEL else chosen}) if chosen else queryset


class TurnModelFilter(ModelFilter):
    field = "conversation__model"


class LanguageFilter(admin.SimpleListFilter):
    """The languages that there are: to know which ones turns have, the database would read all turns."""

    title = _("language")
    parameter_name = "language"
    template = "admin/closed_filter.html"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, Any]]:
        return list(Language.choices)

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Turn]) -> QuerySet[Turn]:
        return queryset.filter(language=self.value()) if self.value() else queryset


class ErrorCodeFilter(admin.SimpleListFilter):
    """The codes of failures that there are, by their index."""

    title = _("error code")
    parameter_name = "error_code__exact"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, Any]]:
        codes = Turn.objects.filter(error_code__gt="").order_by("error_code").values_list("error_code", flat=True)
        return [(code, code) for code in codes.distinct()]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return self.of(queryset, Q(error_code=self.value())) if self.value() else queryset

    def of(self, queryset: QuerySet[Any], condition: Q) -> QuerySet[Any]:
        """Return the rows whose turn meets `condition`."""
        return queryset.filter(condition)


class StageFilter(ErrorCodeFilter):
    """The stage that failed."""

    title = _("failed stage")
    parameter_name = "failed_stage__exact"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, Any]]:
        return list(Turn.Stage.choices)

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        # With the status, which has an index.
        failed = Q(status=Turn.Status.FAILED, failed_stage=self.value())
        return self.of(queryset, failed) if self.value() else queryset


class _OfConversations(ErrorCodeFilter):
    """Filters conversations by the turns in them."""

    def of(self, queryset: QuerySet[Any], condition: Q) -> QuerySet[Any]:
        return queryset.filter(pk__in=Turn.objects.filter(condition).order_by().values("conversation"))


class ConversationErrorCodeFilter(_OfConversations):
    """Conversations with a failure of this code."""


class ConversationStageFilter(_OfConversations, StageFilter):
    """Conversations with a turn that failed in this stage."""


class ConversationStatusFilter(_OfConversations):
    """Conversations with a turn that has not simply been spoken."""

    title = _("state of its turns")
    parameter_name = "turns"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, Any]]:
        return [("failed", _("failed")), ("interrupted", _("interrupted")), ("running", _("running"))]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        statuses = {
            "failed": [Turn.Status.FAILED],
            "interrupted": [Turn.Status.INTERRUPTED],
            "running": list(RUNNING),
        }.get(self.value() or "")
        return self.of(queryset, Q(status__in=statuses)) if statuses else queryset
