"""The state of the embedded engines, which pages ask for while the engines are being fetched."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from apps.site.outages import Outages
from apps.speech import availability


@never_cache
def engines(_request: HttpRequest) -> JsonResponse:
    """Return the state (`ready`, `engine_loading` or `models_missing`), a message for people, and the percentage."""
    error = Outages().missing_engines
    if error is None:
        return JsonResponse({"state": "ready", "message": _("The engines are here. Everything works now.")})
    fetching = availability.fetching()
    answer = {"state": error.code, "message": error.message, "percent": fetching.percent if fetching else None}
    return JsonResponse(answer)
