"""Recordings to encode and to decode, and a measure of how alike two of them sound."""

from __future__ import annotations

import numpy as np

from apps.speech.audio import decoding
from apps.speech.base import Recording
from tests.audio_samples import clip

SPEECH = clip("austen-0880.wav")
SECOND = Recording(SPEECH.pcm[:32_000], SPEECH.sample_rate)


def decode(data: bytes, *, sample_rate: int = 16_000, max_seconds: float = 60) -> Recording:
    return decoding.decode(data, sample_rate=sample_rate, max_seconds=max_seconds)


def samples(recording: Recording) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.frombuffer(recording.pcm, "<i2").astype(np.float64)


def likeness(one: Recording, other: Recording) -> float:
    """Return the highest correlation of two recordings of one sample rate, over all offsets."""
    first, second = samples(one), samples(other)
    length = 2 * max(first.size, second.size)
    correlation = np.fft.irfft(np.fft.rfft(first, length) * np.conj(np.fft.rfft(second, length)))
    return float(correlation.max() / np.sqrt((first**2).sum() * (second**2).sum()))
