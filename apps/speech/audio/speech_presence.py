"""Tells speech from noise, hum and music with Silero's voice activity detector.

The detector remembers what it heard: after 30 seconds of silence it misses a word, and where a loud hum starts it hears
speech. So each window of a second is heard alone, and at the same level. Before them comes the loudest moment: in a
question, somebody speaks there, and nothing else need be heard.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from apps.speech.audio.levels import FULL_SCALE, SILENCE_DB
from apps.speech.audio.silero import CONTEXT, FRAME, MEMORY, SAMPLE_RATE, detector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from apps.speech.base import Recording

WINDOW_FRAMES, STEP_FRAMES = 32, 16
LOUD_FRAMES = 9  # The level of a window is that of its loudest 0.3 s, the length of a short word.
FRAMES_BEFORE = 3  # The detector needs these to notice that speech begins.
WINDOW_DB = -26.0
# Short words have six such frames in a row, also in noise that is 10 dB quieter. Noises have three.
SPEECH_PROBABILITY, SPEECH_FRAMES = 0.35, 4
# Whispered words and those of a bad line may have only these. So have noises, but as loud all the time, or less often.
POSSIBLE_PROBABILITY, POSSIBLE_FRAMES, MIN_RANGE_DB = 0.15, 3, 20
SURE_PROBABILITY = 0.5


@dataclass(frozen=True, slots=True)
class Activity:
    """`share` (0 to 1) is the share of speech in the audible time; `longest_seconds` is the longest stretch of it."""

    share: float
    longest_seconds: float


def load() -> None:
    """Load the detector, which `has_speech` otherwise does on first use."""
    detector()


def has_speech(recording: Recording) -> bool:
    """Tell whether anybody says at least a word in `recording`, 16 kHz. In doubt, somebody does."""
    return any(window.has_word() for window in _heard(recording))


def measure_activity(recording: Recording) -> Activity:
    """Measure how much of `recording`, 16 kHz, is speech."""
    highest = np.full(_frame_count(recording), -1.0)
    for window in _heard(recording):
        covered = highest[window.start : window.start + window.probabilities.size]
        np.maximum(covered, window.probabilities, out=covered)
    spoken = highest >= SURE_PROBABILITY
    audible = int((highest >= 0).sum())
    return Activity(
        share=float(spoken.sum() / audible) if audible else 0.0,
        longest_seconds=_longest_run(spoken) * FRAME / SAMPLE_RATE,
    )


class _Window(NamedTuple):
    """A part of a recording from frame `start` on: for each frame the probability of speech, and the power.

    The power is that of whole frames: behind the end of the recording there is none.
    """

    start: int
    probabilities: NDArray[np.float32]
    power: NDArray[np.float32]

    def has_word(self) -> bool:
        if _longest_run(self.probabilities >= SPEECH_PROBABILITY) >= SPEECH_FRAMES:
            return True
        if _longest_run(self.probabilities >= POSSIBLE_PROBABILITY) < POSSIBLE_FRAMES:
            return False
        if not self.power.size:
            return False
        low, high = np.percentile(self.power, [10, 90])
        return bool(high > low * 10 ** (MIN_RANGE_DB / 10))


def _heard(recording: Recording) -> Iterator[_Window]:
    """Let the detector hear the loudest moment, then all windows that are not silent, loudest first."""
    if not recording.pcm:
        return
    frames = _frames(recording)
    power = np.einsum("ij,ij->i", frames[:, CONTEXT:], frames[:, CONTEXT:]) / FRAME
    whole_frames = len(recording.pcm) // 2 // FRAME
    for part, level in _parts(power):
        if level < SILENCE_DB:
            return
        heard = frames[part] * np.float32(10 ** ((WINDOW_DB - level) / 20))
        heard[0, :CONTEXT] = 0
        memory = np.zeros(MEMORY, np.float32)
        probabilities, *_ = detector().run(None, {"input": heard, "h": memory, "c": memory})
        yield _Window(part.start, probabilities, power[:whole_frames][part])


def _parts(power: NDArray[np.float32]) -> Iterator[tuple[slice, float]]:
    """Yield the loudest moment and then the windows, loudest first, each with its level in dBFS.

    `power` is that of each frame.
    """
    loudness = np.convolve(power, np.full(LOUD_FRAMES, 1 / LOUD_FRAMES, np.float32), "valid")
    levels = 10 * np.log10(np.maximum(loudness, 1e-12))
    loudest = int(levels.argmax())
    yield slice(max(loudest - FRAMES_BEFORE, 0), loudest + LOUD_FRAMES), float(levels[loudest])
    positions = WINDOW_FRAMES - LOUD_FRAMES + 1
    window_levels = np.lib.stride_tricks.sliding_window_view(levels, positions)[::STEP_FRAMES].max(axis=1)
    for window in np.argsort(-window_levels):
        start = int(window) * STEP_FRAMES
        yield slice(start, start + WINDOW_FRAMES), float(window_levels[window])


def _frames(recording: Recording) -> NDArray[np.float32]:
    """Return the samples of each frame behind those of its context, from -1 to 1. Shape (frames, 576)."""
    samples = np.frombuffer(recording.pcm, "<i2").astype(np.float32) / FULL_SCALE
    padded = np.zeros(CONTEXT + FRAME * _frame_count(recording), np.float32)
    padded[CONTEXT : CONTEXT + samples.size] = samples - samples.mean()
    frames: NDArray[np.float32] = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + FRAME)[::FRAME]
    return frames


def _frame_count(recording: Recording) -> int:
    """Return the number of frames in the windows that together contain all of `recording`."""
    step = FRAME * STEP_FRAMES
    steps = math.ceil(len(recording.pcm) / 2 / step)
    return max(steps * STEP_FRAMES, WINDOW_FRAMES)


def _longest_run(frames: NDArray[np.bool_]) -> int:
    """Return the length of the longest run of true values."""
    ends = np.flatnonzero(np.diff(np.concatenate([[False], frames, [False]]).astype(np.int8)))
    return int((ends[1::2] - ends[::2]).max(initial=0))
