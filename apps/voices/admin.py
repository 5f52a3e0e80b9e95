from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from apps.voices.consent import ATTESTED
from apps.voices.models import Consent, VoiceProfile, VoiceSample


class VoiceSampleInline(admin.TabularInline[VoiceSample, VoiceProfile]):
    model = VoiceSample
    fields = ["seconds", "rms_db", "peak_db", "speaker_similarity", "sha256", "created_at"]
    readonly_fields = ["seconds", "rms_db", "peak_db", "speaker_similarity", "sha256", "created_at"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(VoiceProfile)
class VoiceProfileAdmin(admin.ModelAdmin[VoiceProfile]):
    """Voices are inspected here. Only their owner makes, changes or deletes one, since the provider has to follow."""

    list_display = ["name", "owner", "provider", "status", "error_code", "is_default", "created_at", "last_used_at"]
    list_filter = ["status", "provider", "created_at"]
    search_fields = ["name", "voice_id", "owner__username", "owner__email"]
    date_hierarchy = "created_at"
    inlines = [VoiceSampleInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[VoiceProfile]:
        # `list_select_related` counts for nothing where the manager joins a table itself.
        return super().get_queryset(request).select_related("owner")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Consent)
class ConsentAdmin(admin.ModelAdmin[Consent]):
    """Consents are inspected here. Nobody makes, changes or deletes one but the person whose it is."""

    list_display = ["given_at", "owner", "method", "language", "word_error", "valid_until", "withdrawn_at"]
    list_filter = ["method", "given_at", "withdrawn_at"]
    list_select_related = ["owner"]
    search_fields = ["owner__username", "owner__email", "sha256"]
    date_hierarchy = "given_at"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, str] | None = None) -> HttpResponse:
        if settings.CONSENT == ATTESTED:
            text = _("This site takes consents without a recording (CONSENT=attested): nothing shows who gave them.")
            messages.warning(request, text)
        return super().changelist_view(request, extra_context)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
