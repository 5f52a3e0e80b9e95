"""The few addresses that belong to no app, and what is answered where no view does."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.utils.translation import gettext as _
from django.views import defaults

from voiceclone.api import OPENAI_PATHS, error_body, openai_error_body

PATIENCE_MINUTES = 5  # The longest time in which django-allauth counts attempts.


@login_not_required
def home(request: HttpRequest) -> HttpResponse:
    """What this is, or for those who are signed in, the page to talk on."""
    if request.user.is_authenticated:
        return redirect("conversations:talk")
    return render(request, "home.html", {"services": _services()})


def _services() -> list[str]:
    """Return who gets what people say, besides this site."""
    engines = {settings.SPEECH_TO_TEXT, settings.LANGUAGE_MODEL, settings.TEXT_TO_SPEECH}
    addresses = {"OpenAI": settings.OPENAI_BASE_URL, "ElevenLabs": settings.ELEVENLABS_BASE_URL}
    names = [urlsplit(address or "").hostname or name for name, address in addresses.items() if name.lower() in engines]
    return list(dict.fromkeys(names))


@login_not_required
def favicon(_request: HttpRequest) -> HttpResponse:
    """For pages that are not ours, such as the admin's: browsers ask for it by this name."""
    return redirect(static("img/favicon.svg"), permanent=True)


@login_not_required
def healthz(_request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


@login_not_required
def readyz(_request: HttpRequest) -> HttpResponse:
    """The process can do its work: the database answers, and recordings can be kept."""
    checks = {"database": _database_answers(), "recordings": _can_keep_recordings()}
    is_ready = all(checks.values())
    return JsonResponse({"status": "ready" if is_ready else "not ready", **checks}, status=200 if is_ready else 503)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def _can_keep_recordings() -> bool:
    folder = Path(settings.MEDIA_ROOT)
    existing = next(each for each in (folder, *folder.parents) if each.exists())  # It is made with the first one.
    return existing.is_dir() and os.access(existing, os.W_OK)


@login_not_required
def api_docs(request: HttpRequest) -> HttpResponse:
    """The description of the API, as a page."""
    return render(request, "api_docs.html")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_for_programs(request):
        return _error_for_programs(request, "bad_request", _("This request can not be read."), status=400)
    return defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_for_programs(request):
        return _error_for_programs(request, "not_found", _("There is nothing at this address."), status=404)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if _is_for_programs(request):
        message = _("This is a fault of the site, not yours. Try again in a moment.")
        return _error_for_programs(request, "server_error", message, status=500)
    return defaults.server_error(request)


def request_too_large(request: HttpRequest) -> HttpResponse:
    """Answer for a body that is not read to its end."""
    megabytes = settings.MAX_UPLOAD_BYTES // 1_000_000
    response: HttpResponse
    if _is_for_programs(request):
        message = _("This is larger than the %(megabytes)d MB that are accepted. Send a shorter recording.")
        text = message % {"megabytes": megabytes}
        response = _error_for_programs(request, "request_too_large", text, status=413)
    else:
        response = render(request, "413.html", {"megabytes": megabytes}, status=413)
    response["Connection"] = "close"
    return response


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """Answer where django-allauth counts attempts, such as those to sign in."""
    response = render(request, "429.html", {"minutes": PATIENCE_MINUTES}, status=429)
    response["Retry-After"] = str(60 * PATIENCE_MINUTES)
    return response


def _error_for_programs(request: HttpRequest, code: str, message: str, *, status: int) -> HttpResponse:
    body = error_body(code, message)
    if request.path.startswith(OPENAI_PATHS):
        body = openai_error_body(body["error"], status)
    return JsonResponse(body, status=status)


def _is_for_programs(request: HttpRequest) -> bool:
    return re.match(settings.CORS_URLS_REGEX, request.path) is not None or not request.accepts("text/html")
