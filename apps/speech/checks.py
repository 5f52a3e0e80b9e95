"""System checks of the configured engines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's own name

from apps.speech.provenance import certificates
from apps.speech.providers.model_lifetimes import announced_end

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


@register()
def check_marks(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    """Refuse to go on where synthetic speech could not be signed. Makes nothing: that is for the first start."""
    folder: Path = settings.MARKS_DIR
    try:
        if settings.MARKS_CERTIFICATE:
            certificates.identity_in_files(Path(settings.MARKS_CERTIFICATE), Path(settings.MARKS_KEY))
        elif (folder / certificates.OWN_FILE).exists():
            certificates.own_identity(folder)
        else:
            _require_writable(folder)
        for chain in certificates.chains_in(folder):
            certificates.root_of(chain)
    except (certificates.CertificateError, OSError) as error:
        hint = "Everything that this site speaks has to be marked. Set MARKS_DIR, or MARKS_CERTIFICATE and MARKS_KEY."
        return [Error(f"Synthetic speech cannot be signed: {error}", hint=hint, id="speech.E001")]
    return []


def _require_writable(folder: Path) -> None:
    existing = next(each for each in (folder, *folder.parents) if each.exists())  # It is made on the first start.
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise certificates.CertificateError(f"{folder} cannot be written.")
