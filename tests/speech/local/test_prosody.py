from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from apps.speech.audio.resampling import join
from apps.speech.base import Recording
from apps.speech.local import prosody, samples
from apps.speech.local.samples import Samples


def buzz(frequencies: NDArray[np.float64]) -> Samples:
    """Five harmonics of a frequency, which is given in hertz for each sample."""
    phase = 2 * np.pi * np.cumsum(frequencies) / prosody.SAMPLE_RATE
    harmonics = np.arange(1, 6)[:, np.newaxis]
    sound: Samples = (0.2 / harmonics * np.sin(harmonics * phase)).sum(axis=0).astype(np.float32)
    return sound


@pytest.mark.parametrize("frequency", [75, 100, 150, 220, 330, 400])
def test_the_pitch_of_a_buzz_is_its_frequency(frequency: float) -> None:
    pitch = prosody.measure_pitch(buzz(np.full(32_000, float(frequency))))
    assert pitch is not None
    assert pitch == pytest.approx(frequency, rel=0.01)


def test_the_pitch_of_a_glide_is_its_median() -> None:
    assert prosody.measure_pitch(buzz(100 * 2 ** np.linspace(0, 1, 48_000))) == pytest.approx(141, rel=0.03)


def test_the_reader_has_a_low_voice(clips: list[Recording]) -> None:
    pitches = [
        prosody.measure_pitch(samples.from_recording(clip, sample_rate=16_000)) for clip in [*clips, join(clips)]
    ]
    assert all(pitch and 80 < pitch < 115 for pitch in pitches)


@pytest.mark.parametrize("seconds", [0, 0.01, 2])
def test_noise_and_silence_have_no_pitch(seconds: float) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, round(16_000 * seconds)).astype(np.float32)
    assert prosody.measure_pitch(noise) is None
    assert prosody.measure_pitch(0 * noise) is None
