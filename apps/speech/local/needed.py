"""Which weights the embedded engines need, by stage, and which of them are missing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from apps.speech.base import Stage
from apps.speech.local import chat_choice
from apps.speech.local.catalogue import (
    KOKORO,
    OPTIONAL_MODELS,
    SPEAKER_ENCODER,
    WHISPER_BASE,
    Model,
    ModelFile,
)

_BY_NAME = {model.name: model for model in (WHISPER_BASE, *OPTIONAL_MODELS)}


@dataclass(frozen=True, slots=True)
class LocalModels:
    """The models that the settings name: a name in the catalogue, or the path of a model of the operator's own."""

    models_dir: Path
    stt_model: str
    chat_model: str

    def to_fetch(self, stage: Stage) -> list[Model]:
        """Return the models of the catalogue that the embedded engine of `stage` needs."""
        chat_model = chat_choice.choose(self.chat_model, chat_choice.inspect(self.models_dir)).model
        return [each for each in self._needed(stage, chat_model) if isinstance(each, Model)]

    def paths(self, stage: Stage) -> list[str]:
        """Return the paths, relative to `models_dir` where they can be, that the embedded engine of `stage` needs."""
        chat_model = chat_choice.in_force(self.chat_model, self.models_dir).model
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
