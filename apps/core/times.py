"""Times for people. The server writes them in UTC and says so; static/js/times.js shows them in the visitor's zone."""

from __future__ import annotations

from datetime import UTC, date, datetime

from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

DAY = "j F Y"
FULL = f"{DAY}, H:i"
FORMATS = {"full": FULL, "day": DAY, "time": "H:i", "recent": FULL}


def utc_text(moment: datetime, style: str = "full") -> str:
    """Return a moment as text that names UTC, with `style` "day" or "time" only its day or only its time."""
    return f"{date_format(moment.astimezone(UTC), FORMATS[style])} UTC"


def time_element(moment: datetime | date, style: str = "full", css: str = "") -> SafeString:
    """Return a `<time>`, with `style` as in `utc_text` and `css` as its classes.

    With `style` "recent", the script leaves out the day if it is the visitor's today.
    A date is a day in UTC, whatever the visitor's zone, such as a day of the usage.
    """
    classes = format_html(' class="{}"', css) if css else ""
    if not isinstance(moment, datetime):
        return format_html('<time datetime="{}"{}>{}</time>', moment.isoformat(), classes, date_format(moment, DAY))
    iso = moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = utc_text(moment, style)
    return format_html('<time datetime="{}" data-style="{}"{}>{}</time>', iso, style, classes, text)
