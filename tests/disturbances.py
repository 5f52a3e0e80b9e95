"""Sounds in a microphone that are not meant for the conversation. All are float samples from -1 to 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

# The formants of a cough: frequency and width in hertz, and strength.
FORMANTS = ((500, 200, 1.0), (1400, 300, 0.8), (2600, 500, 0.5), (5000, 1500, 0.3))


def noise(seconds: float, level_db: float, *, sample_rate: int, seed: int = 1) -> Samples:
    """Return white noise of `level_db` dBFS."""
    samples: Samples = np.random.default_rng(seed).normal(size=round(seconds * sample_rate))
    return samples * 10 ** (level_db / 20)


def cough(*, sample_rate: int, voiced: float, seed: int) -> Samples:
    """Return a cough: a burst of air, noise, and a voiced end whose strength is `voiced` (0-1). About 0.3 s long."""
    random = np.random.default_rng(seed)
    scale = random.uniform(0.7, 1.3)
    time = np.arange(int(0.35 * scale * sample_rate)) / sample_rate
    air = noise(len(time) / sample_rate, 0, sample_rate=sample_rate, seed=seed)[: len(time)]
    frequencies = np.fft.rfftfreq(len(air), 1 / sample_rate)
    shape = sum(strength / (1 + ((frequencies - hertz) / width) ** 2) for hertz, width, strength in FORMANTS)
    air = np.fft.irfft(np.fft.rfft(air) * shape, len(air))
    air *= np.exp(-time / 0.03) + 0.35 * np.exp(-(((time - 0.13 * scale) / 0.07) ** 2))
    phase = np.cumsum(random.uniform(180, 320) * (1 - 0.5 * time / time[-1])) / sample_rate
    voice = sum(np.sin(2 * np.pi * harmonic * phase) / harmonic for harmonic in range(1, 12))
    voice = voice * np.exp(-(((time - 0.27 * scale) / 0.05) ** 2)) * voiced / 2
    sound = air / np.abs(air).max() + voice
    result: Samples = sound / np.abs(sound).max() / 2
    return result
