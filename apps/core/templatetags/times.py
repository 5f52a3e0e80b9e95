"""Tags for times, as `apps.core.times` writes them. A moment may be ISO 8601; None gives an empty text."""

from __future__ import annotations

from datetime import date, datetime

from django import template
from django.utils.safestring import SafeString

from apps.core.times import time_element, utc_text

register = template.Library()


@register.simple_tag
def time(moment: datetime | date | str | None, style: str = "full", css: str = "") -> SafeString | str:
    """Return the `<time>` of a moment, or of a day in UTC."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return time_element(moment, style, css) if moment else ""


@register.filter
def utc(moment: datetime | None, style: str = "full") -> str:
    """Return a moment as text that names UTC, for places without elements, such as labels."""
    return utc_text(moment, style) if moment else ""
