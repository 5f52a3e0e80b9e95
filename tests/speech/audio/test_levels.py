from __future__ import annotations

import numpy as np
import pytest

from apps.speech.audio import levels
from apps.speech.audio.resampling import join
from apps.speech.base import Recording
from tests.audio_samples import clip, silence

SPEECH = clip("austen-0880.wav")


def tone(amplitude: float, *, seconds: float = 1, offset: float = 0) -> Recording:
    """Return a 440 Hz tone at 16 kHz. `amplitude` and `offset` are shares of full scale, at which it is clipped."""
    wave_form = amplitude * np.sin(2 * np.pi * 440 * np.arange(round(16_000 * seconds)) / 16_000) + offset
    return Recording(np.clip(wave_form * 32768, -32768, 32767).astype("<i2").tobytes(), 16_000)


def test_it_measures_a_tone() -> None:
    level = levels.measure(tone(0.5))
    assert level.rms_db == pytest.approx(-9.03, abs=0.01)
    assert level.peak_db == pytest.approx(-6.02, abs=0.01)
    assert level.clipped_share == 0


def test_it_measures_without_a_constant_offset() -> None:
    assert levels.measure(tone(0.1, offset=0.3)).rms_db == pytest.approx(levels.measure(tone(0.1)).rms_db, abs=0.01)


@pytest.mark.parametrize("recording", [silence(1), silence(0), tone(0, offset=0.3)])
def test_digital_silence_has_a_finite_level(recording: Recording) -> None:
    assert levels.measure(recording) == levels.Level(rms_db=-120, peak_db=-120, clipped_share=0)


def test_it_counts_clipped_samples() -> None:
    # A sine of twice full scale is beyond full scale for two thirds of the time.
    assert levels.measure(tone(2)).clipped_share == pytest.approx(2 / 3, abs=0.02)


def test_peaks_that_only_touch_full_scale_are_not_clipped() -> None:
    peaks = np.zeros(16_000, "<i2")
    peaks[::100], peaks[1::100] = 32767, -32768
    assert levels.measure(Recording(peaks.tobytes(), 16_000)).clipped_share == 0


def test_speech_is_not_silent() -> None:
    assert not levels.is_silent(SPEECH)
    assert not levels.is_silent(join([silence(20), Recording(SPEECH.pcm[16_000:26_000], 16_000), silence(20)]))


def test_room_noise_and_a_crackle_are_silent() -> None:
    noise = np.random.default_rng(1).normal(scale=32768 * 10 ** (-60 / 20), size=48_000)
    noise[20_000] = 3_000
    assert levels.is_silent(Recording(noise.astype("<i2").tobytes(), 16_000))


@pytest.mark.parametrize("recording", [silence(3), silence(0), silence(0.1), tone(0, offset=0.3)])
def test_an_empty_recording_is_silent(recording: Recording) -> None:
    assert levels.is_silent(recording)


def test_a_short_loud_recording_is_not_silent() -> None:
    assert not levels.is_silent(tone(0.1, seconds=0.1))
