from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from django.conf import settings

from apps.speech.base import Recording
from apps.speech.local import weights
from apps.speech.local.catalogue import DEFAULT_MODELS, SMOLLM2
from apps.speech.local.config import LocalConfig
from apps.speech.local.kokoro import LocalVoiceCloner
from apps.speech.voice_folder import VoiceFolder
from tests.audio_samples import TRANSCRIPTS, clip


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The real models. Tests that need them are skipped where they were not fetched, unless REQUIRE_MODELS is set."""
    folder: Path = settings.MODELS_DIR
    if missing := weights.missing(folder, [*DEFAULT_MODELS, SMOLLM2]):
        reason = f"{', '.join(missing)} not in {folder}: run `make models`"
        (pytest.fail if os.environ.get("REQUIRE_MODELS") else pytest.skip)(reason)
    return folder


@pytest.fixture(scope="session")
def config(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalConfig:
    return LocalConfig(models_dir, voices_dir=VoiceFolder(tmp_path_factory.mktemp("voices")), threads=2)


@pytest.fixture
def config_without_models(tmp_path: Path) -> LocalConfig:
    return LocalConfig(tmp_path / "models", voices_dir=VoiceFolder(tmp_path / "voices"))


@pytest.fixture(scope="session")
def clips() -> list[Recording]:
    """Five sentences of one reader, of 3 to 7 seconds."""
    return [clip(name) for name in TRANSCRIPTS]


@pytest.fixture(scope="session")
def voice_id(config: LocalConfig, clips: list[Recording]) -> str:
    """A voice like that of the reader of the clips."""
    return asyncio.run(LocalVoiceCloner(config).create("Jane at home", clips))
