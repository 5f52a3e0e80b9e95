"""Template context for the notices about services that are down."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from apps.core import readiness
from apps.core.storage import media
from apps.speech import availability
from apps.speech.base import ProviderError
from apps.speech.local.progress import Progress


def outages(request: HttpRequest) -> dict[str, Any]:
    """Return the context `outages`. Its properties are evaluated only when a template uses them."""
    return {"outages": Outages()}


class Outages:
    """The current outages. The templates describe what still works."""

    @property
    def cannot_store(self) -> bool:
        return not readiness.has_room()

    @property
    def cannot_reach_recordings(self) -> bool:
        return media().is_known_to_be_down()

    @property
    def missing_engines(self) -> ProviderError | None:
        """Why embedded engines of this site lack their weights: `engine_loading` or `models_missing`; else None."""
        try:
            availability.require_all_weights()
        except ProviderError as error:
            return error
        return None

    @property
    def fetching(self) -> Progress | None:
        return availability.fetching()

    @property
    def cannot_talk(self) -> bool:
        return not (availability.is_working("think") and availability.is_working("speak"))

    @property
    def cannot_hear(self) -> bool:
        return not availability.is_working("hear")

    @property
    def cannot_clone(self) -> bool:
        return not availability.is_working("clone")
