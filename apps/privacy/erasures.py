"""Deletes an account with all its data, here and at providers, and retries until everything is deleted."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django_tasks import task

from apps.accounts.models import User
from apps.accounts.services import lock_user
from apps.core.errors import StorageDownError, UserError
from apps.core.mail import mail
from apps.core.personal_data import IN_USE, Erased, NotYetError, PersonalData, Retained, all_personal_data
from apps.privacy.models import Erasure
from apps.speech.base import RECORDINGS_UNAVAILABLE

logger = logging.getLogger(__name__)

ERASURE_RETRY_DELAYS = [
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(hours=12),
]
IN_USE_RETRY_DELAY = timedelta(seconds=20)
# A try takes less time: after the lease, its worker counts as killed.
ERASURE_LEASE = timedelta(minutes=15)


def request_erasure(*, user: User) -> Erasure:
    """Block the account and its voices from now on, and delete everything after the cooling-off period."""
    due_at = timezone.now() + timedelta(days=settings.ERASURE_COOLING_OFF_DAYS)
    try:
        with transaction.atomic():
            lock_user(pk=user.pk)
            erasure = Erasure.objects.create(user=user, due_at=due_at, next_try_at=due_at)
            for data in all_personal_data():
                data.suspend(user)
            if not settings.ERASURE_COOLING_OFF_DAYS:
                enqueue_try(erasure)
    except IntegrityError:
        text = _("This account is already being deleted.")
        raise UserError("erasure_under_way", text, status=409) from None
    logger.info("Erasure requested", extra={"erasure": str(erasure.pk), "user": user.pk})
    return erasure


def mail_confirmation(*, erasure: Erasure, link: str) -> None:
    """Mail the person about the deletion and, during the cooling-off period, the way to cancel it."""
    user = erasure.user
    if user is not None:
        mail(
            to=user.email,
            subject=_("Your account"),
            template="privacy/email/erasure_requested.txt",
            erasure=erasure,
            link=link,
        )


def cancel_erasure(*, erasure: Erasure) -> None:
    """Cancel the erasure and unblock the account. Raises UserError if the deletion has begun."""
    with transaction.atomic():
        if erasure.user_id is not None:
            lock_user(pk=erasure.user_id)
        waiting = Erasure.objects.select_for_update().filter(pk=erasure.pk, state=Erasure.State.WAITING)
        row = waiting.filter(due_at__gt=timezone.now()).first()
        user = row.user if row else None
        if row is None or user is None:
            raise UserError("erasure_begun", _("The deletion has begun and can no longer be cancelled."), status=409)
        row.delete()
        for data in all_personal_data():
            data.resume(user)
    logger.info("Erasure cancelled", extra={"user": user.pk})


def enqueue_try(erasure: Erasure) -> None:
    """Queue the next try. If its worker is killed, another try follows when the lease has expired."""
    Erasure.objects.filter(pk=erasure.pk).update(
        next_try_at=timezone.now() + ERASURE_LEASE, state=Erasure.State.RUNNING
    )
    erase_account.enqueue(str(erasure.pk))


def enqueue_due_tries() -> None:
    """Queue a try of each erasure whose `next_try_at` is over."""
    for erasure in Erasure.objects.exclude(state=Erasure.State.DONE).filter(next_try_at__lte=timezone.now()):
        with transaction.atomic():
            enqueue_try(erasure)


def retry_now(erasures: QuerySet[Erasure]) -> int:
    """Queue a try of each of `erasures` that has begun; return their number."""
    begun = list(erasures.filter(state=Erasure.State.RUNNING))
    for erasure in begun:
        enqueue_try(erasure)
    return len(begun)


@task(queue_name="erasures")
def erase_account(erasure_pk: str) -> None:
    """Try to delete everything that is left. Failed deletions are retried with growing delays."""
    running = Erasure.objects.filter(pk=erasure_pk, state=Erasure.State.RUNNING)
    erasure = running.select_related("user").first()
    if erasure is None or erasure.user is None:
        return
    problem = _erase(erasure, erasure.user)
    if not problem:
        logger.info("Erasure done", extra={"erasure": erasure_pk})
        return
    erasure.tries += problem != IN_USE
    erasure.error_code = problem
    erasure.next_try_at = _next_try(erasure)
    erasure.save(update_fields=["tries", "error_code", "next_try_at"])
    logger.warning("Erasure continues later", extra={"erasure": erasure_pk, "code": problem, "tries": erasure.tries})


def _next_try(erasure: Erasure) -> datetime:
    delay = ERASURE_RETRY_DELAYS[min(erasure.tries, len(ERASURE_RETRY_DELAYS)) - 1]
    return timezone.now() + (IN_USE_RETRY_DELAY if erasure.error_code == IN_USE else delay)


def _erase(erasure: Erasure, user: User) -> str:
    """Delete everything that can be deleted now; return the code of the first obstacle, or "" if everything is deleted.

    The row of the user is deleted last, because the receipt is sent to its address.
    """
    problems = [_erase_app_data(data, erasure, user) for data in all_personal_data()]
    problem = next(filter(None, problems), "")
    if not problem:
        _finish(erasure, user)
    return problem


def _erase_app_data(data: PersonalData, erasure: Erasure, user: User) -> str:
    try:
        for erased in data.erase(user):
            _add_to_receipt(erasure, erased)
    except NotYetError as error:
        return error.code
    except StorageDownError:
        logger.exception("The storage of recordings does not answer an erasure")
        return RECORDINGS_UNAVAILABLE
    return ""


def _add_to_receipt(erasure: Erasure, line: Erased | Retained) -> None:
    """Store a line of the receipt as soon as it is true. Another worker may be adding lines as well."""
    with transaction.atomic():
        written = Erasure.objects.select_for_update().get(pk=erasure.pk)
        erasure.receipt, erasure.kept = written.receipt, written.kept
        if isinstance(line, Erased):
            erasure.receipt.append(_line(line.what, line.count))
        else:
            until = line.until.isoformat(timespec="seconds")
            erasure.kept.append({"what": line.what, "until": until, "reference": line.reference})
        erasure.save(update_fields=["receipt", "kept"])


def _line(what: str, count: int) -> dict[str, Any]:
    return {"at": timezone.now().isoformat(timespec="seconds"), "what": what, "count": count}


def _finish(erasure: Erasure, user: User) -> None:
    """Mail the receipt, delete the user, and close the row."""
    erasure.receipt.append(_line(_("Account, with its name and email addresses"), 1))
    erasure.state, erasure.error_code = Erasure.State.DONE, ""
    erasure.done_at, erasure.next_try_at = timezone.now(), None
    mail(
        to=user.email, subject=_("Your account is deleted"), template="privacy/email/erasure_done.txt", erasure=erasure
    )
    with transaction.atomic():
        user.delete()
        erasure.user = None
        erasure.save()
    _truncate_journal()


def _truncate_journal() -> None:
    """Remove deleted data from SQLite's journal, where it would stay until the journal is full."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
