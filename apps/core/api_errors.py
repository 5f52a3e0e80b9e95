"""The error format of the API, and the conversion of exceptions into it."""

from __future__ import annotations

import logging
import math
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.status import (
    HTTP_429_TOO_MANY_REQUESTS,
    HTTP_500_INTERNAL_SERVER_ERROR,
    HTTP_503_SERVICE_UNAVAILABLE,
)
from rest_framework.views import APIView, exception_handler

from apps.core.errors import (
    RECORDING_MISSING,
    RECORDING_MISSING_STATUS,
    STORAGE_UNAVAILABLE,
    UserError,
    storage_failure,
)
from apps.speech.base import RECORDINGS_UNAVAILABLE, AudioBusyError, AudioError, ProviderError
from apps.speech.provenance.marks import MarkError

logger = logging.getLogger(__name__)

STAGE_STATUS = {
    "provider_busy": 503,
    "provider_unreachable": 503,
    "provider_unavailable": 503,
    "provider_not_configured": 503,
    "engine_loading": 503,
    "models_missing": 503,
    "provider_timeout": 504,
    "provider_audio_refused": 422,
    "provider_content_refused": 422,
    "provider_duplicate_samples": 422,
    "provider_refused": 422,
    "nothing_heard": 422,
    "turn_stopped": 409,
    STORAGE_UNAVAILABLE: 503,
    RECORDINGS_UNAVAILABLE: 503,
    RECORDING_MISSING: RECORDING_MISSING_STATUS,
    "internal_error": 500,
}
AUDIO_STATUS = 422
OPENAI_PATHS = "/v1/"
OPENAI_CODES = {"not_authenticated": "invalid_api_key", "authentication_failed": "invalid_api_key"}
NON_FIELD_ERRORS = api_settings.NON_FIELD_ERRORS_KEY
JSON_CONTENT_TYPE = "application/json"


def error_body(
    code: str, message: str, fields: dict[str, Any] | None = None, details: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the body of every error: `{"error": {"code", "message", "fields"?, "details"?}}`."""
    error: dict[str, Any] = {"code": code, "message": message}
    if fields:
        error["fields"] = fields
    if details:
        error["details"] = details
    return {"error": error}


def openai_error_body(error: dict[str, Any], status: int) -> dict[str, Any]:
    """Return `error`, the content of `error_body`, in OpenAI's format. Clients choose an exception by `status`."""
    fields = error.get("fields", {})
    param = next(iter(fields), None)
    message = f"{param}: {_first_text(fields[param])}" if param else error["message"]
    if param == NON_FIELD_ERRORS:  # The body is no object.
        param, message = None, _first_text(fields[param])
    code = OPENAI_CODES.get(error["code"], error["code"])
    kind = "rate_limit_error" if status == HTTP_429_TOO_MANY_REQUESTS else "invalid_request_error"
    kind = "server_error" if status >= HTTP_500_INTERNAL_SERVER_ERROR else kind
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _first_text(texts: Any) -> str:
    """Return the first text about a field. The texts are nested if the field is."""
    while isinstance(texts, dict | list):
        texts = next(iter(texts.values() if isinstance(texts, dict) else texts), "")
    return str(texts)


def known_error(error: Exception) -> UserError | None:
    """Return `error` with a message for the person, or None if it is a fault of this application."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, AudioBusyError):
        headers = {"Retry-After": str(error.retry_after)}
        return UserError(error.code, error.message, status=HTTP_503_SERVICE_UNAVAILABLE, headers=headers)
    if isinstance(error, AudioError):
        return UserError(error.code, error.message, status=AUDIO_STATUS)
    if isinstance(error, MarkError):
        logger.error("Speech cannot be marked: %s", error)
        text = _("This site cannot mark speech as synthetic right now. Its operator has to run: manage.py check")
        return UserError("marking_failed", text, status=HTTP_503_SERVICE_UNAVAILABLE)
    if isinstance(error, ProviderError):
        headers = {} if error.retry_after is None else {"Retry-After": str(math.ceil(error.retry_after))}
        return UserError(error.code, error.message, status=error_status(error.code), headers=headers)
    failure = storage_failure(error)
    if failure is not None:
        logger.error("The storage fails", exc_info=error)
    return failure


def error_status(code: str) -> int:
    """Return the HTTP status for a stage that failed with `code`."""
    return STAGE_STATUS.get(code, 502)


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn the exception of a view into the error format. Django REST framework calls this (EXCEPTION_HANDLER)."""
    known = known_error(error)
    if known is not None:
        fields = {known.field: [known.message]} if known.field else None
        body = error_body(known.code, known.message, fields, known.details)
        return Response(body, status=known.status, headers=known.headers, content_type=JSON_CONTENT_TYPE)
    response = exception_handler(error, context)
    if response is None:
        return None
    response.data = _body_of_framework_error(error, context["view"])
    response.content_type = JSON_CONTENT_TYPE
    return response


def _body_of_framework_error(error: Exception, view: APIView) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError) and isinstance(error.detail, dict):
        return error_body("invalid", _("Some fields are invalid."), error.detail)
    if isinstance(error, Http404):
        return error_body("not_found", _("There is nothing here, or it is not yours."))
    if isinstance(error, PermissionDenied):
        return error_body("permission_denied", _("You may not do this."))
    assert isinstance(error, exceptions.APIException)  # noqa: S101 - DRF answers no other kind of error
    if isinstance(error, exceptions.UnsupportedMediaType):
        accepted = " / ".join(parser.media_type for parser in view.parser_classes)
        text = _("This content type is not supported here. Send %(accepted)s.")
        return error_body(error.default_code, text % {"accepted": accepted})
    codes = error.get_codes()
    return error_body(codes if isinstance(codes, str) else "invalid", _text_of(error))


def _text_of(error: exceptions.APIException) -> str:
    detail = error.detail
    return " ".join(str(part) for part in detail) if isinstance(detail, list) else str(detail)
