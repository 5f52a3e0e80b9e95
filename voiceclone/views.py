"""The few addresses that belong to no app, and what is answered where no view does."""

from __future__ import annotations

import re
import sys
from typing import get_args
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils.translation import gettext as _
from django.views import defaults

from apps.accounts.background import is_behind
from apps.speech import registry
from apps.speech.base import AudioError, ProviderError, Stage
from voiceclone import readiness
from voiceclone.api import OPENAI_PATHS, error_body, known_error, openai_error_body
from voiceclone.errors import UserError, is_storage_failure, storage_unavailable

PATIENCE_MINUTES = 5  # The longest time in which django-allauth counts attempts.


@login_not_required
def home(request: HttpRequest) -> HttpResponse:
    """What this is, or for those who are signed in, the page to talk on."""
    if request.user.is_authenticated:
        return redirect("conversations:talk")
    return render(request, "home.html", {"services": _services()})


def _services() -> list[str]:
    """Return who gets what people say, besides this site."""
    engines = {engine for stage in ("hear", "think", "speak") for engine in registry.engines_of(stage)}
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
    """The process can do its work: it is not about to end, the database answers, and recordings can be kept.

    An engine that is down and a worker that is behind are told as well, but another process would have them too.
    """
    needed = {
        "database": readiness.database_answers(),
        "recordings": readiness.can_keep_recordings(),
        "disk": readiness.has_room(),
    }
    worker = needed["database"] and not is_behind()
    engines = {stage: registry.is_working(stage) for stage in get_args(Stage)}
    if readiness.is_ending():
        status = "ending"
    elif not all(needed.values()):
        status = "not ready"
    else:
        status = "ready" if worker and all(engines.values()) else "degraded"
    code = 200 if status in {"ready", "degraded"} else 503
    return JsonResponse({"status": status, **needed, "worker": worker, "engines": engines}, status=code)


@login_not_required
def api_docs(request: HttpRequest) -> HttpResponse:
    """The description of the API, as a page."""
    return render(request, "api_docs.html")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_for_programs(request):
        return error_for_programs(request, "bad_request", _("This request can not be read."), status=400)
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


def as_refused(page: HttpResponse, error: UserError | AudioError | ProviderError) -> HttpResponse:
    """Return a page that tells `error`, with the status and the headers that the API would answer."""
    refusal = known_error(error)
    assert refusal is not None  # noqa: S101 - It is one for each of these types.
    page.status_code = refusal.status
    for name, value in refusal.headers.items():
        page[name] = value
    return page


def _storage_unavailable(request: HttpRequest) -> HttpResponse:
    refusal = storage_unavailable()
    response: HttpResponse
    if _is_for_programs(request):
        response = error_for_programs(request, refusal.code, refusal.message, status=refusal.status)
    else:
        # Without the request: to say who is signed in, the page would need the database.
        response = HttpResponse(render_to_string("503.html"))
    return as_refused(response, refusal)


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
