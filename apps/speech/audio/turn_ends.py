"""Turn ends: how probably a person who has just stopped speaking has finished.

smart-turn v3.2 of Daily listens to the words and the melody of the last eight seconds. Its input is the log-mel
spectrogram of Whisper's encoder, computed here with NumPy alone.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from apps.speech.onnx import open_session

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession

    Samples = NDArray[np.float32]

SAMPLE_RATE = 16_000
WINDOW_SAMPLES = 8 * SAMPLE_RATE
FFT_SIZE, HOP_SAMPLES = 400, 160
MEL_BANDS = 80
POWER_FLOOR = 1e-10
VARIANCE_FLOOR = 1e-7
# Bels below the loudest value that are kept, then shifted and scaled to about -1 to 1.
RANGE, SHIFT, SCALE = 8, 4, 4
# Slaney's mel scale: linear up to 1 kHz, then logarithmic.
HZ_PER_MEL, LINEAR_HZ, LINEAR_MELS, MELS_PER_OCTAVE = 200 / 3, 1000.0, 15.0, 27 / math.log2(6.4)


class TurnEnd:
    """The network of the process. Thread-safe. Raises FileNotFoundError if `path` does not exist."""

    def __init__(self, path: Path) -> None:
        self._session = _session(path)

    def probability(self, samples: Samples) -> float:
        """Return how probably (0-1) the person has finished at the end of `samples`: 16 kHz, from -1 to 1.

        Only the last eight seconds matter. There must be speech in them: to silence, the network says 0.99. It takes
        50 to 150 ms of one core, so call it in a thread.
        """
        (result,) = self._session.run(None, {"input_features": log_mel(samples)[np.newaxis]})
        return float(result[0, 0])


def log_mel(samples: Samples) -> Samples:
    """Return the features of the last eight seconds of `samples`; shorter ones have silence before them.

    Shape (80, 800).
    """
    spoken = samples[-WINDOW_SAMPLES:].astype(np.float32)
    mean = spoken.sum() / WINDOW_SAMPLES
    # The sound is normalised together with the silence before it, which becomes one value.
    variance = (spoken @ spoken) / WINDOW_SAMPLES - mean**2
    sound = np.zeros(WINDOW_SAMPLES, np.float32)
    sound[WINDOW_SAMPLES - len(spoken) :] = spoken
    sound = (sound - mean) / np.sqrt(variance + VARIANCE_FLOOR)
    padded = np.pad(sound, FFT_SIZE // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, FFT_SIZE)[:WINDOW_SAMPLES:HOP_SAMPLES]
    spectrum = np.fft.rfft(windows * _window())
    power = spectrum.real**2 + spectrum.imag**2
    bels = np.log10(np.maximum(POWER_FLOOR, power @ _mel_bands()))
    features: Samples = ((np.maximum(bels, bels.max() - RANGE) + SHIFT) / SCALE).astype(np.float32)
    return features.T


@functools.cache
def _session(path: Path) -> InferenceSession:
    return open_session(path, threads=1)


@functools.cache
def _window() -> Samples:
    return np.hanning(FFT_SIZE + 1)[:-1].astype(np.float32)


@functools.cache
def _mel_bands() -> Samples:
    """Return the weight of each frequency in each band: triangles of the same area. Shape (201, 80)."""
    edges = _hertz(np.linspace(0, _mels(SAMPLE_RATE / 2), MEL_BANDS + 2))
    frequencies = np.linspace(0, SAMPLE_RATE / 2, FFT_SIZE // 2 + 1)[:, np.newaxis]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    bands: Samples = (np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)).astype(np.float32)
    return bands


def _mels(hertz: float) -> float:
    return LINEAR_MELS + MELS_PER_OCTAVE * math.log2(hertz / LINEAR_HZ)


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    hertz: NDArray[np.float64] = np.where(
        mels < LINEAR_MELS, mels * HZ_PER_MEL, LINEAR_HZ * 2 ** ((mels - LINEAR_MELS) / MELS_PER_OCTAVE)
    )
    return hertz
