"""The speech settings of each engine, as the sliders on the page show them."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.speech.base import ELEVENLABS, POCKET, SERVER


@dataclass(frozen=True, slots=True)
class SpeechSetting:
    """One setting. `default` is the engine's default; `low` and `high` are the labels of the slider's ends."""

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
    """Return the settings that affect the voices of `provider`."""
    return {ELEVENLABS: SETTINGS, SERVER: [], POCKET: []}.get(provider, [SPEED])
