"""Refusals on HTML pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.http import HttpResponse

from apps.core.api_errors import known_error
from apps.core.errors import REFUSALS, UserError
from apps.speech.base import AudioError, ProviderError


@contextmanager
def told_on_page(tell: Callable[[str], object]) -> Iterator[None]:
    """Call `tell` with the message of what is refused or fails inside, and go on behind the block."""
    try:
        yield
    except REFUSALS as error:
        tell(error.message)


def as_refused(page: HttpResponse, error: UserError | AudioError | ProviderError) -> HttpResponse:
    """Return a page that tells `error`, with the status and the headers that the API would answer."""
    refusal = known_error(error)
    assert refusal is not None  # noqa: S101 - It is one for each of these types.
    page.status_code = refusal.status
    for name, value in refusal.headers.items():
        page[name] = value
    return page
