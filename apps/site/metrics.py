"""`/metrics` for Prometheus: the counters of all modules, and the current state of the queue and the engines."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.db import Error as DatabaseFailure
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from apps.background import queue
from apps.core import readiness
from apps.site.error_pages import error_for_programs
from apps.speech import availability
from apps.speech.providers.breakers import State

# Set if several processes serve: each writes its counters to files there, and each can return the totals.
MULTIPROCESS_DIR_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "voiceclone_"


@login_not_required
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics to administrators and to clients that send METRICS_TOKEN."""
    if not (_has_token(request) or admin.site.has_permission(request)):
        message = _("Send METRICS_TOKEN as a bearer token, or sign in as an administrator.")
        response = error_for_programs(request, "not_authenticated", message, status=401)
        response["WWW-Authenticate"] = "Bearer"
        return response
    return HttpResponse(_exposition(), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


def _has_token(request: HttpRequest) -> bool:
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    expected = settings.METRICS_TOKEN
    is_equal = secrets.compare_digest(token.strip().encode(), expected.encode())
    return bool(expected) and scheme.lower() == "bearer" and is_equal


def _exposition() -> bytes:
    gauges = CollectorRegistry()
    gauges.register(_StateCollector())
    if MULTIPROCESS_DIR_VARIABLE not in os.environ:
        return generate_latest(REGISTRY) + generate_latest(gauges)
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return generate_latest(shared) + generate_latest(gauges)


class _StateCollector:
    """Reads the current state at each request, in contrast to counters."""

    def collect(self) -> Iterator[Metric]:
        ready = GaugeMetricFamily(f"{PREFIX}ready", "1 while this process accepts work.")
        ready.add_metric([], 0 if readiness.is_ending() or not readiness.has_room() else 1)
        yield ready
        breaker = GaugeMetricFamily(
            f"{PREFIX}breaker_state", "1 for the current state of the breaker.", labels=["engine", "stage", "state"]
        )
        for (engine, stage), each in availability.breakers().items():
            for state in State:
                breaker.add_metric([engine, stage, state], int(each.state == state))
        yield breaker
        try:
            lengths = queue.lengths()
        except DatabaseFailure:
            return  # The lengths are unknown. `/readyz` reports that the database is down.
        length = GaugeMetricFamily(
            f"{PREFIX}task_queue_length", "Background work that is due and waits.", labels=["queue"]
        )
        for name, count in lengths.items():
            length.add_metric([name], count)
        yield length
