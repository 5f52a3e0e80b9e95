"""The page that says what is kept of people, where it goes and how long, out of the settings in force."""

from __future__ import annotations

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
from apps.voices.models import VoiceProfile


@dataclass(frozen=True)
class Recipient:
    """Who gets something of what people say, besides this site; `host` is where it is sent."""

    name: str
    host: str
    gets: list[str | Promise]


def recipients() -> list[Recipient]:
    """Return the services that are switched on; none where everything is done on this machine."""
    openai, elevenlabs = "openai", "elevenlabs"
    hears, thinks = availability.engines_of("hear"), availability.engines_of("think")
    spoken_consent = hears if settings.CONSENT == "spoken" else []
    of_openai = [
        (hears, _("the sound of your questions, to write down what you said")),
        (
            spoken_consent,
            _("the recording of your consent, with the name that you say in it, to write down what you said"),
        ),
        (thinks, _("what you and the assistant said in a conversation, to write the next answer")),
    ]
    of_elevenlabs = [
        ([settings.TEXT_TO_SPEECH], _("the recordings that your voice is made from, and its name, to clone it")),
        ([_speaking()], _("the text of answers, to speak it in your voice")),
    ]
    of_sentry = [
        (["sentry"], _("where in the program a fault of this site was, and nothing that anybody said or wrote"))
    ]
    known = [
        ("OpenAI", settings.OPENAI_BASE_URL, "api.openai.com", openai, of_openai),
        ("ElevenLabs", settings.ELEVENLABS_BASE_URL, "api.elevenlabs.io", elevenlabs, of_elevenlabs),
        ("Sentry", settings.SENTRY_DSN, "", "sentry", of_sentry if settings.SENTRY_DSN else []),
    ]
    found = [
        Recipient(name, urlsplit(address or "").hostname or host, [what for users, what in uses if engine in users])
        for name, address, host, engine, uses in known
    ]
    return [recipient for recipient in found if recipient.gets]


def _speaking() -> str:
    """Return who speaks: a voice does so through the service that made it, even where new ones are made elsewhere."""
    provider = VoiceProfile.Provider.ELEVENLABS
    if settings.ELEVENLABS_API_KEY and VoiceProfile.objects.filter(provider=provider).exists():
        return provider
    return str(settings.TEXT_TO_SPEECH)


@login_not_required
@require_safe
def privacy(request: HttpRequest) -> HttpResponse:
    """Privacy, and the schedule of what is kept how long."""
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
