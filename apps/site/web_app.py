"""The manifest with which browsers install the site as an app."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, JsonResponse
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import get_language, get_language_bidi
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

PAPER = "#f2f5f4"  # As --paper in app.css, in its light form: a manifest has no dark one.


@login_not_required
@require_safe
@cache_control(public=True, max_age=3600)
def manifest(_request: HttpRequest) -> JsonResponse:
    """The web app manifest: https://www.w3.org/TR/appmanifest/"""
    talk = reverse("conversations:talk")
    content = {
        "id": "/",
        "name": "VoiceClone",
        "short_name": "VoiceClone",
        "description": _("Talk with an assistant in your own voice"),
        "lang": get_language(),
        "dir": "rtl" if get_language_bidi() else "ltr",
        "start_url": talk,
        "scope": "/",
        "display": "standalone",
        "background_color": PAPER,
        "theme_color": PAPER,
        "categories": ["productivity", "utilities"],
        "icons": [
            _icon("icon-192.png", "192x192", "any"),
            _icon("icon-512.png", "512x512", "any"),
            _icon("icon-maskable-512.png", "512x512", "maskable"),
        ],
        "shortcuts": [
            {"name": _("New conversation"), "url": talk},
            {"name": _("My voices"), "url": reverse("voices:list")},
            {"name": _("History"), "url": reverse("conversations:history")},
        ],
    }
    return JsonResponse(content, content_type="application/manifest+json")


def _icon(name: str, sizes: str, purpose: str) -> dict[str, str]:
    return {"src": static(f"img/{name}"), "sizes": sizes, "type": "image/png", "purpose": purpose}
