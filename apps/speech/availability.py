"""Which engine the settings name for each stage, and which of them work at the moment."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from django.conf import settings

from apps.speech.addresses import ELEVENLABS_URL
from apps.speech.base import ELEVENLABS, EMBEDDED, LOCAL, OPENAI, POCKET, SERVER, ProviderError, Stage
from apps.speech.providers.breakers import Breaker, Breakers

EMBEDDED_SPEECH_MODELS = {LOCAL: "kokoro", POCKET: "pocket-tts"}

# All event loops of the process share the breakers: each loop learns from the calls of the others.
_breakers: dict[str, Breakers] = {}


def engines_of(stage: Stage) -> list[str]:
    """Return the names of the engines of a stage: the first choice, then its fallback if one is set."""
    engines = {
        "hear": [settings.SPEECH_TO_TEXT, settings.SPEECH_TO_TEXT_FALLBACK],
        "think": [settings.LANGUAGE_MODEL, settings.LANGUAGE_MODEL_FALLBACK],
        "speak": [settings.TEXT_TO_SPEECH],
        "clone": [settings.TEXT_TO_SPEECH],
    }
    return [engine for engine in engines[stage] if engine]


def variables_of(engine: str, stage: Stage) -> str:
    """Return how the variables begin that configure `engine` at `stage`; "" for an embedded engine."""
    if engine == OPENAI:
        return "STT" if stage == "hear" else "CHAT"
    return {ELEVENLABS: "ELEVENLABS", SERVER: "VOICE"}.get(engine, "")


def address_of(engine: str, stage: Stage) -> str:
    """Return the address that gets the data of `stage` if `engine` works; "" for an embedded engine."""
    prefix = variables_of(engine, stage)
    return (getattr(settings, f"{prefix}_BASE_URL") or ELEVENLABS_URL) if prefix else ""


def model_of(engine: str, stage: Stage) -> str:
    """Return the name of the model with which `engine` works at `stage`."""
    # The operator may name an embedded model by its path.
    embedded = {"hear": Path(settings.LOCAL_STT_MODEL).name, "think": Path(settings.LOCAL_CHAT_MODEL).name}
    remote = {"hear": settings.STT_MODEL, "think": settings.CHAT_MODEL}
    if engine in EMBEDDED:
        return embedded.get(stage) or EMBEDDED_SPEECH_MODELS[engine]
    if engine == SERVER:
        return settings.VOICE_MODEL or SERVER  # Such a server may serve one model only, and not ask for its name.
    return str(remote.get(stage, settings.ELEVENLABS_TTS_MODEL))


def breakers_of(provider: str) -> Breakers:
    """Return the breakers of a remote service. All engines of the process share them."""
    if provider not in _breakers:
        _breakers[provider] = Breakers(failures=settings.BREAKER_FAILURES, seconds=settings.BREAKER_SECONDS)
    return _breakers[provider]


def breakers_in_use() -> Iterable[Breakers]:
    """Return the breakers of every service that was called, including services that the settings no longer name."""
    return _breakers.values()


def breakers() -> dict[tuple[str, Stage], Breaker]:
    """Return the breakers of the remote services that the settings name, by service and stage."""
    return {
        (engine, stage): breakers_of(engine)[stage]
        for stage in ("clone", "hear", "think", "speak")
        for engine in engines_of(stage)
        if engine not in EMBEDDED
    }


def require_configured(provider: str, stage: Stage) -> None:
    """Raise the error "provider_not_configured" if the settings lack what the voices of `provider` need.

    Voices stay in the database after the operator has chosen another engine for new ones.
    """
    is_configured = {
        ELEVENLABS: bool(settings.ELEVENLABS_API_KEY),
        SERVER: bool(settings.VOICE_BASE_URL),
    }
    if not is_configured.get(provider, True):
        raise ProviderError("provider_not_configured", stage=stage, retryable=False)


def require_working(stage: Stage, *, provider: str = "") -> None:
    """Raise the error "provider_unavailable" if no engine of `stage` works, before any work is done or paid for.

    With `provider`, that engine has to work; otherwise any engine of the stage.
    """
    engines = [provider] if provider else engines_of(stage)
    if not EMBEDDED.isdisjoint(engines):
        return
    down: ProviderError | None = None
    for engine in engines:
        try:
            breakers_of(engine)[stage].check()
        except ProviderError as error:
            down = error
        else:
            return
    if down is not None:
        raise down


def is_working(stage: Stage) -> bool:
    """Tell whether an engine of `stage` works, as far as the breakers know."""
    try:
        require_working(stage)
    except ProviderError:
        return False
    return True
