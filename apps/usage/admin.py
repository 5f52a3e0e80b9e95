from __future__ import annotations

from django.contrib import admin

from apps.core.read_only_admin import WrittenBySiteAdmin
from apps.usage.models import UsageDay, UsageRecord


@admin.register(UsageDay)
class UsageDayAdmin(WrittenBySiteAdmin):
    list_display = ["day", "owner", "requests", "running", "heard_seconds", "spoken_characters", "cost_dollars"]
    list_filter = ["day"]


@admin.register(UsageRecord)
class UsageRecordAdmin(WrittenBySiteAdmin):
    list_display = ["created_at", "owner", "kind", "heard_seconds", "spoken_characters", "cost_dollars", "reference"]
    list_filter = ["kind", "created_at"]
