"""What pages say while a service is down."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from apps.core import readiness
from apps.speech import availability


def outages(request: HttpRequest) -> dict[str, Any]:
    """Tell templates what does not work now, for those who are signed in; it is looked at only where it is shown."""
    return {"outages": Outages()}


class Outages:
    """What cannot be done now. Templates say what still can."""

    @property
    def can_not_store(self) -> bool:
        return not readiness.has_room()

    @property
    def can_not_talk(self) -> bool:
        return not (availability.is_working("think") and availability.is_working("speak"))

    @property
    def can_not_hear(self) -> bool:
        return not availability.is_working("hear")

    @property
    def can_not_clone(self) -> bool:
        return not availability.is_working("clone")
