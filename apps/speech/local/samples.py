"""Converts PCM to arrays of samples, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.speech.audio.resampling import resample
from apps.speech.base import Recording

FULL_SCALE = np.float32(32768)

Samples = NDArray[np.float32]


def from_recording(recording: Recording, *, sample_rate: int) -> Samples:
    """Return `recording` as float32 samples from -1 to 1, resampled to `sample_rate` hertz. Shape (samples,)."""
    if recording.sample_rate != sample_rate:
        recording = resample(recording, sample_rate=sample_rate)
    return np.frombuffer(recording.pcm, "<i2").astype(np.float32) / FULL_SCALE


def to_pcm(samples: Samples) -> bytes:
    """Return samples from -1 to 1 as mono s16le PCM. Values outside this range are clipped."""
    steps: NDArray[np.float32] = np.clip(samples * FULL_SCALE, -FULL_SCALE, FULL_SCALE - 1)
    return steps.astype("<i2").tobytes()
