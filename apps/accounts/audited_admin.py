"""Admin pages for rows with private words."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from apps.accounts import audit
from apps.core.read_only_admin import ReadOnlyAdmin


class AuditedAdmin(ReadOnlyAdmin):
    """Rows with private words, which staff can only read. The audit log notes who opens a row or searches.

    Lists, inlines of other models and confirmations have no audit line, so they must not show these words: the model's
    `__str__` and `list_display` contain ids, times and states only.
    """

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        row: Any = super().get_object(request, object_id, from_field)
        if row is not None:
            self.note_reading(request, row)
        return row

    def note_reading(self, request: HttpRequest, row: Any) -> None:
        owner = getattr(row, "owner_id", None)
        about = f"{self.opts.model_name} {row.pk}"
        audit.note("private_read", request=request, user=request.user.pk, owner=owner, row=about)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if search_term:  # Which rows contain a word also tells something about them.
            audit.note("private_search", request=request, user=request.user.pk, rows=self.opts.model_name)
        return self.search(request, queryset, search_term)

    def search(self, request: HttpRequest, queryset: QuerySet[Any], term: str) -> tuple[QuerySet[Any], bool]:
        """Search as `get_search_results` does. Models whose search is not Django's override this."""
        return super().get_search_results(request, queryset, term)
