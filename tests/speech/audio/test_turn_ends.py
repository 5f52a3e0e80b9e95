"""The model of turn ends gets the features that it was trained on, and tells ends from pauses."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from numpy.typing import NDArray
from pytest_django import Settings

from apps.speech import live
from apps.speech.audio import silero
from apps.speech.audio.turn_ends import TurnEnd, log_mel
from apps.speech.local import weights
from apps.speech.local.catalogue import TURN_ENDS
from tests.audio_samples import clip

REFERENCE = Path("tests/data/turn_ends/log_mel.npz")


def samples(name: str) -> NDArray[np.float32]:
    return np.frombuffer(clip(name).pcm, "<i2").astype(np.float32) / np.float32(32768)


@pytest.fixture(scope="module")
def turn_end() -> TurnEnd:
    """The real model. Such tests are skipped without it, unless REQUIRE_MODELS is set."""
    folder: Path = settings.MODELS_DIR
    if missing := weights.missing(folder, [TURN_ENDS]):
        reason = f"{', '.join(missing)} not in {folder}: run `make models`"
        (pytest.fail if os.environ.get("REQUIRE_MODELS") else pytest.skip)(reason)
    return TurnEnd(folder / TURN_ENDS.files[0].path)


@pytest.mark.parametrize(("name", "times"), [("short", 1), ("long", 4)])
def test_the_features_are_those_of_the_reference(name: str, times: int) -> None:
    features = log_mel(np.tile(samples("austen-0880.wav"), times))
    assert features.shape == (80, 800)
    with np.load(REFERENCE) as reference:
        assert features[:, 5::20] == pytest.approx(reference[name], abs=1e-4)


def test_an_end_is_more_probable_than_a_pause(turn_end: TurnEnd) -> None:
    sentence = samples("austen-0920.wav")
    assert turn_end.probability(sentence) > 0.9
    assert turn_end.probability(sentence[: len(sentence) * 2 // 5]) < 0.5


def test_only_the_last_eight_seconds_matter(turn_end: TurnEnd) -> None:
    sentence = np.concatenate([samples("austen-0870.wav"), samples("austen-0890.wav")])
    assert turn_end.probability(sentence) == turn_end.probability(sentence[-128_000:])


def test_without_weights_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        TurnEnd(tmp_path / "smart-turn.onnx")


def test_it_is_used_as_soon_as_its_weights_are_there(settings: Settings, tmp_path: Path) -> None:
    settings.MODELS_DIR = tmp_path
    assert live.turn_end() is None
    place = tmp_path / TURN_ENDS.files[0].path
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(silero.__file__).with_name("silero_vad.onnx"), place)  # It is only opened.
    assert live.turn_end() is not None
