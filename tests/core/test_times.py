"""Times on pages."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from django.template import Context, Template

from apps.core.times import time_element, utc_text

TOKYO = timezone(timedelta(hours=9))
MOMENT = datetime(2026, 11, 29, 23, 5, 30, 250_000, tzinfo=TOKYO)


def rendered(source: str, **values: Any) -> str:
    return Template("{% load i18n times %}" + source).render(Context(values))


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("full", "29 November 2026, 14:05 UTC"),
        ("recent", "29 November 2026, 14:05 UTC"),
        ("day", "29 November 2026 UTC"),
        ("time", "14:05 UTC"),
    ],
)
def test_a_moment_of_any_zone_is_written_in_utc_and_says_so(style: str, text: str) -> None:
    assert utc_text(MOMENT, style) == text
    assert time_element(MOMENT, style) == (
        f'<time datetime="2026-11-29T14:05:30.250Z" data-style="{style}">{text}</time>'
    )


def test_a_day_of_the_usage_is_a_day() -> None:
    assert time_element(date(2026, 3, 2)) == '<time datetime="2026-03-02">2 March 2026</time>'


def test_in_a_template_a_moment_may_be_iso_or_missing() -> None:
    assert rendered("{% time at %}", at="2026-03-02T08:15:00+00:00") == time_element(
        datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
    )
    assert rendered("{% time at %}|{{ at|utc }}", at=None) == "|"
    assert rendered("{{ at|utc:'day' }}", at=MOMENT) == "29 November 2026 UTC"


def test_it_stays_an_element_in_a_translated_sentence_and_escapes_its_class() -> None:
    source = "{% time at 'day' css as day %}{% blocktranslate %}Until {{ day }}.{% endblocktranslate %}"
    assert rendered(source, at=MOMENT, css='"><b>') == (
        'Until <time datetime="2026-11-29T14:05:30.250Z" data-style="day" class="&quot;&gt;&lt;b&gt;">'
        "29 November 2026 UTC</time>."
    )
