from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.voices.models import VoiceProfile, VoiceSample


class VoiceSampleInline(admin.TabularInline[VoiceSample, VoiceProfile]):
    model = VoiceSample
    fields = ["seconds", "rms_db", "peak_db", "sha256", "created_at"]
    readonly_fields = ["seconds", "rms_db", "peak_db", "sha256", "created_at"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(VoiceProfile)
class VoiceProfileAdmin(admin.ModelAdmin[VoiceProfile]):
    """Voices are inspected here. Only their owner makes, changes or deletes one, since the provider has to follow."""

    list_display = ["name", "owner", "provider", "status", "error_code", "is_default", "created_at", "last_used_at"]
    list_filter = ["status", "provider", "created_at"]
    list_select_related = ["owner"]
    search_fields = ["name", "voice_id", "owner__username", "owner__email"]
    date_hierarchy = "created_at"
    inlines = [VoiceSampleInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
