"""Which weights the embedded engines need, by stage, and which of them are missing."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from apps.speech.base import Stage
from apps.speech.local.catalogue import (
    KOKORO,
    OPTIONAL_MODELS,
    QWEN,
    SMOLLM2,
    SPEAKER_ENCODER,
    WHISPER_BASE,
    Model,
    ModelFile,
)

AUTO = "auto"
MEMORY_FOR_QWEN = 4e9  # Bytes. The model itself takes 1.8 GB.
DISK_FOR_QWEN = 3e9
_BY_NAME = {model.name: model for model in (WHISPER_BASE, *OPTIONAL_MODELS)}


@dataclass(frozen=True, slots=True)
class LocalModels:
    """The models that the settings name: a name in the catalogue, or the path of a model of the operator's own."""

    models_dir: Path
    stt_model: str
    chat_model: str

    def to_fetch(self, stage: Stage) -> list[Model]:
        """Return the models of the catalogue that the embedded engine of `stage` needs."""
        chat_model = chat_model_to_fetch(self.chat_model, self.models_dir)
        return [each for each in self._needed(stage, chat_model) if isinstance(each, Model)]

    def paths(self, stage: Stage) -> list[str]:
        """Return the paths, relative to `models_dir` where they can be, that the embedded engine of `stage` needs."""
        chat_model = chat_model_in_force(self.chat_model, self.models_dir)
        return [path for each in self._needed(stage, chat_model) for path in paths_of(each)]

    def _needed(self, stage: Stage, chat_model: str) -> list[Model | str]:
        needed: dict[Stage, list[Model | str]] = {
            "hear": [_BY_NAME.get(self.stt_model, self.stt_model)],
            "think": [_BY_NAME.get(chat_model, chat_model)],
            "speak": [KOKORO],
            "clone": [KOKORO, SPEAKER_ENCODER],
        }
        return needed[stage]


def paths_of(needed: Model | str) -> list[str]:
    """Return the paths of the files of a model; that of a model of the operator's own is its path."""
    return [file.path for file in needed.files] if isinstance(needed, Model) else [needed]


def missing_files(models_dir: Path, model: Model) -> list[ModelFile]:
    """Return the files of `model` that are missing or damaged. A copy that was cut off has another size."""
    return [file for file in model.files if size_of(models_dir / file.path) != file.size]


def size_of(path: Path) -> int:
    """Return the size of the file at `path` in bytes, or -1 if there is no file."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def is_complete(models_dir: Path, model: Model) -> bool:
    return all((models_dir / path).exists() for path in paths_of(model))


def chat_model_in_force(value: str, models_dir: Path) -> str:
    """Return the language model that answers now: the one to fetch, or the small one while only that is there."""
    chosen = chat_model_to_fetch(value, models_dir)
    is_small_enough = value == AUTO and is_complete(models_dir, SMOLLM2) and not is_complete(models_dir, QWEN)
    return SMOLLM2.name if is_small_enough else chosen


@cache
def chat_model_to_fetch(value: str, models_dir: Path) -> str:
    """Return the language model that LOCAL_CHAT_MODEL means: "auto" depends on the machine.

    The answer stays the same as long as the process lives, although the model itself takes memory and disk.
    """
    if value != AUTO or is_complete(models_dir, QWEN):
        return value if value != AUTO else QWEN.name
    folder = next(each for each in (models_dir, *models_dir.absolute().parents) if each.exists())
    is_large_enough = _available_memory() >= MEMORY_FOR_QWEN and shutil.disk_usage(folder).free >= DISK_FOR_QWEN
    return (QWEN if is_large_enough else SMOLLM2).name


def _available_memory() -> int:
    """Return the bytes of memory that programs can still get, or 0 where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)
