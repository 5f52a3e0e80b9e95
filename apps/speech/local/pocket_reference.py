"""Chooses the part of a person's recordings from which Pocket TTS copies the voice.

The encoder of the published release reads only the first 1.04 s of its reference, whatever follows (see decision 24).
So this second has to be a good one: it starts at the beginning of a word, consists of speech, most of it voiced, at an
even level that is usual for the speaker, without clipping. What follows is passed as well, for an encoder that reads
more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.speech.audio.levels import (
    CLIPPED_SAMPLE,
    FULL_SCALE,
    LOUD_PERCENTILE,
    NOISE_PERCENTILE,
    SPEECH_ABOVE_NOISE_DB,
    SPEECH_BELOW_LOUD_DB,
)
from apps.speech.audio.resampling import resample
from apps.speech.base import ProviderError, Recording

SAMPLE_RATE = 24000
HEARD_SECONDS = 1.04
MAX_SECONDS = 10.0  # The runtime ignores the rest.

STEP = 480  # In samples: 20 ms.
FRAME = 960  # In samples: 40 ms, three periods of a deep voice.
HEARD_STEPS = round(HEARD_SECONDS * SAMPLE_RATE / STEP)
PAUSE_STEPS = 4  # Longer than the closure of a plosive inside a word.
LEAD_STEPS = 1  # Kept before the first step of speech: soft consonants are below its threshold.
SILENCE_DB = -50.0  # A step below is not speech.
# Frames that are transformed together. With all frames of three minutes, it would take 150 MB.
BATCH_FRAMES = 1000

LOWEST_PITCH, HIGHEST_PITCH = 60, 400  # Hz
VOICED_CORRELATION = 0.5
MIN_SPEECH_SHARE = 0.5
# What takes as much from the score of a second as the loss of all its voiced frames.
UNEVEN_DB, UNUSUAL_DB, CLIPPED_SHARE = 20.0, 20.0, 0.01
CLEAN_DB = 40.0  # Of speech over noise. More is not audible.

Levels = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Analysis:
    """A recording at 24 kHz, in steps of 20 ms. `levels` are in dBFS, `clipped` in shares of samples (0–1)."""

    recording: Recording
    levels: Levels
    speech: Flags
    voiced: Flags
    clipped: Levels
    speech_over_noise_db: float


def choose_reference(recordings: Sequence[Recording]) -> Recording:
    """Return the best second of speech in `recordings` with what follows it: at 24 kHz, at most 10 s.

    Raises ProviderError provider_audio_refused if there is no second of speech.
    """
    best_score, best = -np.inf, None
    for recording in recordings:
        analysis = _analyse(resample(recording, sample_rate=SAMPLE_RATE))
        for start in _word_starts(analysis.speech):
            score = _score(analysis, start)
            if score > best_score:
                best_score, best = score, (analysis, start)
    if best is None:
        raise ProviderError("provider_audio_refused", stage="clone", retryable=False)
    return _cut(*best)


def _cut(analysis: _Analysis, start: int) -> Recording:
    first = max(0, start - LEAD_STEPS) * STEP
    last = first + round(MAX_SECONDS * SAMPLE_RATE)
    return Recording(analysis.recording.pcm[2 * first : 2 * last], SAMPLE_RATE)


def _analyse(recording: Recording) -> _Analysis:
    samples = np.frombuffer(recording.pcm, "<i2").astype(np.float32)
    steps = samples[: samples.size // STEP * STEP].reshape(-1, STEP)
    levels = 20 * np.log10(np.maximum(steps.std(axis=1), 1e-3) / FULL_SCALE)
    noise_db, loud_db = np.percentile(levels, [NOISE_PERCENTILE, LOUD_PERCENTILE]) if levels.size else (0.0, 0.0)
    # In a recording without pauses the noise is as loud as the speech, which must not count as noise then.
    threshold = max(min(noise_db + SPEECH_ABOVE_NOISE_DB, loud_db - SPEECH_ABOVE_NOISE_DB), SILENCE_DB)
    return _Analysis(
        recording=recording,
        levels=levels,
        speech=levels > max(threshold, loud_db - SPEECH_BELOW_LOUD_DB),
        voiced=_voiced(samples, len(steps)),
        clipped=(np.abs(steps) >= CLIPPED_SAMPLE).mean(axis=1),
        speech_over_noise_db=float(loud_db - noise_db),
    )


def _word_starts(speech: Flags) -> Iterator[int]:
    """Yield the steps at which speech begins after a pause, if a whole second follows."""
    pause = PAUSE_STEPS  # The recording may begin with a word.
    for step in range(len(speech) - HEARD_STEPS + 1):
        if not speech[step]:
            pause += 1
            continue
        if pause >= PAUSE_STEPS and speech[step : step + HEARD_STEPS].mean() >= MIN_SPEECH_SHARE:
            yield step
        pause = 0


def _score(analysis: _Analysis, start: int) -> float:
    """Return how suitable the second from the step `start` is; the best possible is 3."""
    window = slice(start, start + HEARD_STEPS)
    speech = analysis.speech[window]
    levels = analysis.levels[window][speech]
    usual_db = float(np.median(analysis.levels[analysis.speech]))
    return float(
        speech.mean()
        + analysis.voiced[window].mean()
        + min(analysis.speech_over_noise_db, CLEAN_DB) / CLEAN_DB
        - levels.std() / UNEVEN_DB
        - abs(levels.mean() - usual_db) / UNUSUAL_DB
        - analysis.clipped[window].mean() / CLIPPED_SHARE
    )


def _voiced(samples: NDArray[np.float32], steps: int) -> Flags:
    """Tell for each step whether its frame is periodic, as vowels are and noise is not. Shape (steps,)."""
    if not steps:
        return np.zeros(0, np.bool_)
    padded = np.pad(samples[: steps * STEP], (0, FRAME - STEP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::STEP]
    batches = [frames[first : first + BATCH_FRAMES] for first in range(0, steps, BATCH_FRAMES)]
    return np.concatenate([_periodicity(batch) for batch in batches]) > VOICED_CORRELATION


def _periodicity(frames: NDArray[np.float32]) -> Levels:
    """Return the highest autocorrelation (at most about 1) of each frame at a period of speech. Shape (frames,)."""
    centred = frames - frames.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(centred, 2 * FRAME, axis=1)) ** 2
    correlation = np.fft.irfft(power, axis=1)[:, :FRAME]
    lags = np.arange(SAMPLE_RATE // HIGHEST_PITCH, SAMPLE_RATE // LOWEST_PITCH + 1)
    # Fewer samples overlap at longer lags.
    overlap = 1 - lags / FRAME
    peaks: Levels = (correlation[:, lags] / overlap).max(axis=1) / np.maximum(correlation[:, 0], 1e-9)
    return peaks
