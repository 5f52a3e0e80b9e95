"""The bases of API endpoints: pages of lists, strict input, and renderers."""

from __future__ import annotations

from typing import Any

from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _
from rest_framework import exceptions, serializers
from rest_framework.pagination import CursorPagination
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

JSON_TYPES: dict[type, set[type]] = {
    serializers.CharField: {str},
    serializers.FloatField: {float, int},
    serializers.BooleanField: {bool},
}


class NewestFirstPagination(CursorPagination):
    """Pages of `{"results", "next"}`, newest first, stable while rows are added."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200
    ordering = "-created_at"

    class Query(serializers.Serializer[Any]):
        limit = serializers.IntegerField(min_value=1, required=False)

    def get_page_size(self, request: Request) -> int:
        """Return the page size; a `limit` above `max_page_size` counts as `max_page_size`."""
        query = self.Query(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        limit: int = query.validated_data.get("limit", self.page_size)
        return min(limit, self.max_page_size)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Return the OpenAPI parameters that `get_page_size` reads."""
        cursor, limit = super().get_schema_operation_parameters(view)
        schema = {"type": "integer", "minimum": 1, "default": self.page_size}
        return [cursor, {**limit, "schema": schema}]

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": self.get_next_link()})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the OpenAPI schema of `get_paginated_response`."""
        following = {"type": ["string", "null"], "format": "uri", "description": "The next page.", "example": None}
        properties = {"results": schema, "next": following}
        return {"type": "object", "required": list(properties), "properties": properties}


# Input of programs. In JSON, types are checked: `true` is not a number, and 7 is not a text. Forms hold only texts.
# This is no docstring, because drf-spectacular would repeat it in the description of every body.
class StrictSerializer(serializers.Serializer[Any]):
    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and not isinstance(data, MultiValueDict):
            wrong = [name for name, field in self.fields.items() if name in data and not _has_type(field, data[name])]
            if wrong:
                raise exceptions.ValidationError({name: [_("This has the wrong type.")] for name in wrong})
        return super().to_internal_value(data)


def _has_type(field: serializers.Field[Any, Any, Any, Any], value: object) -> bool:
    types = next((types for kind, types in JSON_TYPES.items() if isinstance(field, kind)), None)
    return types is None or value is None or type(value) in types


class EventStreamRenderer(JSONRenderer):
    """Lets a client ask for an event stream. Errors before the stream begins are answered as JSON."""

    media_type = "text/event-stream"
    format = "event-stream"


class AudioRenderer(JSONRenderer):
    """Lets a client ask for audio. Errors are answered as JSON."""

    media_type = "audio/*"
    format = "audio"
