"""Leases: they show that a process was killed in the middle of its work.

A process owns the row that it works on until `lease_until`, and extends this lease while it works. An expired lease
means that the process was killed; the `reconciling` module of the app then ends the work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from django.db import DatabaseError, models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

logger = logging.getLogger(__name__)

# A lease ends when its last three extensions are missing: one may wait 20 s for a locked database, and fail.
ROW_LEASE = timedelta(seconds=60)
RENEW_SECONDS = 15

SERVER_STOPPED = "server_stopped"
"""The error code of work that a killed process did not finish. It can be tried again."""
SERVER_STOPPED_MESSAGE = _("This site stopped before this was finished. Everything done so far is kept. Try again.")


def new_lease() -> datetime:
    """Return the end of a lease that begins now."""
    return timezone.now() + ROW_LEASE


class Leased(models.Model):
    """A row that one process at a time works on."""

    lease_until = models.DateTimeField(_("leased until"), default=new_lease, editable=False)

    class Meta:
        abstract = True


def has_expired() -> models.Q:
    """Return the condition that the lease of a row has expired."""
    return models.Q(lease_until__lt=timezone.now())


async def keep(row: Leased) -> None:
    """Extend the row's lease until cancelled; return when another process has taken the row."""
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        if not await _renew(row):
            return


async def _renew(row: Leased) -> bool:
    until = new_lease()
    try:
        ours = type(row)._default_manager.filter(pk=row.pk, lease_until=row.lease_until)
        is_ours = bool(await ours.aupdate(lease_until=until))
    except DatabaseError:  # A lease survives several failed extensions.
        logger.warning("A lease was not extended", extra={"row": str(row.pk)})
        return True
    row.lease_until = until
    return is_ours


@asynccontextmanager
async def kept(row: Leased) -> AsyncIterator[None]:
    """Extend the row's lease while the block runs."""
    keeping = asyncio.create_task(keep(row))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
