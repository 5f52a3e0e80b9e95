"""Liveness and readiness, for monitoring."""

from __future__ import annotations

from typing import get_args

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.background.queue import is_behind
from apps.core import readiness
from apps.speech import availability
from apps.speech.base import Stage


@login_not_required
def healthz(_request: HttpRequest) -> HttpResponse:
    """Return 200: the process responds."""
    return JsonResponse({"status": "ok"})


@login_not_required
def readyz(_request: HttpRequest) -> HttpResponse:
    """Return 200 if this process can work: it is not shutting down, the database responds and recordings can be stored.

    An engine, a cache or a shared store of recordings that is down or a worker that is behind makes the status
    "degraded", but not the code 503: other processes of the site have the same problem. `fetching` is how far the
    weights of embedded engines are, in percent.
    """
    recordings = {"recordings": readiness.can_keep_recordings()}
    needed = {"database": readiness.database_answers(), "disk": readiness.has_room()}
    helpers = {"cache": readiness.cache_answers(), "worker": needed["database"] and not is_behind()}
    (needed if readiness.keeps_recordings_here() else helpers).update(recordings)
    engines = {stage: availability.is_working(stage) for stage in get_args(Stage)}
    if readiness.is_ending():
        status = "ending"
    elif not all(needed.values()):
        status = "not ready"
    else:
        status = "ready" if all(helpers.values()) and all(engines.values()) else "degraded"
    code = 200 if status in {"ready", "degraded"} else 503
    fetching = availability.fetching()
    answer = {"status": status, **needed, **helpers, "engines": engines}
    if fetching is not None:
        answer["fetching"] = {"percent": fetching.percent, "seconds_left": fetching.seconds_left}
    return JsonResponse(answer, status=code)
