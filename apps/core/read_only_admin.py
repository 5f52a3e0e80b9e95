"""Admin pages for rows that staff do not write."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from apps.core.owned import owner_is_like
from apps.core.paging import PagesByKey


class LongListAdmin(admin.ModelAdmin[Any]):
    """A list that may have a million rows: it does not count those that a search leaves out.

    Nobody sees `secret_fields`, and no address of a list finds rows by them, which would tell them letter by letter.
    """

    paginator = PagesByKey
    show_full_result_count = False
    secret_fields: ClassVar[tuple[str, ...]] = ()

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*(super().get_exclude(request, obj) or []), *self.secret_fields]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup.split("__")[0] not in self.secret_fields and super().lookup_allowed(lookup, value, request)


class ReadOnlyAdmin(LongListAdmin):
    """Rows that staff can only read. An action can still trigger a change."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class WrittenBySiteAdmin(LongListAdmin):
    """Rows that the site writes. Staff can delete them, but cannot add or change them."""

    list_select_related = ["owner"]
    search_fields = ["owner__username", "owner__email"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        columns = [name for name in self.get_search_fields(request) if not name.startswith("owner__")]
        for word in search_term.split():
            condition = owner_is_like(word)
            for name in columns:
                condition |= Q(**{f"{name}__icontains": word})
            queryset = queryset.filter(condition)
        return queryset, False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
