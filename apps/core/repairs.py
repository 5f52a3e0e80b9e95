"""The contract for apps whose killed processes leave unfinished work: how to find and repair it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Repair:
    """A single repair: its subject, the action in words, and the function that carries it out.

    `carry_out` returns whether the repair was still needed. It may raise ProviderError: the next run then tries again.
    """

    subject: str
    action: str
    carry_out: Callable[[], bool]

    def __str__(self) -> str:
        return f"{self.subject}: {self.action}"


@dataclass(frozen=True, slots=True)
class Source:
    """Finds the repairs of one kind.

    A quick source asks the database once, and runs every few seconds; a slow one looks through a whole folder, and runs
    once a day. What a source on request finds may still be needed: only the operator can know.
    """

    name: str
    find: Callable[[], Iterator[Repair]]
    is_quick: bool
    is_slow: bool
    is_on_request: bool


_sources: list[Source] = []


def register(
    name: str,
    find: Callable[[], Iterator[Repair]],
    *,
    is_quick: bool = False,
    is_slow: bool = False,
    is_on_request: bool = False,
) -> None:
    """Include the repairs that `find` yields; an app calls this in `AppConfig.ready()`."""
    _sources.append(Source(name, find, is_quick, is_slow, is_on_request))


def sources(*, with_slow: bool = True) -> list[Source]:
    """Return the registered sources that need no request, in the order of INSTALLED_APPS."""
    return [source for source in _sources if not source.is_on_request and (with_slow or not source.is_slow)]


def quick_sources() -> list[Source]:
    return [source for source in _sources if source.is_quick]


def sources_on_request() -> list[Source]:
    return [source for source in _sources if source.is_on_request]
