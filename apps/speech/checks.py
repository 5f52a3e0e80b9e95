"""System checks of the configured engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Warning, register  # noqa: A004 - Django's own name

from apps.speech.model_lifetimes import announced_end

MODEL_SETTINGS = ("OPENAI_STT_MODEL", "OPENAI_CHAT_MODEL", "ELEVENLABS_TTS_MODEL")


@register()
def check_model_lifetimes(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    """Warn of each configured model whose end its provider has announced."""
    warnings: list[CheckMessage] = []
    for name in MODEL_SETTINGS:
        model = getattr(settings, name)
        end = announced_end(model)
        if end is not None:
            message = f"{name}={model} is shut down by its provider on {end:%Y-%m-%d}."
            warnings.append(
                Warning(message, hint="Choose a successor; the default has none announced.", id="speech.W001")
            )
    return warnings
