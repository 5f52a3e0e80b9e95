"""Measures the pitch of a voice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.speech.local.samples import Samples

SAMPLE_RATE = 16000
# In samples: 48 ms are three periods of the lowest voice.
FRAME_SIZE, FRAME_STEP = 768, 160
FFT_SIZE = 2048
# In hertz.
LOWEST_PITCH, HIGHEST_PITCH = 65.0, 450.0
# The share of the energy of a frame that has to be periodic (Boersma 1993), and what one octave less of pitch costs.
MIN_PERIODICITY, OCTAVE_COST = 0.6, 0.02
# A frame below this share of the loudest level is a pause.
QUIET = 10 ** (-30 / 20)
MIN_VOICED_FRAMES = 50

FloatArray = NDArray[np.float64]


def measure_pitch(sound: Samples) -> float | None:
    """Return the median pitch of speech at 16 kHz, in hertz; None if too little of it is voiced."""
    curve = pitch_curve(sound, LOWEST_PITCH, HIGHEST_PITCH)
    if len(curve) < MIN_VOICED_FRAMES:
        return None
    # Again, within the range of this speaker: the first time, some frames were an octave off.
    low, high = np.percentile(curve, [25, 75])
    return float(np.median(pitch_curve(sound, max(LOWEST_PITCH, 0.7 * low), min(HIGHEST_PITCH, 1.6 * high))))


def pitch_curve(sound: Samples, lowest: float, highest: float) -> FloatArray:
    """Return the pitch of the voiced frames of `sound`, in hertz.

    By the autocorrelation of each frame, divided by that of its window (Boersma 1993).
    """
    if len(sound) < FRAME_SIZE:
        return np.empty(0)
    frames = np.lib.stride_tricks.sliding_window_view(sound, FRAME_SIZE)[::FRAME_STEP].astype(np.float64)
    frames = frames - frames.mean(axis=1, keepdims=True)
    levels = np.sqrt(np.mean(frames**2, axis=1))
    frames = frames[levels > QUIET * levels.max()]
    window = np.hanning(FRAME_SIZE)
    correlations = _autocorrelation(frames * window) / _autocorrelation(window[np.newaxis])
    lags = np.arange(int(SAMPLE_RATE / highest), int(SAMPLE_RATE / lowest) + 1)
    left, middle, right = (correlations[:, lags + offset] for offset in (-1, 0, 1))
    # The period is no whole number of samples, so the peak is that of a parabola through three of them.
    offsets = np.clip(0.5 * (left - right) / np.minimum(left - 2 * middle + right, -1e-9), -0.5, 0.5)
    strengths = middle - 0.25 * (left - right) * offsets
    is_peak = (middle >= left) & (middle >= right)
    merit = np.where(is_peak, strengths - OCTAVE_COST * np.log2(lags * highest / SAMPLE_RATE), -1)
    rows, best = np.arange(len(frames)), np.argmax(merit, axis=1)
    voiced = is_peak[rows, best] & (strengths[rows, best] > MIN_PERIODICITY)
    pitch: FloatArray = SAMPLE_RATE / (lags[best] + offsets[rows, best])[voiced]
    return pitch


def _autocorrelation(frames: FloatArray) -> FloatArray:
    power = np.abs(np.fft.rfft(frames, FFT_SIZE, axis=1)) ** 2
    correlation = np.fft.irfft(power, axis=1)[:, : FRAME_SIZE // 2 + 1]
    normalised: FloatArray = correlation / np.maximum(correlation[:, :1], 1e-12)
    return normalised
