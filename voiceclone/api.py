"""What every API endpoint shares: the shape of errors, the paging of lists and audio with ranges."""

from __future__ import annotations

import logging
import math
import re
from io import BytesIO
from typing import IO, Any

from django.core.exceptions import PermissionDenied
from django.db.models.fields.files import FieldFile
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _
from rest_framework import exceptions, serializers
from rest_framework.pagination import CursorPagination
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import (
    HTTP_429_TOO_MANY_REQUESTS,
    HTTP_500_INTERNAL_SERVER_ERROR,
    HTTP_503_SERVICE_UNAVAILABLE,
)
from rest_framework.views import APIView, exception_handler

from apps.speech.base import AudioBusyError, AudioError, ProviderError
from apps.speech.marks import MarkError
from voiceclone.errors import STORAGE_UNAVAILABLE, UserError, is_storage_failure, storage_unavailable

logger = logging.getLogger(__name__)

STAGE_STATUS = {
    "provider_busy": 503,
    "provider_unreachable": 503,
    "provider_unavailable": 503,
    "provider_not_configured": 503,
    "models_missing": 503,
    "provider_timeout": 504,
    "provider_audio_refused": 422,
    "provider_refused": 422,
    "nothing_heard": 422,
    "turn_stopped": 409,
    STORAGE_UNAVAILABLE: 503,
    "internal_error": 500,
}
AUDIO_STATUS = 422
OPENAI_PATHS = "/v1/"
OPENAI_CODES = {"not_authenticated": "invalid_api_key", "authentication_failed": "invalid_api_key"}
JSON_CONTENT_TYPE = "application/json"
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
        """Return how many rows a page has; a `limit` above the most is the most."""
        query = self.Query(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        limit: int = query.validated_data.get("limit", self.page_size)
        return min(limit, self.max_page_size)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe what `get_page_size` takes, for OpenAPI."""
        cursor, limit = super().get_schema_operation_parameters(view)
        schema = {"type": "integer", "minimum": 1, "default": self.page_size}
        return [cursor, {**limit, "schema": schema}]

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": self.get_next_link()})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe that answer, for OpenAPI."""
        following = {"type": ["string", "null"], "format": "uri", "description": "The next page.", "example": None}
        properties = {"results": schema, "next": following}
        return {"type": "object", "required": list(properties), "properties": properties}


# What a program sends. In JSON types count: `true` is no number, and 7 is no text. Forms have but texts. (A docstring
# would describe every body in the API's description.)
class StrictSerializer(serializers.Serializer[Any]):
    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and not isinstance(data, MultiValueDict):
            wrong = [name for name, field in self.fields.items() if name in data and not _has_type(field, data[name])]
            if wrong:
                raise exceptions.ValidationError({name: [_("This is of another type.")] for name in wrong})
        return super().to_internal_value(data)


def _has_type(field: serializers.Field[Any, Any, Any, Any], value: object) -> bool:
    types = next((types for kind, types in JSON_TYPES.items() if isinstance(field, kind)), None)
    return types is None or value is None or type(value) in types


class EventStreamRenderer(JSONRenderer):
    """Lets a client ask for an event stream; what is refused before the stream begins is answered as JSON."""

    media_type = "text/event-stream"
    format = "event-stream"


class AudioRenderer(JSONRenderer):
    """Lets a client ask for sound; what is refused is answered as JSON."""

    media_type = "audio/*"
    format = "audio"


def error_body(code: str, message: str, fields: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the one shape of every error: `{"error": {"code", "message", "fields"?}}`."""
    error: dict[str, Any] = {"code": code, "message": message}
    if fields:
        error["fields"] = fields
    return {"error": error}


def openai_error_body(error: dict[str, Any], status: int) -> dict[str, Any]:
    """Return `error`, what stands in `error_body`, as OpenAI's clients read it; their exceptions go by the status."""
    param = next(iter(error.get("fields", {})), None)
    message = f"{param}: {_first_text(error['fields'][param])}" if param else error["message"]
    code = OPENAI_CODES.get(error["code"], error["code"])
    kind = "rate_limit_error" if status == HTTP_429_TOO_MANY_REQUESTS else "invalid_request_error"
    kind = "server_error" if status >= HTTP_500_INTERNAL_SERVER_ERROR else kind
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _first_text(texts: Any) -> str:
    """Return the first of the texts about a field, which are nested where the field is."""
    while isinstance(texts, dict | list):
        texts = next(iter(texts.values() if isinstance(texts, dict) else texts), "")
    return str(texts)


def known_error(error: Exception) -> UserError | None:
    """Return `error` as something to tell the person, or None where it is a fault of our own."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, AudioBusyError):
        headers = {"Retry-After": str(error.retry_after)}
        return UserError(error.code, error.message, status=HTTP_503_SERVICE_UNAVAILABLE, headers=headers)
    if isinstance(error, AudioError):
        return UserError(error.code, error.message, status=AUDIO_STATUS)
    if isinstance(error, MarkError):
        logger.error("Speech can not be marked: %s", error)
        text = _("This site can not mark speech as synthetic right now. Its operator has to run: manage.py check")
        return UserError("marking_failed", text, status=HTTP_503_SERVICE_UNAVAILABLE)
    if isinstance(error, ProviderError):
        headers = {} if error.retry_after is None else {"Retry-After": str(math.ceil(error.retry_after))}
        return UserError(error.code, error.message, status=error_status(error.code), headers=headers)
    if is_storage_failure(error):
        logger.error("Nothing can be stored", exc_info=error)
        return storage_unavailable()
    return None


def error_status(code: str) -> int:
    """Return the HTTP status for a stage that failed with `code`."""
    return STAGE_STATUS.get(code, 502)


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn whatever a view raised into the one error shape; DRF calls this."""
    known = known_error(error)
    if known is not None:
        body = error_body(known.code, known.message)
        return Response(body, status=known.status, headers=known.headers, content_type=JSON_CONTENT_TYPE)
    response = exception_handler(error, context)
    if response is None:
        return None
    response.data = _body_of_framework_error(error, context["view"])
    response.content_type = JSON_CONTENT_TYPE
    return response


def _body_of_framework_error(error: Exception, view: APIView) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError) and isinstance(error.detail, dict):
        return error_body("invalid", _("Some fields need another value."), error.detail)
    if isinstance(error, Http404):
        return error_body("not_found", _("There is nothing here, or it is not yours."))
    if isinstance(error, PermissionDenied):
        return error_body("permission_denied", _("You may not do this."))
    assert isinstance(error, exceptions.APIException)  # noqa: S101 - DRF answers no other kind of error
    if isinstance(error, exceptions.UnsupportedMediaType):
        accepted = " / ".join(parser.media_type for parser in view.parser_classes)
        text = _("The body of this request is of another type than what is read here. Send %(accepted)s.")
        return error_body(error.default_code, text % {"accepted": accepted})
    codes = error.get_codes()
    return error_body(codes if isinstance(codes, str) else "invalid", _text_of(error))


def _text_of(error: exceptions.APIException) -> str:
    detail = error.detail
    return " ".join(str(part) for part in detail) if isinstance(detail, list) else str(detail)


def audio_response(request: HttpRequest, data: bytes, content_type: str, filename: str = "") -> HttpResponse:
    """Answer with `data`, or with the part of it that a single `Range` header asks for. A name makes it a download."""
    response = _ranged_response(request, BytesIO(data), len(data), content_type)
    if filename:
        response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


def stored_audio_response(request: HttpRequest, stored: FieldFile, content_type: str) -> HttpResponse:
    """Answer with a stored file as it is, like `audio_response`; only the part that is asked for is read.

    Raises FileNotFoundError.
    """
    with stored.open("rb") as file:
        return _ranged_response(request, file, stored.size, content_type)


def _ranged_response(request: HttpRequest, file: IO[bytes], size: int, content_type: str) -> HttpResponse:
    """Answer with all `size` bytes of `file`, or a part. Browsers seek, and Safari plays, only where ranges work."""
    span = _requested_span(request.headers.get("Range", ""), size)
    if span == (0, 0):
        response = HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    elif span:
        start, end = span
        file.seek(start)
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{size}"}
        response = HttpResponse(file.read(end - start), content_type, status=206, headers=headers)
    else:
        response = HttpResponse(file.read(), content_type)
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _requested_span(header: str, size: int) -> tuple[int, int] | None:
    """Return (start, end) of a single byte range, (0, 0) where it lies outside, or None where there is none to obey."""
    match = re.fullmatch(r"bytes=(\d{0,15})-(\d{0,15})", header.strip())
    if not match or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    return (start, end) if start < end else (0, 0)
