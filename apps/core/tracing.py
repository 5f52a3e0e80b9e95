"""Spans of OpenTelemetry, if traces are on: OTEL_EXPORTER_OTLP_ENDPOINT. No span contains what a person said or typed.

The SDK is imported, and its thread started, by the web server only; without traces, nowhere.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

Value = str | bool | int | float | list[str]
Note = Callable[..., None]
"""Adds attributes to a span, named `voiceclone.…`; empty values are left out. `error_code` marks the span as failed."""

SERVICE = "voiceclone"


def start() -> None:
    """Import what traces need, if they are on: within the first turn, it would delay the answer."""
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        _tracer()


@contextmanager
def span(name: str, **attributes: Value | None) -> Iterator[Note]:
    """Trace the block. It is the parent of the spans that begin within it, in the tasks that it starts as well.

    Of an exception, the span gets the code, or else the type, and never the text. One that is cancelled has not failed.
    """
    if not settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        yield _note_nothing
        return
    with _tracer().start_as_current_span(name, record_exception=False, set_status_on_exception=False) as current:
        note = partial(_note, current)
        note(**attributes)
        try:
            yield note
        except Exception as error:
            note(error_code=getattr(error, "code", "") or type(error).__name__)
            raise


def _note_nothing(**_attributes: Value | None) -> None:
    pass


def _note(span: Span, **attributes: Value | None) -> None:
    from opentelemetry.trace import StatusCode

    for name, value in attributes.items():
        if value is not None and value not in ("", []):
            span.set_attribute(f"{SERVICE}.{name}", value)
    if code := attributes.get("error_code"):
        span.set_attribute("error.type", str(code))
        span.set_status(StatusCode.ERROR)


@cache
def _tracer() -> Tracer:
    """Return the tracer of this process. The SDK reads OTEL's own variables: headers, sampling, the service's name."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    ours = {"service.name": SERVICE, "service.version": settings.RELEASE, "host.name": socket.gethostname()}
    provider = TracerProvider(resource=Resource.create(ours).merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer(SERVICE)
