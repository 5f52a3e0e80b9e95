"""Filters that write figures as the charts do."""

from __future__ import annotations

from django import template

from apps.site import charts

register = template.Library()

register.filter("thousands", charts.number)
register.filter("as_seconds", charts.seconds)
register.filter("as_dollars", charts.dollars)
