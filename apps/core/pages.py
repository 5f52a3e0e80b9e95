"""Errors on HTML pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.forms import BaseForm
from django.http import HttpResponse

from apps.core.api_errors import known_error
from apps.core.errors import REFUSALS, UserError
from apps.speech.base import AudioError, ProviderError


@contextmanager
def report_refusals_to(report: Callable[[str], object]) -> Iterator[None]:
    """Call `report` with the message of an error that is raised in the block, and continue after the block."""
    try:
        yield
    except REFUSALS as error:
        report(error.message)


@contextmanager
def add_refusals_to(form: BaseForm) -> Iterator[None]:
    """Show the message of an error that is raised in the block at the field that is wrong, or above the whole form."""
    try:
        yield
    except REFUSALS as error:
        field = getattr(error, "field", "")
        form.add_error(field if field in form.fields else None, error.message)


def with_error_status(page: HttpResponse, error: UserError | AudioError | ProviderError) -> HttpResponse:
    """Return `page`, which shows `error`, with the status and the headers that the API would answer."""
    refusal = known_error(error)
    assert refusal is not None  # noqa: S101 - these types are all known
    page.status_code = refusal.status
    for name, value in refusal.headers.items():
        page[name] = value
    return page
