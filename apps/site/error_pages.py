"""Answers where no view answers: pages for people, the API's error shape for programs."""

from __future__ import annotations

import re
import sys

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views import defaults

from apps.core.api_errors import OPENAI_PATHS, error_body, openai_error_body
from apps.core.errors import is_storage_failure, storage_unavailable
from apps.core.pages import with_error_status

PATIENCE_MINUTES = 5  # The longest time in which django-allauth counts attempts.


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_for_programs(request):
        return error_for_programs(request, "bad_request", _("This request cannot be read."), status=400)
    return defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_for_programs(request):
        return error_for_programs(request, "not_found", _("There is nothing at this address."), status=404)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if is_storage_failure(sys.exc_info()[1]):
        return _storage_unavailable(request)
    if _is_for_programs(request):
        message = _("This is a fault of the site, not yours. Try again in a moment.")
        return error_for_programs(request, "server_error", message, status=500)
    return defaults.server_error(request)


def _storage_unavailable(request: HttpRequest) -> HttpResponse:
    refusal = storage_unavailable()
    response: HttpResponse
    if _is_for_programs(request):
        response = error_for_programs(request, refusal.code, refusal.message, status=refusal.status)
    else:
        # Without the request: to say who is signed in, the page would need the database.
        response = HttpResponse(render_to_string("503.html"))
    return with_error_status(response, refusal)


def request_too_large(request: HttpRequest) -> HttpResponse:
    """Answer for a body that is not read to its end."""
    megabytes = settings.MAX_UPLOAD_BYTES // 1_000_000
    response: HttpResponse
    if _is_for_programs(request):
        message = _("This is larger than the %(megabytes)d MB that are accepted. Send a shorter recording.")
        text = message % {"megabytes": megabytes}
        response = error_for_programs(request, "request_too_large", text, status=413)
    else:
        response = render(request, "413.html", {"megabytes": megabytes}, status=413)
    response["Connection"] = "close"
    return response


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """Answer where django-allauth counts attempts, such as those to sign in."""
    response = render(request, "429.html", {"minutes": PATIENCE_MINUTES}, status=429)
    response["Retry-After"] = str(60 * PATIENCE_MINUTES)
    return response


def method_not_allowed(request: HttpRequest, allowed: str) -> HttpResponse:
    """Answer where a browser comes to an address of a form, as after signing in on the way: Django sends nothing."""
    response: HttpResponse
    if _is_for_programs(request):
        message = _("This address takes no %(method)s.") % {"method": request.method}
        response = error_for_programs(request, "method_not_allowed", message, status=405)
    else:
        response = render(request, "405.html", status=405)
    response["Allow"] = allowed
    return response


def error_for_programs(request: HttpRequest, code: str, message: str, *, status: int) -> HttpResponse:
    body = error_body(code, message)
    if request.path.startswith(OPENAI_PATHS):
        body = openai_error_body(body["error"], status)
    return JsonResponse(body, status=status)


def _is_for_programs(request: HttpRequest) -> bool:
    return re.match(settings.CORS_URLS_REGEX, request.path) is not None or not request.accepts("text/html")
