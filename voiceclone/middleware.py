"""Middleware for security headers, caches, pages for wrong methods, and bodies that are too large."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

from apps.site.error_pages import (
    is_for_programs,
    length_required,
    method_not_allowed,
    request_too_large,
    storage_failed,
    too_many_uploads,
)
from voiceclone import bodies

GetResponse = Callable[[HttpRequest], HttpResponse]

USED_FEATURES = ["autoplay", "clipboard-write", "microphone", "screen-wake-lock"]
UNUSED_FEATURES = [
    "accelerometer",
    "browsing-topics",
    "camera",
    "clipboard-read",
    "compute-pressure",
    "display-capture",
    "encrypted-media",
    "fullscreen",
    "gamepad",
    "geolocation",
    "gyroscope",
    "hid",
    "identity-credentials-get",
    "idle-detection",
    "keyboard-map",
    "local-fonts",
    "magnetometer",
    "midi",
    "otp-credentials",
    "payment",
    "picture-in-picture",
    "publickey-credentials-create",
    "publickey-credentials-get",
    "serial",
    "storage-access",
    "sync-xhr",
    "usb",
    "window-management",
    "xr-spatial-tracking",
]
PERMISSIONS_POLICY = ", ".join(
    [*(f"{feature}=(self)" for feature in USED_FEATURES), *(f"{feature}=()" for feature in UNUSED_FEATURES)]
)


def security_headers(get_response: GetResponse) -> GetResponse:
    """Switch off browser features that no page uses, and prevent other sites from embedding responses."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response

    return middleware


def private_responses(get_response: GetResponse) -> GetResponse:
    """Let nobody store responses of the API, and those for visitors with a session, unless the view says otherwise.

    With "no-cache", the back button would show a page from the browser's cache even after its reader has signed out.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if re.match(settings.CORS_URLS_REGEX, request.path):
            response.headers.setdefault("Cache-Control", "no-store")
        elif settings.SESSION_COOKIE_NAME in request.COOKIES:
            response.headers.setdefault("Cache-Control", "private, no-store")
        return response

    return middleware


def pages_for_wrong_methods(get_response: GetResponse) -> GetResponse:
    """Add a body to 405 responses, which Django sends empty."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        is_empty = isinstance(response, HttpResponseNotAllowed) and request.method != "HEAD"
        return method_not_allowed(request, response["Allow"]) if is_empty else response

    return middleware


def body_limit(get_response: GetResponse) -> GetResponse:
    """Answer requests whose body `voiceclone.bodies.BodyLimit` has refused.

    The response is made here so that it gets the same headers as every other response. Under WSGI there is no
    BodyLimit; there, the Content-Length header is enough, because Django reads no more than that: it reads nothing of
    a body that comes in chunks.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        refusal = getattr(request, "scope", {}).get(bodies.REFUSED) or _refusal_by_length(request)
        if not refusal:
            return get_response(request)
        response = _refused(request, refusal, get_response)
        if hasattr(request, "scope"):  # Under WSGI, this header is the server's.
            response["Connection"] = "close"  # The rest of the body is not read.
        return response

    return middleware


def _refusal_by_length(request: HttpRequest) -> str:
    announced = request.META.get("CONTENT_LENGTH") or "0"
    if request.META.get("HTTP_TRANSFER_ENCODING") and not hasattr(request, "scope"):
        return bodies.NO_LENGTH
    return bodies.TOO_LARGE if announced.isdigit() and int(announced) > settings.MAX_UPLOAD_BYTES else ""


def _refused(request: HttpRequest, refusal: str, get_response: GetResponse) -> HttpResponse:
    match refusal:
        case bodies.TOO_LARGE:
            return request_too_large(request)
        case bodies.TOO_MANY:
            return too_many_uploads(request)
        case bodies.NO_ROOM:
            return storage_failed(request)
        case bodies.NO_LENGTH:
            return length_required(request)
        case _:  # The API refuses an unknown caller by itself, before it looks at the body.
            return get_response(request) if is_for_programs(request) else redirect_to_login(request.get_full_path())
