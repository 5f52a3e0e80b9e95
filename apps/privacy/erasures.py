"""Deletes an account with all that belongs to it, here and at providers, however often that has to be tried."""

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
from apps.core.errors import UserError
from apps.core.mail import mail
from apps.core.personal_data import IN_USE, Erased, NotYetError, PersonalData, Retained, all_personal_data
from apps.privacy.models import Erasure

logger = logging.getLogger(__name__)

RETRY_DELAYS = [
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(hours=12),
]
IN_USE_DELAY = timedelta(seconds=20)
# A try takes less; behind it, its worker was killed.
LEASE = timedelta(minutes=15)


def request_erasure(*, user: User) -> Erasure:
    """Let nobody use the account or its voices from now on, and have all of it deleted when the cooling off is over."""
    due_at = timezone.now() + timedelta(days=settings.ERASURE_COOLING_OFF_DAYS)
    try:
        with transaction.atomic():
            erasure = Erasure.objects.create(user=user, due_at=due_at, next_try_at=due_at)
            for data in all_personal_data():
                data.suspend(user)
            if not settings.ERASURE_COOLING_OFF_DAYS:
                try_now(erasure)
    except IntegrityError:
        text = _("The deletion of this account is under way already.")
        raise UserError("erasure_under_way", text, status=409) from None
    logger.info("Erasure asked for", extra={"erasure": str(erasure.pk), "user": user.pk})
    return erasure


def tell_of_request(*, erasure: Erasure, link: str) -> None:
    """Mail the person what is going to happen and, as long as it can be, how to take it back."""
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
    """Take the request back: everything is as it was. Raises UserError where the deletion has begun."""
    with transaction.atomic():
        waiting = Erasure.objects.select_for_update().filter(pk=erasure.pk, state=Erasure.State.WAITING)
        row = waiting.filter(due_at__gt=timezone.now()).first()
        user = row.user if row else None
        if row is None or user is None:
            raise UserError("erasure_begun", _("The deletion has begun, and cannot be taken back."), status=409)
        row.delete()
        for data in all_personal_data():
            data.resume(user)
    logger.info("Erasure taken back", extra={"user": user.pk})


def try_now(erasure: Erasure) -> None:
    """Have the next try made by the worker; where that is killed, another one follows when the lease is over."""
    Erasure.objects.filter(pk=erasure.pk).update(next_try_at=timezone.now() + LEASE, state=Erasure.State.RUNNING)
    erase_account.enqueue(str(erasure.pk))


def try_those_due() -> None:
    """Have the worker go on with every erasure whose time it is."""
    for erasure in Erasure.objects.exclude(state=Erasure.State.DONE).filter(next_try_at__lte=timezone.now()):
        with transaction.atomic():
            try_now(erasure)


def run_again(erasures: QuerySet[Erasure]) -> int:
    """Have those of `erasures` tried now that have begun, and return how many they are."""
    begun = list(erasures.filter(state=Erasure.State.RUNNING))
    for erasure in begun:
        try_now(erasure)
    return len(begun)


@task()
def erase_account(erasure_pk: str) -> None:
    """Try to delete what there still is. What could not be deleted now is tried again, later and later."""
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
    logger.warning("Erasure goes on later", extra={"erasure": erasure_pk, "code": problem, "tries": erasure.tries})


def _next_try(erasure: Erasure) -> datetime:
    delay = RETRY_DELAYS[min(erasure.tries, len(RETRY_DELAYS)) - 1]
    return timezone.now() + (IN_USE_DELAY if erasure.error_code == IN_USE else delay)


def _erase(erasure: Erasure, user: User) -> str:
    """Delete what can be deleted; return what is in the way of the rest, or "" when all is gone.

    The row of the user goes last, when nothing else is left: until then there is an address to send the receipt to.
    """
    problems = [_erase_of(data, erasure, user) for data in all_personal_data()]
    problem = next(filter(None, problems), "")
    if not problem:
        _finish(erasure, user)
    return problem


def _erase_of(data: PersonalData, erasure: Erasure, user: User) -> str:
    try:
        for erased in data.erase(user):
            _note(erasure, erased)
    except NotYetError as error:
        return error.code
    return ""


def _note(erasure: Erasure, line: Erased | Retained) -> None:
    """Write a line of the receipt as soon as it is true; another worker may be at it as well."""
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
    """Mail the receipt, forget the address, and close the row."""
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
    _empty_journal()


def _empty_journal() -> None:
    """Take what was written before out of SQLite's journal, where it would stand until that is full."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
