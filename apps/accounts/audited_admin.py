"""Admin pages for rows with private content."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import FileField, QuerySet
from django.http import HttpRequest, HttpResponse

from apps.accounts import audit
from apps.core.content_access import PLACEHOLDER, Kind, may_read_content, record_access
from apps.core.owned import owner_is_like
from apps.core.read_only_admin import ReadOnlyAdmin


class AuditedAdmin(ReadOnlyAdmin):
    """Rows with private content, in the columns `private_fields`, which staff can only read.

    Without the permission to read content, rows are shown without it, and neither a search nor an address finds rows by
    it. The audit log notes who opens a row or searches; who is shown content is also recorded for its owner, as
    `content_kind`.

    Lists, inlines of other models and confirmations have no audit line, so they must not show content: the model's
    `__str__` and `list_display` contain ids, times and states only.
    """

    private_fields: ClassVar[tuple[str, ...]] = ()
    content_kind: ClassVar[Kind | None] = None

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        row: Any = super().get_object(request, object_id, from_field)
        if row is not None:
            self.note_reading(request, row)
            if not may_read_content(request.user):
                self._hide_content(row)
        return row

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **options: Any) -> HttpResponse:
        row = options.get("obj")
        if row is not None and self.content_kind and may_read_content(request.user):
            owner = getattr(row, "owner_id", None)
            record_access(reader=request.user, owner=owner, kind=self.content_kind, object_id=row.pk)
        return super().render_change_form(request, context, *args, **options)

    def note_reading(self, request: HttpRequest, row: Any) -> None:
        owner = getattr(row, "owner_id", None)
        about = f"{self.opts.model_name} {row.pk}"
        audit.note("private_read", request=request, user=request.user.pk, owner=owner, row=about)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if search_term and not may_read_content(request.user):
            return self._of_owners(queryset, search_term), False
        if search_term:  # Which rows contain a word also tells something about them.
            audit.note("private_search", request=request, user=request.user.pk, rows=self.opts.model_name)
        return self.search(request, queryset, search_term)

    def search(self, request: HttpRequest, queryset: QuerySet[Any], term: str) -> tuple[QuerySet[Any], bool]:
        """Search as `get_search_results` does. Models whose search is not Django's override this."""
        return super().get_search_results(request, queryset, term)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Refuse conditions in the address of a list on content that is hidden. Django allows those on any column."""
        if lookup.split("__")[0] in self.private_fields and not may_read_content(request.user):
            return False
        return super().lookup_allowed(lookup, value, request)

    def _hide_content(self, row: Any) -> None:
        """Replace the content in the object, which nobody can save from these pages."""
        for name in self.private_fields:
            if isinstance(self.opts.get_field(name), FileField):
                setattr(row, name, "")
            elif getattr(row, name):
                setattr(row, name, PLACEHOLDER)

    def _of_owners(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Return the rows of people whose names or addresses contain the words of `term`."""
        if not any(each.name == "owner" for each in self.opts.fields):
            return queryset.none()
        for word in term.split():
            queryset = queryset.filter(owner_is_like(word))
        return queryset
