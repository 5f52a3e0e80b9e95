from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

from apps.accounts.models import ApiToken, User

admin.site.register(User, UserAdmin)


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin[ApiToken]):
    """Tokens can be revoked here, never made or read: their owner makes them."""

    list_display = ["name", "owner", "created_at", "last_used_at", "expires_at", "revoked_at"]
    list_filter = ["created_at", "last_used_at"]
    list_select_related = ["owner"]
    search_fields = ["name", "owner__username", "owner__email"]
    readonly_fields = ["owner", "name", "created_at", "last_used_at"]
    date_hierarchy = "created_at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
