"""The privacy page: which personal data is kept, how long, and who receives it, according to the current settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from apps.core.personal_data import all_personal_data
from apps.speech import availability
from apps.speech.addresses import host_of, service_name
from apps.speech.base import ELEVENLABS, ELEVENLABS_LIVE, SERVER, ProviderError, Stage
from apps.voices.models import VoiceProfile


@dataclass(frozen=True)
class Recipient:
    """A service that receives personal data from this site. `host` is the host name that the data is sent to.

    A server that is not known by name is named by its host.
    """

    name: str | Promise
    host: str
    gets: Sequence[str | Promise]


def recipients() -> list[Recipient]:
    """Return the services that are in use; none if all engines are embedded."""
    found: dict[tuple[str, str], list[str | Promise]] = {}
    for engine, stage, data in _uses():
        if address := availability.address_of(engine, stage):
            name = recipient_name(engine, address)
            found.setdefault((name, host_of(address)), []).append(data)
    if settings.SENTRY_DSN:
        data = _("the place in the program where an error occurred, without anything that people said or wrote")
        found["Sentry", host_of(settings.SENTRY_DSN)] = [data]
    return [Recipient(name, host, gets) for (name, host), gets in found.items()]


def recipient_name(engine: str, address: str) -> str:
    """Return the name of the service that `engine` uses at `address`, or else its host."""
    return "ElevenLabs" if engine in (ELEVENLABS, ELEVENLABS_LIVE) else service_name(address)


def messengers() -> list[Recipient]:
    """Return the servers that carry or get the messages of this site. They get no sound and no conversation."""
    webhooks = [
        _("only if you add a webhook: that a voice is ready or has failed or a turn is over, with ids, codes and times")
    ]
    found = [Recipient(_("The servers of your own webhooks"), "", webhooks)]
    if settings.MAIL_IS_DELIVERED:
        mails = [_("your email address, and the mails that this site sends you, which contain your user name")]
        if settings.OPERATOR_EMAIL:
            mails.append(_("reports of abuse on their way to the operator"))
        found.insert(0, Recipient(_("The mail server"), settings.EMAIL_HOST, mails))
    return found


def _uses() -> Iterator[tuple[str, Stage, Promise]]:
    """Yield each engine in use with its stage and the data that it gets there."""
    for engine in availability.engines_of("hear"):
        yield engine, "hear", _("the recordings of your questions, to transcribe them")
        if settings.CONSENT == "spoken":
            yield engine, "hear", _("the recording of your consent, which contains your name, to transcribe it")
    for engine in availability.live_engines():
        yield engine, "hear", _("what you say in a live conversation, to transcribe it while you speak")
    for engine in availability.engines_of("think"):
        yield engine, "think", _("the text of your conversation and its persona, to write the next answer")
    for engine in availability.engines_of("clone"):
        if engine != SERVER:
            yield engine, "clone", _("the recordings and the name of your voice, to clone it")
    for engine in _storing_consents():
        yield engine, "clone", _("the recording of your consent, if it asks for one")
    for engine in speaking():
        # With other dialects, the server got the recordings of its older voices when they were made.
        if engine == SERVER and (settings.TEXT_TO_SPEECH == SERVER or settings.VOICE_DIALECT == "reference"):
            yield engine, "speak", _("a part of your recordings and the words in it, to speak in your voice")
        yield engine, "speak", _("every text that is spoken in your voice, such as the answers")


def speaking() -> list[str]:
    """Return the engines that speak. Voices speak where they were made, even if new voices are made elsewhere."""
    makers = VoiceProfile.objects.order_by().values_list("provider", flat=True).distinct()
    return list(dict.fromkeys([settings.TEXT_TO_SPEECH, *filter(_is_configured, makers)]))


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
        "messengers": messengers(),
        "schedule": [kept for data in all_personal_data() for kept in data.schedule()],
        "operator_name": settings.OPERATOR_NAME,
        "operator_email": settings.OPERATOR_EMAIL,
        "cooling_off_days": settings.ERASURE_COOLING_OFF_DAYS,
        "retention_days": settings.RETENTION_DAYS,
        "notice_days": settings.RETENTION_NOTICE_DAYS,
    }
    return render(request, "site/privacy.html", context)
