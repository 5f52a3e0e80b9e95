"""System checks of the configured engines."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's own name

from apps.speech.addresses import is_openai
from apps.speech.base import POCKET
from apps.speech.local import pocket_bundle
from apps.speech.provenance import certificates
from apps.speech.providers.model_lifetimes import announced_end

# The settings of models, each with the setting of the address that serves them.
MODEL_SETTINGS = {
    "STT_MODEL": "STT_BASE_URL",
    "LIVE_STT_MODEL": "STT_BASE_URL",
    "CHAT_MODEL": "CHAT_BASE_URL",
    "CHAT_MODELS": "CHAT_BASE_URL",
}


@dataclass(frozen=True, slots=True)
class ModelEnd:
    """The day on which the provider shuts down the model that a setting names."""

    setting: str
    model: str
    end: date


def ends_of_models() -> list[ModelEnd]:
    """Return each configured model whose shutdown OpenAI has announced. Other servers may keep such a model."""
    configured = [
        (name, model)
        for name, address in MODEL_SETTINGS.items()
        if is_openai(getattr(settings, address))
        for model in _models_in(name)
    ]
    ends = [(name, model, announced_end(model)) for name, model in configured]
    return [ModelEnd(name, model, end) for name, model, end in ends if end is not None]


def _models_in(setting: str) -> list[str]:
    value: str | list[str] = getattr(settings, setting)
    return [value] if isinstance(value, str) else value


@register()
def check_model_lifetimes(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    """Warn about each model that is announced to end."""
    hint = "Choose a successor. The default model has no announced end."
    return [
        Warning(
            f"The provider shuts down {each.setting}={each.model} on {each.end:%Y-%m-%d}.", hint=hint, id="speech.W001"
        )
        for each in ends_of_models()
    ]


@register()
def check_marks(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    """Fail if synthetic speech could not be signed. Creates no certificate: the first start of the server does that."""
    folder: Path = settings.MARKS_DIR
    try:
        if settings.MARKS_CERTIFICATE:
            certificates.operators_identity(settings.MARKS_CERTIFICATE, settings.MARKS_KEY)
        elif (folder / certificates.OWN_FILE).exists():
            certificates.own_identity(folder)
        else:
            _require_writable(folder)
        for chain in certificates.chains_in(folder):
            certificates.root_of(chain)
    except (certificates.CertificateError, OSError) as error:
        hint = "All speech of this site has to be signed. Set MARKS_DIR, or MARKS_CERTIFICATE and MARKS_KEY."
        return [Error(f"Synthetic speech cannot be signed: {error}", hint=hint, id="speech.E001")]
    return []


def _require_writable(folder: Path) -> None:
    # The first start creates the folder, so its nearest existing parent has to be writable.
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise certificates.CertificateError(f"{folder} cannot be written.")


@register()
def check_pocket(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    """Warn if the settings choose Pocket TTS and its package or its files are missing."""
    if settings.TEXT_TO_SPEECH != POCKET:
        return []
    if importlib.util.find_spec("sherpa_onnx") is None:
        hint = "Run: pip install -r requirements-pocket.txt"
        return [Warning("TEXT_TO_SPEECH=pocket needs the package sherpa-onnx.", hint=hint, id="speech.W005")]
    if missing := pocket_bundle.missing(settings.POCKET_MODEL_DIR, settings.POCKET_BUNDLE):
        message = f"TEXT_TO_SPEECH=pocket: {settings.POCKET_MODEL_DIR} lacks {', '.join(missing)}."
        hint = f"Run: manage.py fetch_models --with {pocket_bundle.POCKET_TTS}"
        return [Warning(message, hint=hint, id="speech.W006")]
    return []
