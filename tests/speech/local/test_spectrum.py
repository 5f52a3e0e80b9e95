from __future__ import annotations

import numpy as np
import pytest

from apps.speech.audio.resampling import join
from apps.speech.base import Recording
from apps.speech.local import samples, spectrum


def test_the_filter_gives_speech_the_spectrum_of_other_speech(clips: list[Recording]) -> None:
    sound = samples.from_recording(join(clips), sample_rate=16_000)
    tilted = spectrum.apply_filter(sound, np.array([0, 1, -0.9], np.float32))
    before, wanted = spectrum.mean_spectrum(tilted, "clone"), spectrum.mean_spectrum(sound, "clone")
    response = spectrum.matching_filter(before, wanted, sample_rate=16_000)
    after = spectrum.mean_spectrum(spectrum.apply_filter(tilted, response), "clone")
    compared = slice(2, 34)
    assert np.std((before - wanted)[compared]) > 4
    assert np.std((after - wanted)[compared]) < 1


def test_equal_spectra_need_no_filter() -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, 24_000).astype(np.float32)
    response = spectrum.matching_filter(np.zeros(40), np.zeros(40), sample_rate=24_000)
    assert spectrum.apply_filter(sound, response) == pytest.approx(sound, abs=1e-3)


def test_the_filter_amplifies_nothing_by_more_than_its_limit() -> None:
    response = spectrum.matching_filter(np.zeros(40), np.linspace(-60, 60, 40), sample_rate=24_000)
    gains = 20 * np.log10(np.abs(np.fft.rfft(response, 4096)) + 1e-9)
    assert gains.max() < spectrum.MAX_GAIN_DB + 1
    assert response == pytest.approx(response[::-1], abs=1e-6)  # A linear phase.


@pytest.mark.parametrize("length", [1, 100, 24_000])
def test_filtered_sound_keeps_its_length_and_loudness(length: int) -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, length).astype(np.float32)
    response = spectrum.matching_filter(np.zeros(40), np.linspace(0, 20, 40), sample_rate=24_000)
    filtered = spectrum.apply_filter(sound, response)
    assert filtered.shape == sound.shape
    assert np.mean(filtered**2) == pytest.approx(np.mean(sound**2), rel=1e-3)
