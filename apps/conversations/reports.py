"""Reports of abuse: from anybody, to the operator."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.core.files.base import File
from django.db import transaction
from django.utils.translation import gettext as _
from django_tasks import task

from apps.accounts.models import User
from apps.conversations.models import AbuseReport, Turn
from apps.core.errors import UserError
from apps.core.mail import mail
from apps.core.rate_limits import Limit, network_of
from apps.voices.models import VoiceProfile
from apps.voices.services import suspend_voice

logger = logging.getLogger(__name__)

KEPT_FOR = timedelta(days=365)
MAX_FILE_BYTES = 20_000_000
BY_ADDRESS = Limit("report", 5, 3600)
BY_ALL = Limit("all reports", 200, 24 * 3600)
AN_ID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


def report_abuse(
    *, address: str, text: str, about: str = "", contact: str = "", file: File[bytes] | None = None
) -> AbuseReport:
    """Store what somebody at `address`, an IP address that is not kept, reports, and have the operator told.

    Raises UserError (429) where too much comes from there, or from everywhere.
    """
    _count(address)
    turn, voice = _found(f"{about} {text}")
    with transaction.atomic():
        report = AbuseReport.objects.create(
            about=about, text=text, contact=contact, file=file or "", turn=turn, voice=voice
        )
        if settings.OPERATOR_EMAIL:
            mail_report.enqueue(str(report.pk))
    logger.warning("Abuse was reported", extra={"report": str(report.pk)})
    return report


def _count(address: str) -> None:
    if not settings.LIMITS:
        return
    wait = BY_ADDRESS.take(network_of(address)) or BY_ALL.take("")
    if wait:
        text = _("Too many reports have come from here. Try again later, or write to the operator of this site.")
        raise UserError("too_many_reports", text, status=429, headers={"Retry-After": str(wait)})


def _found(words: str) -> tuple[Turn | None, VoiceProfile | None]:
    """Return the turn and the voice that an id in `words` leads to."""
    ids = [UUID(each) for each in AN_ID.findall(words)]
    turn = Turn.objects.filter(pk__in=ids).select_related("voice").first()
    voice = turn.voice if turn else VoiceProfile.objects.filter(pk__in=ids).first()
    return turn, voice


def suspend_reported(report: AbuseReport, *, by: User) -> bool:
    """Suspend the voice that the report is about; False where it leads to none."""
    if report.voice is None:
        return False
    suspend_voice(voice=report.voice, note=_("Report %(reference)s.") % {"reference": report.reference}, by=by)
    return True


def delete_report(report: AbuseReport) -> None:
    """Delete a report with its file."""
    if report.file:
        report.file.storage.delete(str(report.file.name))
    report.delete()


@task()
def mail_report(report_pk: str) -> None:
    """Tell the operator."""
    report = AbuseReport.objects.filter(pk=report_pk).first()
    if report is not None:
        subject = _("Report of abuse %(reference)s") % {"reference": report.reference}
        mail(
            to=settings.OPERATOR_EMAIL, subject=subject, template="conversations/email/abuse_report.txt", report=report
        )
