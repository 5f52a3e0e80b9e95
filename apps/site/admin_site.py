"""The site of the admin, with the figures of the whole site on its front page."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from apps.accounts.admin_site import SecondFactorAdminSite
from apps.conversations.models import Turn
from apps.site import charts, figures
from apps.site.storage_use import storage_use
from apps.usage import metering
from apps.usage.limits import day_of
from apps.usage.models import UsageRecord

FAILURES_SHOWN = 12


class FrontPageAdminSite(SecondFactorAdminSite):
    """The admin. Its index begins with figures, which all staff see: they contain no word and no name."""

    index_template = "site/admin_index.html"

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().index(request, {**(extra_context or {}), **_context(request)})


def _context(request: HttpRequest) -> dict[str, Any]:
    period = figures.period()
    kinds = dict(UsageRecord.Kind.choices)
    return {
        "period": period,
        "charts": charts.of(period),
        "failures": _failures(period, with_links=request.user.has_perm("conversations.view_turn")),
        "spend": [(kinds[kind], dollars) for kind, dollars in period.dollars_by_kind.items()],
        "unpriced": metering.unpriced(),
        "background": figures.background(),
        "breakers": figures.breakers(),
        "storage": storage_use(),
        "model_ends": figures.model_ends(),
        "today": day_of(timezone.now()),
    }


def _failures(period: figures.Period, *, with_links: bool) -> list[dict[str, Any]]:
    """Return the most frequent failures, each with its share of all and the address of the list of its turns."""
    stages = dict(Turn.Stage.choices)
    turns = reverse("admin:conversations_turn_changelist")
    begin = f"{period.days[0].day}T00:00Z"
    return [
        {
            "stage": stages.get(stage, stage or "–"),
            "code": code or "–",
            "count": count,
            "percent": 100 * count / period.failed,
            "address": f"{turns}?failed_stage__exact={stage}&error_code__exact={code}&created_at__gte={begin}"
            if with_links
            else "",
        }
        for stage, code, count in period.failures[:FAILURES_SHOWN]
    ]
