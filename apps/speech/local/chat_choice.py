"""Which language model answers on this machine, and why.

The operator names a model, or leaves the choice to the machine with "auto". Then the better model answers where memory,
disk and processor allow it, and the small one everywhere else.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from apps.speech.local.catalogue import CHAT_MODELS, QWEN, SMOLLM2
from apps.speech.local.machine import available_memory, processor

AUTO = "auto"
BETTER, SMALL = QWEN.name, SMOLLM2.name
CHAT_PATHS = {model.name: model.files[0].path for model in CHAT_MODELS}

# In bytes. The better model needs 2.1 GB, and the models that hear and speak are loaded beside it.
BETTER_MEMORY = 3_000_000_000
# In bytes. While it is downloaded, its archives are there as well, and other files still have to fit.
BETTER_DISK = 2 * sum(file.size for file in QWEN.files) + 500_000_000
# In tokens per second. A voice speaks three to four.
SPOKEN_SPEED = 4.0

SPEEDS_FILE = "chat-speeds.json"

# "named": by the operator. "fits": the better one fits. The others are the reasons why the small one answers.
Reason = Literal["named", "fits", "low_memory", "low_disk", "too_slow", "not_downloaded"]

# What an operator reads in the log.
EXPLANATIONS: dict[Reason, str] = {
    "named": "LOCAL_CHAT_MODEL names it",
    "fits": "this machine has enough memory for it",
    "low_memory": f"{BETTER} needs {BETTER_MEMORY / 1e9:.0f} GB of free memory",
    "low_disk": f"{BETTER} needs {BETTER_DISK / 1e9:.1f} GB of free disk",
    "too_slow": f"{BETTER} was measured, and writes more slowly than a voice speaks (without {SPEEDS_FILE} in "
    "MODELS_DIR, it is measured again)",
    "not_downloaded": f"{BETTER} is not downloaded: run manage.py fetch_models",
}
REMEDY = (
    "For better answers set OPENAI_API_KEY, or the address of your own server (CHAT_BASE_URL or OPENAI_BASE_URL). "
    f"LOCAL_CHAT_MODEL={SMALL} chooses the quickest model."
)

logger = logging.getLogger(__name__)
_loaded: dict[tuple[Path, str], Choice] = {}


@dataclass(frozen=True, slots=True)
class Machine:
    """What `choose` has to know. Memory and disk are free bytes; memory is None where the system does not tell.

    `downloaded` has the names of models in the catalogue. `better_speed` is the measured speed of the better model in
    tokens per second, or None before it was measured.
    """

    memory: int | None
    disk: int
    downloaded: frozenset[str]
    better_speed: float | None


@dataclass(frozen=True, slots=True)
class Choice:
    """A name of CHAT_MODELS or the path of a GGUF file, why it answers, and its tokens per second, if measured."""

    model: str
    reason: Reason
    speed: float | None = None

    @property
    def is_slow(self) -> bool:
        """Whether the model writes more slowly than a voice speaks."""
        return self.speed is not None and self.speed < SPOKEN_SPEED


def choose(named: str, machine: Machine) -> Choice:
    """Return the model that `named` stands for, whether or not it is downloaded yet."""
    if named != AUTO:
        return Choice(named, "named")
    if machine.better_speed is not None and machine.better_speed < SPOKEN_SPEED:
        return Choice(SMALL, "too_slow")
    if machine.memory is not None and machine.memory < BETTER_MEMORY:
        return Choice(SMALL, "low_memory")
    if BETTER not in machine.downloaded and machine.disk < BETTER_DISK:
        return Choice(SMALL, "low_disk")
    return Choice(BETTER, "fits")


def choose_downloaded(named: str, machine: Machine) -> Choice:
    """Return the model to load now: that of `choose`, or the small one as long as only that is downloaded."""
    choice = choose(named, machine)
    if choice.reason == "fits" and BETTER not in machine.downloaded and SMALL in machine.downloaded:
        return Choice(SMALL, "not_downloaded")
    return choice


def inspect(models_dir: Path) -> Machine:
    """Return what this machine has for the models in `models_dir`."""
    existing = next(each for each in (models_dir, *models_dir.absolute().parents) if each.exists())
    return Machine(
        memory=available_memory(),
        disk=shutil.disk_usage(existing).free,
        downloaded=frozenset(name for name, path in CHAT_PATHS.items() if (models_dir / path).is_file()),
        better_speed=known_speed(models_dir / CHAT_PATHS[BETTER], models_dir),
    )


def path_of(model: str, models_dir: Path) -> Path:
    """Return the GGUF file of a `Choice`. An absolute path after the operator / replaces the path before it."""
    return models_dir / CHAT_PATHS.get(model, model)


def in_force(named: str, models_dir: Path) -> Choice:
    """Return the model that this process has loaded for `named`, or the one that it would load now."""
    return _loaded.get((models_dir, named)) or choose_downloaded(named, inspect(models_dir))


def waits_for_better(named: str, models_dir: Path) -> bool:
    """Whether this process uses the small model only until the better one is downloaded."""
    return in_force(named, models_dir).reason == "not_downloaded"


def better_has_arrived(models_dir: Path) -> bool:
    return (models_dir / CHAT_PATHS[BETTER]).is_file()


def note_loaded(named: str, models_dir: Path, choice: Choice) -> None:
    """Remember what was loaded for `named`, and tell the operator."""
    _loaded[models_dir, named] = choice
    speed = f"{choice.speed:.1f}" if choice.speed is not None else "an unknown number of"
    name = Path(choice.model).name
    logger.info("think: %s answers at %s tokens a second: %s.", name, speed, EXPLANATIONS[choice.reason])
    if choice.is_slow:
        later = f" The next start takes {SMALL}." if named == AUTO and choice.model == BETTER else ""
        logger.warning("think: %s writes more slowly here than a voice speaks.%s %s", name, later, REMEDY)
    elif choice.model == SMALL and choice.reason != "named":
        logger.warning("think: the small model is often wrong. %s", REMEDY)


def known_speed(weights: Path, models_dir: Path) -> float | None:
    """Return the measured tokens per second of the model in the file `weights` on this processor, None if unknown."""
    return _speeds(models_dir).get(_key(weights))


def remember_speed(weights: Path, models_dir: Path, speed: float) -> None:
    """Store a measured speed, for all later starts. Without a place for it, every start measures again."""
    speeds = {**_speeds(models_dir), _key(weights): speed}
    try:
        (models_dir / SPEEDS_FILE).write_text(json.dumps(speeds, indent=2) + "\n")
    except OSError as error:
        logger.debug("The speed of the model was not stored: %s", error)


def _speeds(models_dir: Path) -> dict[str, float]:
    try:
        stored = json.loads((models_dir / SPEEDS_FILE).read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(stored, dict):
        return {}
    return {key: float(speed) for key, speed in stored.items() if isinstance(speed, int | float)}


def _key(weights: Path) -> str:
    return f"{weights.name} on {processor()}"
