from __future__ import annotations

from django.contrib import admin

from apps.core.read_only_admin import WrittenBySiteAdmin
from apps.webhooks.models import Webhook, WebhookDelivery


@admin.register(Webhook)
class WebhookAdmin(WrittenBySiteAdmin):
    """Staff can delete webhooks here, but cannot create them or read their secrets."""

    list_display = ["url", "owner", "events", "is_active", "failing_since", "paused_until", "created_at"]
    list_filter = ["is_active", "created_at"]
    secret_fields = ("salt", "previous_salt")
    search_fields = ["url", *WrittenBySiteAdmin.search_fields]


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(WrittenBySiteAdmin):
    list_display = [
        "id",
        "event",
        "owner",
        "status",
        "tries",
        "next_try_at",
        "response_status",
        "error_code",
        "created_at",
    ]
    list_filter = ["status", "event", "created_at"]
    list_select_related = ["owner", "webhook"]
