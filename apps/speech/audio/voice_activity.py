"""Voice activity: how probably each 32 ms of incoming sound are speech.

Silero's detector is an LSTM whose state goes on from frame to frame, so that the result does not depend on how the
sound is cut. All conversations of the process share the network; each has its own state. A frame takes about 0.1 ms, as
long as handing it to a thread would, so this may run in an event loop.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from apps.speech.audio.silero import CONTEXT, FRAME, MEMORY, SAMPLE_RATE, detector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

FRAME_MS = 1000 * FRAME // SAMPLE_RATE
FULL_SCALE = np.float32(32768)
SILENCE_DB = -120.0
# For each three samples at 24 kHz two at 16 kHz. The filter ends below 8 kHz, where the rest would be mirrored.
NARROWED_RATE, STEP_IN, STEP_OUT = 24_000, 3, 2
FILTER_SAMPLES, FILTER_CUTOFF_HZ, FILTER_BETA = 48, 7_200, 6.0


class VoiceActivity:
    """The speech probabilities of one stream of frames."""

    def __init__(self) -> None:
        self._state = (np.zeros(MEMORY, np.float32), np.zeros(MEMORY, np.float32))
        self._context = np.zeros((1, CONTEXT), np.float32)

    def probabilities(self, frames: Samples) -> Samples:
        """Return the probability of speech of the frames that follow. Shapes (frames, 512) and (frames,)."""
        if not len(frames):
            return np.zeros(0, np.float32)
        ends = np.concatenate([self._context, frames[:, -CONTEXT:]])
        self._context = ends[-1:]
        hidden, cell = self._state
        inputs = {"input": np.concatenate([ends[:-1], frames], axis=1), "h": hidden, "c": cell}
        probabilities, *state = detector().run(None, inputs)
        self._state = (state[0], state[1])
        result: Samples = probabilities
        return result


class Frames:
    """Cuts mono s16le PCM of 16 or 24 kHz, in pieces of any length, into frames of 16 kHz.

    Each frame is computed from the same samples in the same way, however the pieces are cut.
    """

    def __init__(self, sample_rate: int) -> None:
        if sample_rate not in {SAMPLE_RATE, NARROWED_RATE}:
            raise ValueError(f"the sample rate is {sample_rate} Hz instead of {SAMPLE_RATE} or {NARROWED_RATE}")
        self._narrows = sample_rate == NARROWED_RATE
        self._frame_bytes = 2 * FRAME * sample_rate // SAMPLE_RATE
        self._waiting = bytearray()
        self._before = np.zeros(FILTER_SAMPLES, np.float32)

    def feed(self, pcm: bytes) -> Samples:
        """Return the frames that are complete, from -1 to 1. Shape (frames, 512)."""
        self._waiting += pcm
        length = len(self._waiting) // self._frame_bytes * self._frame_bytes
        samples = np.frombuffer(bytes(self._waiting[:length]), "<i2").astype(np.float32) / FULL_SCALE
        del self._waiting[:length]
        frames = samples.reshape(-1, self._frame_bytes // 2)
        return self._narrowed(frames) if self._narrows else frames

    def _narrowed(self, frames: Samples) -> Samples:
        """Return frames of 768 samples at 24 kHz as frames of 512 at 16 kHz, half a filter (1 ms) later."""
        if not len(frames):
            return np.zeros((0, FRAME), np.float32)
        sound = np.concatenate([self._before, frames.ravel()])
        self._before = sound[-FILTER_SAMPLES:]
        # Windows from the sample 1 on, STEP_IN apart. NumPy's own functions for that take longer than the product.
        size = sound.itemsize
        shape, strides = (frames.size // STEP_IN, FILTER_SAMPLES), (STEP_IN * size, size)
        windows: Samples = np.ndarray(shape, sound.dtype, sound, offset=size, strides=strides)
        # One product for each frame, since the rounding of a larger one would depend on its size.
        narrowed = windows.reshape(len(frames), -1, FILTER_SAMPLES) @ _filters()
        result: Samples = narrowed.reshape(len(frames), FRAME)
        return result


def levels(frames: Samples) -> NDArray[np.float64]:
    """Return the level of each frame in dBFS, without its DC offset. Shape (frames,)."""
    # As frames.std(axis=1), in a sixth of the time.
    length = max(1, frames.shape[1])
    powers = np.einsum("ij,ij->i", frames, frames) / length - (np.add.reduce(frames, axis=1) / length) ** 2
    result: NDArray[np.float64] = 10 * np.log10(np.maximum(powers, 10 ** (SILENCE_DB / 10)))
    return result


@functools.cache
def _filters() -> Samples:
    """Return a low-pass filter for each of the two samples that three become. Shape (48, 2).

    The two are the even and the odd taps of one filter at 48 kHz, which has no tap beyond `half`.
    """
    half = FILTER_SAMPLES - 2
    middle = FILTER_SAMPLES // 2 - 1
    even = 2 * (middle - np.arange(FILTER_SAMPLES))
    times = np.stack([even, even + STEP_IN], axis=1)
    ratio = 2 * FILTER_CUTOFF_HZ / (STEP_OUT * NARROWED_RATE)
    window = np.i0(FILTER_BETA * np.sqrt(np.maximum(0, 1 - (times / half) ** 2))) / np.i0(FILTER_BETA)
    taps = STEP_OUT * ratio * np.sinc(ratio * times) * window * (np.abs(times) <= half)
    filters: Samples = taps.astype(np.float32)
    return filters
