"""The routes of the site."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import URLPattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.urls import URLResolver


def routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    """Yield the route of every address, such as `voices/<uuid:voice_pk>/rename`."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route
        else:
            yield from routes(pattern.url_patterns, route)
