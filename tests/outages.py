"""Services that count as down."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from apps.speech import availability
from apps.speech.base import ProviderError
from apps.speech.providers.breakers import State

if TYPE_CHECKING:
    from apps.speech.base import Stage


def switch_off(engine: str, stage: Stage) -> None:
    """Make the service count as down, as failures in a row do."""
    breaker = availability.breakers_of(engine)[stage]
    while breaker.state != State.OPEN:
        with suppress(ProviderError), breaker.guarding():
            raise ProviderError("provider_unreachable", stage=stage, retryable=True, is_outage=True)
