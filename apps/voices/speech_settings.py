"""How a voice can be made to speak differently, engine by engine, as sliders show it."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.speech.base import LOCAL


@dataclass(frozen=True, slots=True)
class SpeechSetting:
    """One setting. `default` is what the engine takes by itself; `low` and `high` say what the slider's ends mean."""

    name: str
    label: Promise
    low: Promise
    high: Promise
    minimum: float
    maximum: float
    default: float


# The ranges and defaults of ElevenLabs' voice settings.
STABILITY = SpeechSetting("stability", _("Stability"), _("livelier"), _("steadier"), 0, 1, 0.5)
SIMILARITY = SpeechSetting("similarity", _("Similarity"), _("clearer"), _("closer to the sample"), 0, 1, 0.75)
STYLE = SpeechSetting("style", _("Style"), _("plain"), _("exaggerated"), 0, 1, 0)
SPEED = SpeechSetting("speed", _("Speed"), _("slower"), _("faster"), 0.7, 1.2, 1)
SETTINGS = [STABILITY, SIMILARITY, STYLE, SPEED]


def settings_of(provider: str) -> list[SpeechSetting]:
    """Return the settings that change anything with the voices of `provider`."""
    return [SPEED] if provider == LOCAL else SETTINGS
