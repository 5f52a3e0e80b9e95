"""The URLs of the site, and one more for each way in which a request can fail."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.csrf import csrf_failure

from apps.site import error_pages
from voiceclone import urls

handler400, handler404, handler429, handler500 = urls.handler400, urls.handler404, urls.handler429, urls.handler500


@login_not_required
def fail(request: HttpRequest, way: str) -> HttpResponse:
    if way == "form":
        return csrf_failure(request)
    if way == "method":
        return error_pages.method_not_allowed(request, "POST")
    if way == "size":
        return error_pages.request_too_large(request)
    if way == "attempts":
        return error_pages.too_many_requests(request)
    raise {"request": BadRequest, "permission": PermissionDenied, "fault": ZeroDivisionError}[way]


urlpatterns = [*urls.urlpatterns, path("fail/<str:way>/", fail)]
