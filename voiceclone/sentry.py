"""Reports our own errors to Sentry if SENTRY_DSN is set: the type and place of an error, and no personal data."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured


def start(dsn: str, *, release: str) -> None:
    """Report errors to Sentry from now on. Raises ImproperlyConfigured without its package or with a bad `dsn`."""
    try:
        import sentry_sdk
        from sentry_sdk.utils import BadDsn
    except ImportError:
        message = "SENTRY_DSN needs the package sentry-sdk: pip install sentry-sdk, or leave SENTRY_DSN empty."
        raise ImproperlyConfigured(message) from None
    try:
        sentry_sdk.init(
            dsn=dsn,
            release=release,
            send_default_pii=False,
            include_local_variables=False,
            include_source_context=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            before_send=_without_personal_data,
        )
    except BadDsn:
        raise ImproperlyConfigured(
            "The environment variable SENTRY_DSN must be the address of a Sentry project."
        ) from None


def _without_personal_data(event: Any, _hint: dict[str, Any]) -> Any:
    """Remove everything that may contain a person's words: error texts, log arguments, addresses and headers."""
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
