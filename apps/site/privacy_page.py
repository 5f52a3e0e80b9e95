"""The privacy page: which personal data is kept, how long, and who receives it, according to the current settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from apps.core.personal_data import all_personal_data
from apps.speech import availability
from apps.speech.base import ProviderError
from apps.voices.models import VoiceProfile


@dataclass(frozen=True)
class Recipient:
    """A service that receives personal data from this site. `host` is the host name that the data is sent to."""

    name: str | Promise
    host: str
    gets: list[str | Promise]


def recipients() -> list[Recipient]:
    """Return the services that are in use; none if all engines are embedded."""
    hears, thinks = availability.engines_of("hear"), availability.engines_of("think")
    spoken_consent = hears if settings.CONSENT == "spoken" else []
    of_openai = [
        (hears, _("the recordings of your questions, to transcribe them")),
        (spoken_consent, _("the recording of your consent, which contains your name, to transcribe it")),
        (thinks, _("the text of your conversation and its persona, to write the next answer")),
    ]
    of_elevenlabs = [
        ([settings.TEXT_TO_SPEECH], _("the recordings and the name of your voice, to clone it")),
        (_speaking(), _("every text that is spoken in your voice, such as the answers")),
    ]
    of_server = [
        ([settings.TEXT_TO_SPEECH], _("a part of your recordings and the words in it, to speak in your voice")),
        (_storing_consents(), _("the recording of your consent, if it asks for one")),
        (_speaking(), _("every text that is spoken in your voice, such as the answers")),
    ]
    of_sentry = [
        (["sentry"], _("the place in the program where an error occurred, without anything that people said or wrote"))
    ]
    known: list[tuple[str | Promise, str | None, str, str, Sequence[tuple[list[str], Promise]]]] = [
        ("OpenAI", settings.OPENAI_BASE_URL, "api.openai.com", "openai", of_openai),
        ("ElevenLabs", settings.ELEVENLABS_BASE_URL, "api.elevenlabs.io", "elevenlabs", of_elevenlabs),
        (_("Voice server"), settings.VOICE_BASE_URL, "", "server", of_server),
        ("Sentry", settings.SENTRY_DSN, "", "sentry", of_sentry if settings.SENTRY_DSN else []),
    ]
    found = [
        Recipient(name, urlsplit(address or "").hostname or host, [data for users, data in uses if engine in users])
        for name, address, host, engine, uses in known
    ]
    return [recipient for recipient in found if recipient.gets]


def _speaking() -> list[str]:
    """Return the engines that speak. Voices speak where they were made, even if new voices are made elsewhere."""
    makers = VoiceProfile.objects.order_by().values_list("provider", flat=True).distinct()
    return [settings.TEXT_TO_SPEECH, *filter(_is_configured, makers)]


def _storing_consents() -> list[str]:
    """Return the engine that may ask for the recording of a consent when it clones a voice."""
    has_recordings = settings.CONSENT == "spoken" and settings.VOICE_DIALECT == "openai"
    return [settings.TEXT_TO_SPEECH] if has_recordings else []


def _is_configured(engine: str) -> bool:
    try:
        availability.require_configured(engine, "speak")
    except ProviderError:
        return False
    return True


@login_not_required
@require_safe
def privacy(request: HttpRequest) -> HttpResponse:
    """Show the recipients of personal data, the retention schedule and the rights of people."""
    context = {
        "recipients": recipients(),
        "schedule": [kept for data in all_personal_data() for kept in data.schedule()],
        "operator_name": settings.OPERATOR_NAME,
        "operator_email": settings.OPERATOR_EMAIL,
        "cooling_off_days": settings.ERASURE_COOLING_OFF_DAYS,
        "retention_days": settings.RETENTION_DAYS,
        "notice_days": settings.RETENTION_NOTICE_DAYS,
    }
    return render(request, "site/privacy.html", context)
