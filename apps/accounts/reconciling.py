"""Puts right what killed processes left behind.

Each app finds its own in `reconciling.py`, as `repairs()`; files that belong to no row are found by `stray_files.py`.
What is found is done with a condition that only one of several reconcilers meets, and that a process which still works
does not: any number may run at once, at any moment.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from apps.speech.base import ProviderError

logger = logging.getLogger(__name__)

MODULE = "reconciling"


@dataclass(frozen=True, slots=True)
class Repair:
    """Something that was left behind: what it is, what is to be done, and what does it.

    `carry_out` returns whether it was still to be done, and may raise ProviderError: then the next run tries again.
    """

    subject: str
    action: str
    carry_out: Callable[[], bool]

    def __str__(self) -> str:
        return f"{self.subject}: {self.action}"


def planned() -> Iterator[Repair]:
    """Yield what there is to do, and do nothing."""
    for module in _modules():
        yield from module.repairs()


def reconcile(*, with_files: bool = True) -> Iterator[tuple[Repair, str]]:
    """Do what there is to do, and yield each with "done", "no longer needed" or the code of what went wrong.

    Without `with_files`, the folder of recordings, which may be large, is not looked through.
    """
    for module in _modules(with_files=with_files):
        try:
            for repair in module.repairs():
                outcome = _outcome(repair)
                logger.warning("Left behind: %s (%s)", repair, outcome)
                yield repair, outcome
        except Exception:  # What one app can not do is no reason to leave the others' undone.
            logger.exception("What was left behind could not be put right", extra={"part": module.__name__})


def _modules(*, with_files: bool = True) -> Iterator[ModuleType]:
    for config in apps.get_app_configs():
        if config.label != "accounts" and config.module and module_has_submodule(config.module, MODULE):
            yield import_module(f"{config.name}.{MODULE}")
    if with_files:
        yield import_module("apps.accounts.stray_files")


def _outcome(repair: Repair) -> str:
    try:
        return "done" if repair.carry_out() else "no longer needed"
    except ProviderError as error:
        return error.code
