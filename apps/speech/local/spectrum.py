"""Makes the mean spectrum of synthesised speech that of a sample, with a filter.

The mean spectrum belongs to a voice and its microphone: how bright, dark, nasal or thin it sounds. The filter has a
linear phase, so that it delays all frequencies equally and smears nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.speech.base import Stage
from apps.speech.local import identity, speaker
from apps.speech.local.samples import Samples

TAPS = 511
# In dB. More would amplify noise rather than the voice.
MAX_GAIN_DB = 12.0
# Bands over which differences are averaged, so that single harmonics and formants do not count.
SMOOTHING = np.hanning(7)[1:-1] / np.hanning(7).sum()
# In hertz. Many recordings contain nothing above, so the gain stays the same from there.
HIGHEST_COMPARED = 7000.0

FloatArray = NDArray[np.float64]


def mean_spectrum(sound: Samples, stage: Stage) -> FloatArray:
    """Return the mean level of speech at 16 kHz in each mel band, in dB, without noise and pauses. Shape (40,)."""
    speech = identity.speech_in(sound)
    power = speaker.power_spectrogram(speech)
    without_noise = np.maximum(
        power - identity.NOISE_FACTOR * identity.noise_in(sound), identity.SPECTRAL_FLOOR * power
    )
    level = speaker.SPEECH_LEVEL**2 / max(float(np.mean(speech**2)), 1e-12)
    levels: FloatArray = 10 * speaker.log_mel(without_noise * level).astype(np.float64).mean(axis=0)
    return levels


def matching_filter(current: FloatArray, wanted: FloatArray, sample_rate: int) -> Samples:
    """Return the impulse response that gives speech the mean spectrum `wanted` instead of `current`. Shape (511,)."""
    edges = np.pad(wanted - current, len(SMOOTHING) // 2, mode="edge")
    gains = np.convolve(edges, SMOOTHING, "valid")
    centres = speaker.mel_to_hertz(np.linspace(0, speaker.hertz_to_mel(speaker.SAMPLE_RATE / 2), len(gains) + 2))[1:-1]
    compared = centres <= HIGHEST_COMPARED
    gains = np.clip(gains - gains[compared].mean(), -MAX_GAIN_DB, MAX_GAIN_DB)
    frequencies = np.fft.rfftfreq(2048, 1 / sample_rate)
    amplitudes = 10 ** (np.interp(frequencies, centres[compared], gains[compared]) / 20)
    response = np.roll(np.fft.irfft(amplitudes), TAPS // 2)[:TAPS] * np.hanning(TAPS)
    return response.astype(np.float32)


def apply_filter(sound: Samples, response: Samples) -> Samples:
    """Return `sound` filtered, without delay and as loud as before."""
    size = 1 << (len(sound) + len(response) - 1).bit_length()
    spectrum = np.fft.rfft(sound, size) * np.fft.rfft(response, size)
    filtered = np.fft.irfft(spectrum, size)[len(response) // 2 :][: len(sound)]
    before, after = np.sqrt(np.mean(sound**2)), np.sqrt(np.mean(filtered**2))
    louder: Samples = (filtered * (before / max(after, 1e-9))).astype(np.float32)
    return louder
