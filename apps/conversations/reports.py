"""Stores reports of abuse, notifies the operator, and suspends the voices that they are about."""

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
from apps.voices.suspension import suspend_voice

logger = logging.getLogger(__name__)

REPORT_RETENTION = timedelta(days=365)
MAX_FILE_BYTES = 20_000_000
NETWORK_LIMIT = Limit("report", 5, 3600)
DAY_SECONDS = 24 * 3600
# A flood from many addresses must not silence everybody else. So it costs the others only their files and their mails:
# words, of which even 20,000 reports fill little of the disk, are stored nevertheless, and wait in the admin.
FILE_LIMIT = Limit("files of reports", 200, DAY_SECONDS)
MAIL_LIMIT = Limit("mails of reports", 50, DAY_SECONDS)
TOTAL_LIMIT = Limit("all reports", 20_000, DAY_SECONDS)
ID_PATTERN = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


def report_abuse(
    *, address: str, text: str, about: str = "", contact: str = "", file: File[bytes] | None = None
) -> AbuseReport:
    """Store a report and mail it to the operator, unless MAIL_LIMIT is reached.

    `address` is the sender's IP address, which is not stored. Raises UserError (429) if too many reports come from its
    network, or too many files or reports from everywhere.
    """
    _require_within_limits(address, with_file=file is not None)
    turn, voice = _subject_of(f"{about} {text}")
    with transaction.atomic():
        report = AbuseReport.objects.create(
            about=about, text=text, contact=contact, file=file or "", turn=turn, voice=voice
        )
        if settings.OPERATOR_EMAIL and not (settings.LIMITS and MAIL_LIMIT.take("")):
            mail_report.enqueue(str(report.pk))
    logger.warning("Abuse was reported", extra={"report": str(report.pk)})
    return report


def _require_within_limits(address: str, *, with_file: bool) -> None:
    if not settings.LIMITS:
        return
    if wait := NETWORK_LIMIT.take(network_of(address)):
        text = _("Too many reports have come from here. Try again later, or write to the operator of this site.")
        raise _too_many("too_many_reports", text, wait)
    if with_file and (wait := FILE_LIMIT.take("")):
        text = _(
            "Too many files have been sent today. Send your report without the file, and say where it can be found."
        )
        raise _too_many("too_many_files", text, wait)
    if wait := TOTAL_LIMIT.take(""):
        text = _("Too many reports have been sent today. Try again tomorrow, or write to the operator of this site.")
        raise _too_many("too_many_reports", text, wait)


def _too_many(code: str, text: str, wait: int) -> UserError:
    return UserError(code, text, status=429, headers={"Retry-After": str(wait)})


def _subject_of(words: str) -> tuple[Turn | None, VoiceProfile | None]:
    """Return the turn and the voice that have an id in `words`."""
    ids = [UUID(each) for each in ID_PATTERN.findall(words)]
    turn = Turn.objects.filter(pk__in=ids).select_related("voice").first()
    voice = turn.voice if turn else VoiceProfile.objects.filter(pk__in=ids).first()
    return turn, voice


def suspend_reported(report: AbuseReport, *, by: User) -> bool:
    """Suspend the voice that the report is about. Return False if no voice is known."""
    if report.voice is None:
        return False
    suspend_voice(voice=report.voice, note=_("Report %(reference)s.") % {"reference": report.reference}, by=by)
    return True


def delete_report(report: AbuseReport) -> None:
    """Delete a report with its file."""
    if report.file:
        report.file.storage.delete(str(report.file.name))
    report.delete()


@task(priority=1)  # Before the exports, which take longer.
def mail_report(report_pk: str) -> None:
    """Mail the report to the operator."""
    report = AbuseReport.objects.filter(pk=report_pk).first()
    if report is not None:
        subject = _("Report of abuse %(reference)s") % {"reference": report.reference}
        mail(
            to=settings.OPERATOR_EMAIL,
            subject=subject,
            template="conversations/email/abuse_report.txt",
            report=report,
            most_mails=MAIL_LIMIT.attempts,
        )
