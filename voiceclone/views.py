"""The few addresses that belong to no app, and what is answered where no view does."""

from __future__ import annotations

import re

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.utils.translation import gettext as _
from django.views import defaults

from voiceclone.api import error_body


@login_not_required
def home(request: HttpRequest) -> HttpResponse:
    """What this is, or for those who are signed in, the page to talk on."""
    if request.user.is_authenticated:
        return redirect("conversations:talk")
    return render(request, "home.html")


@login_not_required
def favicon(_request: HttpRequest) -> HttpResponse:
    """For pages that are not ours, such as the admin's: browsers ask for it by this name."""
    return redirect(static("img/favicon.svg"), permanent=True)


@login_not_required
def healthz(_request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_for_programs(request):
        return JsonResponse(error_body("bad_request", _("This request can not be read.")), status=400)
    return defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_for_programs(request):
        return JsonResponse(error_body("not_found", _("There is nothing at this address.")), status=404)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if _is_for_programs(request):
        message = _("This is a fault of the site, not yours. Try again in a moment.")
        return JsonResponse(error_body("server_error", message), status=500)
    return defaults.server_error(request)


def _is_for_programs(request: HttpRequest) -> bool:
    return re.match(settings.CORS_URLS_REGEX, request.path) is not None
