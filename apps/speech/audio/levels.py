"""Measures the level of a recording, and separates speech from pauses and silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from apps.speech.base import Recording

FULL_SCALE = 32768
DIGITAL_SILENCE_DB = -120.0  # A floor, because the logarithm of 0 cannot be stored or compared.
CLIPPED_SAMPLE = round(0.999 * FULL_SCALE)
CLIPPED_RUN = 3  # One or two samples at full scale are a loud peak; three in a row are a clipped peak.
# Between the noise of a quiet room (near -60 dBFS) and quiet speech (near -40 dBFS).
SILENCE_DB = -50.0
SILENCE_WINDOW_SECONDS = 0.3  # As long as a short word, so that a single crackle does not count as sound.
SILENCE_STEP_SECONDS = 0.01
# Four periods of a deep voice: long enough to measure its level, short enough for the pauses between words.
FRAME_SECONDS = 0.05
NOISE_PERCENTILE = 5  # Readers pause for more than 5 % of the time, so this is the level of the pauses.
LOUD_PERCENTILE = 95
SPEECH_ABOVE_NOISE_DB = 6.0
SPEECH_BELOW_LOUD_DB = 25.0


@dataclass(frozen=True, slots=True)
class Level:
    """Levels of a recording in dBFS, without its DC offset. `clipped_share` (0–1) is the share of clipped samples."""

    rms_db: float
    peak_db: float
    clipped_share: float


def measure(recording: Recording) -> Level:
    """Return the level of `recording`; digital silence and an empty recording have -120.0 dB."""
    samples = _samples(recording)
    if not samples.size:
        return Level(DIGITAL_SILENCE_DB, DIGITAL_SILENCE_DB, clipped_share=0.0)
    sound = samples - samples.mean()
    return Level(
        rms_db=_decibels(float(np.sqrt(np.mean(sound**2)))),
        peak_db=_decibels(float(np.abs(sound).max())),
        clipped_share=_clipped_share(samples),
    )


@dataclass(frozen=True, slots=True)
class SpeechLevel:
    """The levels of speech and noise in a recording.

    `speech_db` is the level of the speech without pauses and `noise_db` the level of the pauses, both in dBFS RMS.
    `speech_share` (0–1) is the share of speech in the time. Without any speech, the share is 0 and both levels are the
    level of the whole recording.
    """

    speech_db: float
    noise_db: float
    speech_share: float


def measure_speech(recording: Recording) -> SpeechLevel:
    """Separate speech from pauses by level alone, in frames of 50 ms, like the active speech level of ITU-T P.56."""
    frames = _frame_levels(recording)
    if not frames.size:
        return SpeechLevel(DIGITAL_SILENCE_DB, DIGITAL_SILENCE_DB, speech_share=0.0)
    spoken = _are_spoken(frames)
    if not spoken.any():
        return SpeechLevel(_mean_level(frames), _mean_level(frames), speech_share=0.0)
    noise_db = float(np.percentile(frames, NOISE_PERCENTILE))
    return SpeechLevel(_mean_level(frames[spoken]), noise_db, speech_share=float(spoken.mean()))


def spoken_frames(recording: Recording) -> NDArray[np.bool_]:
    """Tell for each whole frame of 50 ms whether it is speech, as `measure_speech` does. Shape (frames,)."""
    frames = _frame_levels(recording)
    return _are_spoken(frames) if frames.size else np.zeros(0, np.bool_)


def _are_spoken(frames: NDArray[np.float64]) -> NDArray[np.bool_]:
    noise_db, loud_db = (float(level) for level in np.percentile(frames, [NOISE_PERCENTILE, LOUD_PERCENTILE]))
    spoken: NDArray[np.bool_] = frames > max(noise_db + SPEECH_ABOVE_NOISE_DB, loud_db - SPEECH_BELOW_LOUD_DB)
    return spoken


def _frame_levels(recording: Recording) -> NDArray[np.float64]:
    """Return the level of each whole frame in dBFS, without the DC offset of the frame. Shape (frames,)."""
    samples = _samples(recording)
    length = round(FRAME_SECONDS * recording.sample_rate)
    frames = samples[: samples.size // length * length].reshape(-1, length)
    silent = FULL_SCALE * 10 ** (DIGITAL_SILENCE_DB / 20)
    levels: NDArray[np.float64] = 20 * np.log10(np.maximum(frames.std(axis=1), silent) / FULL_SCALE)
    return levels


def _mean_level(levels: NDArray[np.float64]) -> float:
    """Return the level of the mean power of frames. All levels are in dBFS."""
    return 10 * float(np.log10(np.mean(10 ** (levels / 10))))


def is_silent(recording: Recording) -> bool:
    """Tell whether no stretch of 0.3 s, the length of a short word, is louder than the noise of a quiet room."""
    # For speed in 32 instead of 64 bits, and in steps of 10 ms: a question is sent only after this check.
    samples = np.frombuffer(recording.pcm, "<i2").astype(np.float32)
    if not samples.size:
        return True
    step = min(round(SILENCE_STEP_SECONDS * recording.sample_rate), samples.size)
    steps = (samples - samples.mean())[: samples.size // step * step].reshape(-1, step)
    energy = np.einsum("ij,ij->i", steps, steps)
    window = min(round(SILENCE_WINDOW_SECONDS / SILENCE_STEP_SECONDS), energy.size)
    loudest = float(np.convolve(energy, np.ones(window), "valid").max()) / (window * step)
    return _decibels(loudest**0.5) < SILENCE_DB


def _samples(recording: Recording) -> NDArray[np.float64]:
    """Return the samples as floats from -32768 to 32767. Shape (samples,)."""
    return np.frombuffer(recording.pcm, "<i2").astype(np.float64)


def _decibels(amplitude: float) -> float:
    if amplitude <= 0:
        return DIGITAL_SILENCE_DB
    return max(DIGITAL_SILENCE_DB, 20 * float(np.log10(amplitude / FULL_SCALE)))


def _clipped_share(samples: NDArray[np.float64]) -> float:
    at_full_scale = np.concatenate([[False], np.abs(samples) >= CLIPPED_SAMPLE, [False]])
    starts_and_ends = np.flatnonzero(at_full_scale[1:] != at_full_scale[:-1])
    lengths = starts_and_ends[1::2] - starts_and_ends[::2]
    return float(lengths[lengths >= CLIPPED_RUN].sum()) / samples.size
