"""Faults of our own, told to Sentry where SENTRY_DSN is set: what was raised and where, and no word of anybody."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured


def start(dsn: str) -> None:
    """Tell Sentry of errors from now on; stop the start where its package is missing or the address makes no sense."""
    try:
        import sentry_sdk
        from sentry_sdk.utils import BadDsn
    except ImportError:
        message = "SENTRY_DSN needs the package sentry-sdk: pip install sentry-sdk, or leave SENTRY_DSN empty."
        raise ImproperlyConfigured(message) from None
    try:
        sentry_sdk.init(
            dsn=dsn,
            send_default_pii=False,
            include_local_variables=False,
            include_source_context=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            before_send=_without_words,
        )
    except BadDsn:
        raise ImproperlyConfigured("The environment variable SENTRY_DSN must be the address of a project.") from None


def _without_words(event: Any, _hint: dict[str, Any]) -> Any:
    """Drop what may repeat a person's words: an error's text, what fills a log line in, addresses and headers."""
    for raised in event.get("exception", {}).get("values", ()):
        raised.pop("value", None)
    entry = event.get("logentry")
    if entry:
        entry.pop("params", None)
        entry.pop("formatted", None)
    method = event.get("request", {}).get("method")
    for name in ("request", "user", "extra", "breadcrumbs"):
        event.pop(name, None)
    if method:
        event["request"] = {"method": method}
    return event
