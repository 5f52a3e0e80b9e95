"""The start page: how it sounds, what it costs, and where it runs, according to the current settings."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_safe

from apps.core.links import absolute_url
from apps.site.privacy_page import recipient_name, recipients, speaking
from apps.speech import availability
from apps.speech.base import Stage
from apps.usage import limits
from apps.usage.models import UsageDay
from apps.voices.models import VoiceProfile

PICTURE = "img/social.png"
WORK: dict[Stage, Promise] = {
    "hear": gettext_lazy("Hears you"),
    "think": gettext_lazy("Writes the answer"),
    "speak": gettext_lazy("Clones and speaks"),
}


@dataclass(frozen=True)
class Place:
    """Where a part of the work is done: by these services and, if `is_here`, on this machine."""

    work: str | Promise
    services: list[str]
    is_here: bool


@login_not_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the start page: with the way on for people who are signed in, with the way in for others."""
    places = _places()
    context = {
        "address": absolute_url(request, request.path),
        "picture": absolute_url(request, static(PICTURE)),
        "places": places,
        "services": list(dict.fromkeys(name for place in places for name in place.services)),
        "recipients": recipients(),
        "allowances": _allowances(),
        "has_voice": VoiceProfile.objects.for_user(request.user).that_speak().exists(),
    }
    return render(request, "site/home.html", context)


def _places() -> list[Place]:
    return [_place(stage, work) for stage, work in WORK.items()]


def _place(stage: Stage, work: Promise) -> Place:
    engines = speaking() if stage == "speak" else availability.engines_of(stage)
    engines += availability.live_engines() if stage == "hear" else []
    addresses = {engine: availability.address_of(engine, stage) for engine in engines}
    services = [recipient_name(engine, address) for engine, address in addresses.items() if address]
    return Place(work, list(dict.fromkeys(services)), is_here=not all(addresses.values()))


def _allowances() -> list[str]:
    """Return what a person may use in a day; none without limits."""
    return [_allowance(allowance.name, allowance.limit) for allowance in limits.allowances(UsageDay())]


def _allowance(name: str, limit: int) -> str:
    match name:
        case "seconds":
            minutes = max(limit // 60, 1)
            return ngettext("%(n)d minute of listening", "%(n)d minutes of listening", minutes) % {"n": minutes}
        case "characters":
            return _("%(n)s characters of speech") % {"n": f"{limit:,}"}
        case _requests:
            return ngettext("%(n)s request", "%(n)s requests", limit) % {"n": f"{limit:,}"}
