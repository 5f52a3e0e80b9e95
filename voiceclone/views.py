"""The few addresses that belong to no app."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static


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
