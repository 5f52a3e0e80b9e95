"""Repairs what killed processes left behind.

Each app registers the repairs that it can find (`core.repairs`). The condition of a repair can be met by only one of
several reconcilers, and never while a process is working: so any number of reconcilers can run at any time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from apps.core.repairs import Repair, sources
from apps.speech.base import ProviderError

logger = logging.getLogger(__name__)


def planned() -> Iterator[Repair]:
    """Yield the repairs that are due, without carrying them out."""
    for source in sources():
        yield from source.find()


def reconcile(*, with_files: bool = True) -> Iterator[tuple[Repair, str]]:
    """Carry out all repairs; yield each with "done", "no longer needed" or the code of the error.

    Without `with_files` the folder of recordings, which may be large, is not searched.
    """
    for source in sources(with_slow=with_files):
        try:
            for repair in source.find():
                outcome = _outcome(repair)
                logger.warning("Left behind: %s (%s)", repair, outcome)
                yield repair, outcome
        except Exception:  # A failure of one app must not stop the repairs of the others.
            logger.exception("Repairs could not be carried out", extra={"part": source.name})


def _outcome(repair: Repair) -> str:
    try:
        return "done" if repair.carry_out() else "no longer needed"
    except ProviderError as error:
        return error.code
