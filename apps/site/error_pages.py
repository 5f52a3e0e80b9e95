"""Error responses outside of views: pages for people, and JSON in the shape of the API for programs."""

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
from apps.core.errors import UserError, storage_failure, storage_unavailable
from apps.core.pages import with_error_status

UPLOADS_RETRY_SECONDS = 30
RETRY_AFTER_MINUTES = 5  # The longest period of django-allauth's rate limits.


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_for_programs(request):
        return error_for_programs(request, "bad_request", _("The request could not be read."), status=400)
    return defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_for_programs(request):
        return error_for_programs(request, "not_found", _("There is nothing at this address."), status=404)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    error = sys.exc_info()[1]
    if failure := storage_failure(error):
        return _unavailable(request, failure)
    if isinstance(error, UserError):  # From a view of a library, which does not know these errors.
        return _unavailable(request, error)
    if is_for_programs(request):
        message = _("This is an error of the site, not yours. Try again in a moment.")
        return error_for_programs(request, "server_error", message, status=500)
    return defaults.server_error(request)


def storage_failed(request: HttpRequest) -> HttpResponse:
    """Return a 503: the disk is full, or the database does not answer."""
    return _unavailable(request, storage_unavailable())


def _unavailable(request: HttpRequest, refusal: UserError) -> HttpResponse:
    response: HttpResponse
    if is_for_programs(request):
        response = error_for_programs(request, refusal.code, refusal.message, status=refusal.status)
    else:
        # Rendered without the request: its context processors need the database.
        response = HttpResponse(render_to_string("503.html", {"refusal": refusal}))
    return with_error_status(response, refusal)


def request_too_large(request: HttpRequest) -> HttpResponse:
    """Return a 413 with the limit."""
    megabytes = settings.MAX_UPLOAD_BYTES // 1_000_000
    response: HttpResponse
    if is_for_programs(request):
        message = _("The request is larger than the limit of %(megabytes)d MB. Send a shorter recording.")
        text = message % {"megabytes": megabytes}
        response = error_for_programs(request, "request_too_large", text, status=413)
    else:
        response = render(request, "413.html", {"megabytes": megabytes}, status=413)
    return response


def length_required(request: HttpRequest) -> HttpResponse:
    """Return a 411: the body comes in chunks, which browsers do not send, and this server cannot read them."""
    message = _("This server needs a Content-Length header. Send one, or ask its operator to serve voiceclone.asgi.")
    return error_for_programs(request, "length_required", message, status=411)


def too_many_uploads(request: HttpRequest) -> HttpResponse:
    """Return a 429: others in the same network are sending large files at this moment."""
    message = _("Several files are being sent from your network. Wait until they have arrived, then try again.")
    response: HttpResponse
    if is_for_programs(request):
        response = error_for_programs(request, "too_many_uploads", message, status=429)
    else:
        response = render(request, "429.html", {"message": message}, status=429)
    response["Retry-After"] = str(UPLOADS_RETRY_SECONDS)
    return response


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """Return a 429 when django-allauth refuses further attempts, for example to sign in."""
    response = render(request, "429.html", {"minutes": RETRY_AFTER_MINUTES}, status=429)
    response["Retry-After"] = str(60 * RETRY_AFTER_MINUTES)
    return response


def method_not_allowed(request: HttpRequest, allowed: str) -> HttpResponse:
    """Return a 405 with a body; Django sends none.

    Browsers get here when a person must sign in before sending a form: they then open the address of the form.
    """
    response: HttpResponse
    if is_for_programs(request):
        message = _("This address does not accept %(method)s.") % {"method": request.method}
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


def is_for_programs(request: HttpRequest) -> bool:
    """Whether the answer has to be JSON."""
    return re.match(settings.CORS_URLS_REGEX, request.path) is not None or not request.accepts("text/html")
