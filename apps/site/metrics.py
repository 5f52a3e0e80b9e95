"""What Prometheus reads: what the parts count themselves, and the state of queue and engines when it asks."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error as DatabaseFailure
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from apps.background.queue import waiting_tasks
from apps.core import readiness
from apps.site.error_pages import error_for_programs
from apps.speech import availability
from apps.speech.providers.breakers import State

# Set where several processes serve: each then counts into files there, and any of them answers for all.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
NAMES = "voiceclone_"


@login_not_required
def metrics(request: HttpRequest) -> HttpResponse:
    """The numbers, for administrators and for who knows METRICS_TOKEN."""
    if not (_has_token(request) or getattr(request.user, "is_staff", False)):
        message = _("Send METRICS_TOKEN as a bearer token, or sign in as an administrator.")
        response = error_for_programs(request, "not_authenticated", message, status=401)
        response["WWW-Authenticate"] = "Bearer"
        return response
    return HttpResponse(_exposition(), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


def _has_token(request: HttpRequest) -> bool:
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    wanted = settings.METRICS_TOKEN
    is_right = secrets.compare_digest(token.strip().encode(), wanted.encode())
    return bool(wanted) and scheme.lower() == "bearer" and is_right


def _exposition() -> bytes:
    states = CollectorRegistry()
    states.register(_States())
    if SHARED_FOLDER not in os.environ:
        return generate_latest(REGISTRY) + generate_latest(states)
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return generate_latest(shared) + generate_latest(states)


class _States:
    """What is not counted but looked at."""

    def collect(self) -> Iterator[Metric]:
        ready = GaugeMetricFamily(f"{NAMES}ready", "1 while this process takes on work.")
        ready.add_metric([], 0 if readiness.is_ending() or not readiness.has_room() else 1)
        yield ready
        breaker = GaugeMetricFamily(
            f"{NAMES}breaker_state", "1 for the state that the breaker is in.", labels=["engine", "stage", "state"]
        )
        for (engine, stage), each in availability.breakers().items():
            for state in State:
                breaker.add_metric([engine, stage, state], int(each.state == state))
        yield breaker
        try:
            count = waiting_tasks().count()
        except DatabaseFailure:
            return  # What is not known is left out; `ready` and the page that tells it are for that.
        queue = GaugeMetricFamily(f"{NAMES}task_queue_length", "Background tasks that could run now and wait.")
        queue.add_metric([], count)
        yield queue
