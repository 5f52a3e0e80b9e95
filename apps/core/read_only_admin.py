"""What can be inspected in the admin, and nothing else."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """Rows that are made, changed and deleted elsewhere; an action may still ask for that."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class WrittenBySiteAdmin(admin.ModelAdmin[Any]):
    """Rows that the site writes. Nobody adds or changes them by hand, but they may be deleted."""

    list_select_related = ["owner"]
    search_fields = ["owner__username", "owner__email"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
