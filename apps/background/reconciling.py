"""Repairs what killed processes left behind.

Each app registers the repairs that it can find (`core.repairs`). The condition of a repair can be met by only one of
several reconcilers, and never while a process is working: so any number of reconcilers can run at any time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from apps.core.repairs import Repair, Source, quick_sources, sources, sources_on_request
from apps.speech.base import ProviderError

logger = logging.getLogger(__name__)


def planned() -> Iterator[Repair]:
    """Yield the repairs that are due, without carrying them out."""
    yield from _found_by(sources())


def planned_on_request() -> Iterator[Repair]:
    """Yield the deletions of what this database does not know, without carrying them out."""
    yield from _found_by(sources_on_request())


def reconcile(*, with_files: bool = True) -> Iterator[tuple[Repair, str]]:
    """Carry out all repairs; yield each with "done", "no longer needed" or the code of the error.

    Without `with_files` the folder of recordings, which may be large, is not searched.
    """
    yield from _carry_out(sources(with_slow=with_files))


def reconcile_quickly() -> Iterator[tuple[Repair, str]]:
    """Carry out the repairs that people wait for and that are found at once; yield the same as `reconcile`."""
    yield from _carry_out(quick_sources())


def delete_unknown() -> Iterator[tuple[Repair, str]]:
    """Carry out what `planned_on_request` yields; yield the same as `reconcile`."""
    yield from _carry_out(sources_on_request())


def _found_by(chosen: list[Source]) -> Iterator[Repair]:
    for source in chosen:
        with _failures_logged(source):
            yield from source.find()


def _carry_out(chosen: list[Source]) -> Iterator[tuple[Repair, str]]:
    for source in chosen:
        with _failures_logged(source):
            for repair in source.find():
                outcome = _outcome(repair)
                logger.warning("Left behind: %s (%s)", repair, outcome)
                yield repair, outcome


@contextmanager
def _failures_logged(source: Source) -> Iterator[None]:
    """Log what is raised in the block, and continue: a failure of one app must not stop the repairs of the others."""
    try:
        yield
    except Exception:
        logger.exception("Repairs could not be carried out", extra={"part": source.name})


def _outcome(repair: Repair) -> str:
    try:
        return "done" if repair.carry_out() else "no longer needed"
    except ProviderError as error:
        return error.code
