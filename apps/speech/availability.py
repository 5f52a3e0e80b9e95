"""Which engine the settings name for each stage, and which of them work at the moment."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from django.conf import settings

from apps.speech.addresses import ELEVENLABS_URL
from apps.speech.base import (
    ELEVENLABS,
    ELEVENLABS_LIVE,
    EMBEDDED,
    LOCAL,
    OPENAI,
    OPENAI_LIVE,
    POCKET,
    SERVER,
    EngineLoadingError,
    ProviderError,
    Stage,
)
from apps.speech.local import chat_choice, progress
from apps.speech.local.catalogue import SPEAKER_ENCODER, TURN_ENDS, Model
from apps.speech.local.needed import LocalModels, paths_of
from apps.speech.providers.breakers import Breaker, Breakers, State

# ElevenLabs' small models: they call $1,000,000 "one thousand thousand dollars", and their API normalizes nothing for
# these by default.
MISREADS_NUMBERS = re.compile("flash|turbo")
EMBEDDED_SPEECH_MODELS = {LOCAL: "kokoro", POCKET: "pocket-tts"}

# Services whose hearing while it is spoken is another one than their other hearing, by their names in the setting.
LIVE_ENGINES = {ELEVENLABS: ELEVENLABS_LIVE, OPENAI: OPENAI_LIVE}

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


def live_engines() -> list[str]:
    """Return the name of the service that hears while it is spoken; none if the engines of "hear" do that."""
    return [name for engine, name in LIVE_ENGINES.items() if engine == settings.LIVE_SPEECH_TO_TEXT]


def variables_of(engine: str, stage: Stage) -> str:
    """Return how the variables begin that configure `engine` at `stage`; "" for an embedded engine."""
    if engine == OPENAI:
        return "STT" if stage == "hear" else "CHAT"
    others = {ELEVENLABS: "ELEVENLABS", ELEVENLABS_LIVE: "ELEVENLABS", OPENAI_LIVE: "STT", SERVER: "VOICE"}
    return others.get(engine, "")


def address_of(engine: str, stage: Stage) -> str:
    """Return the address that gets the data of `stage` if `engine` works; "" for an embedded engine."""
    prefix = variables_of(engine, stage)
    return (getattr(settings, f"{prefix}_BASE_URL") or ELEVENLABS_URL) if prefix else ""


def model_of(engine: str, stage: Stage) -> str:
    """Return the name of the model with which `engine` works at `stage`."""
    # The operator may name an embedded model by its path.
    embedded = {"hear": Path(settings.LOCAL_STT_MODEL).name, "think": Path(local_chat_choice().model).name}
    remote = {"hear": settings.STT_MODEL, "think": settings.CHAT_MODEL}
    if engine in EMBEDDED:
        return embedded.get(stage) or EMBEDDED_SPEECH_MODELS[engine]
    if engine in LIVE_ENGINES.values():
        return str(settings.LIVE_STT_MODEL)
    if engine == SERVER:
        return settings.VOICE_MODEL or SERVER  # Such a server may serve one model only, and not ask for its name.
    return str(remote.get(stage, settings.ELEVENLABS_TTS_MODEL))


def reads_numbers(provider: str) -> bool:
    """Return whether the voices of `provider` read numbers, dates and abbreviations rightly by themselves."""
    return provider == ELEVENLABS and not MISREADS_NUMBERS.search(settings.ELEVENLABS_TTS_MODEL)


def breakers_of(provider: str) -> Breakers:
    """Return the breakers of a remote service. All engines of the process share them."""
    if provider not in _breakers:
        _breakers[provider] = Breakers(failures=settings.BREAKER_FAILURES, seconds=settings.BREAKER_SECONDS)
    return _breakers[provider]


def breakers_in_use() -> Iterable[Breakers]:
    """Return the breakers of every service that was called, including services that the settings no longer name."""
    return _breakers.values()


def all_breakers() -> dict[str, Breaker]:
    """Return every breaker of the process by a name that is the same in all processes."""
    stages: tuple[Stage, ...] = get_args(Stage)
    return {f"{engine}:{stage}": each[stage] for engine, each in list(_breakers.items()) for stage in stages}


def breakers() -> dict[tuple[str, Stage], Breaker]:
    """Return the breakers of the remote services that the settings name, by service and stage."""
    stages: tuple[Stage, ...] = get_args(Stage)
    used = [(engine, stage) for stage in stages for engine in engines_of(stage) if engine not in EMBEDDED]
    used += [(engine, "hear") for engine in live_engines()]
    return {(engine, stage): breakers_of(engine)[stage] for engine, stage in used}


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
    """Raise an error if no engine of `stage` works, before any work is done or paid for.

    With `provider`, that engine has to work; otherwise any engine of the stage. The code is "provider_unavailable", or
    "engine_loading" or "models_missing" if the engine runs here and lacks its weights.
    """
    engines = [provider] if provider else engines_of(stage)
    down: ProviderError | None = None
    for engine in engines:
        _require_weights(engine, stage)
        if engine in EMBEDDED:
            return
        try:
            breakers_of(engine)[stage].check()
        except ProviderError as error:
            down = error
        else:
            return
    if down is not None:
        raise down


def require_live_hearing() -> None:
    """Raise an error, as `require_working` does, if a question can be heard neither while it is spoken nor as a whole.

    Where the service that hears while it is spoken fails, the engines of "hear" get the whole question.
    """
    if any(breakers_of(engine)["hear"].state is not State.OPEN for engine in live_engines()):
        return
    require_working("hear")


def require_speaker_encoder() -> None:
    """Raise "engine_loading" or "models_missing" if the speakers of two recordings cannot be compared."""
    _require_files(paths_of(SPEAKER_ENCODER), "clone")


def fetching() -> progress.Progress | None:
    """Return the progress of the process that fetches weights at the moment, if there is one."""
    return progress.read(settings.MODELS_DIR)


def require_all_weights() -> None:
    """Raise "engine_loading" or "models_missing" if an engine that the settings name first lacks its weights."""
    for stage in get_args(Stage):
        _require_weights(engines_of(stage)[0], stage)


def stages_with_weights() -> frozenset[Stage]:
    """Return the stages whose engines have all weights that they need, or need none."""
    stages: tuple[Stage, ...] = get_args(Stage)
    return frozenset(stage for stage in stages if _has_weights(stage))


def models_in_use() -> list[Model]:
    """Return the models of the catalogue that this site needs, those first without which nobody can begin.

    The speaker encoder and the model of turn ends are among them at every site.
    """
    stages: tuple[Stage, ...] = ("hear", "speak", "think")
    needed = [model for stage in stages if LOCAL in engines_of(stage) for model in local_models().to_fetch(stage)]
    return list(dict.fromkeys([SPEAKER_ENCODER, TURN_ENDS, *needed]))


def local_chat_choice() -> chat_choice.Choice:
    """Return which embedded language model answers in this process, and why."""
    return chat_choice.in_force(settings.LOCAL_CHAT_MODEL, settings.MODELS_DIR)


def local_models() -> LocalModels:
    """Return the models that the settings name for the embedded engines."""
    return LocalModels(settings.MODELS_DIR, settings.LOCAL_STT_MODEL, settings.LOCAL_CHAT_MODEL)


def _has_weights(stage: Stage) -> bool:
    try:
        for engine in engines_of(stage):
            _require_weights(engine, stage)
    except ProviderError:
        return False
    return True


def _require_weights(engine: str, stage: Stage) -> None:
    paths = local_models().paths(stage) if engine == LOCAL else []
    # Samples are compared with the spoken consent, whichever engine then makes the voice.
    if stage == "clone" and settings.CONSENT == "spoken":
        paths += paths_of(SPEAKER_ENCODER)
    _require_files(paths, stage)


def _require_files(paths: list[str], stage: Stage) -> None:
    """Raise an error if a file is missing. A file that is being fetched may exist as a damaged copy."""
    if not paths:  # As for every turn with remote engines.
        return
    now = fetching()
    underway = now.missing if now else ()
    if all(path not in underway and (settings.MODELS_DIR / path).exists() for path in paths):
        return
    if now is None:
        raise ProviderError("models_missing", stage=stage, retryable=False)
    raise EngineLoadingError(stage=stage, progress=now.text, retry_after=now.retry_after)


def is_working(stage: Stage) -> bool:
    """Tell whether an engine of `stage` works, as far as breakers and weights tell."""
    try:
        require_working(stage)
    except ProviderError:
        return False
    return True
