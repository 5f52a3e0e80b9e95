"""Speaker embeddings, and the similarity of two voices.

The encoder converts speech to a vector of 256 numbers that depends on the speaker rather than on the words (a
"d-vector": an LSTM over windows of a log-mel spectrogram, averaged). The metadata of its file states the required
preprocessing, and the constants below are taken from there. Level and pauses would change the vector, so they are
normalised first. The microphone and noise change it too. `identity` removes their influence. This module does not,
because they are part of the sound of a voice.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from apps.speech.base import ProviderError, Recording, Stage
from apps.speech.local import samples
from apps.speech.local.config import LocalConfig
from apps.speech.local.samples import Samples
from apps.speech.local.worker import shared_worker
from apps.speech.onnx import open_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SAMPLE_RATE = 16000
FFT_SIZE = 512
FRAME_SIZE = 400
FRAME_STEP = 160
MEL_BANDS = 40
WINDOW_FRAMES = 80
WINDOW_STEP = 40
POWER_FLOOR = 1e-10
# Windows that are encoded together. With all windows of minutes of speech, it would take hundreds of megabytes.
BATCH_WINDOWS = 64

SPEECH_LEVEL = 10 ** (-30 / 20)
SILENCE_BELOW_PEAK = 10 ** (-40 / 20)
QUIETEST_SPEECH = 10 ** (-70 / 20)
SILENCE_FRAME = 320  # In samples: 20 ms.

Embedding = NDArray[np.float32]
Spectrogram = NDArray[Any]


async def embed(recording: Recording, config: LocalConfig, *, stage: Stage) -> Embedding:
    """Return the speaker embedding of `recording`: a vector of length 1, shape (256,).

    Raises ProviderError; provider_audio_refused if the recording is silent.
    """
    worker = shared_worker(open_session, config.speaker_encoder_path, config.threads)
    return await worker.run(lambda encoder: embed_now(encoder, recording, stage), stage=stage)


async def preload(config: LocalConfig) -> None:
    """Load the encoder, so that its first use does not wait. Raises ProviderError."""
    await shared_worker(open_session, config.speaker_encoder_path, config.threads).preload(stage="clone")


def embed_now(encoder: InferenceSession, recording: Recording, stage: Stage) -> Embedding:
    return encode(encoder, log_mel(power_spectrogram(speech_of(recording, stage))))


def speech_of(recording: Recording, stage: Stage) -> Samples:
    speech = remove_silence(samples.from_recording(recording, sample_rate=SAMPLE_RATE))
    if not speech.size:
        raise ProviderError("provider_audio_refused", stage=stage, retryable=False)
    return speech


def encode(encoder: InferenceSession, spectrogram: Spectrogram) -> Embedding:
    """Return the mean embedding of the windows of a log-mel spectrogram, scaled to length 1. Shape (256,)."""
    windows = cut_into_windows(spectrogram)
    batches = [windows[start : start + BATCH_WINDOWS] for start in range(0, len(windows), BATCH_WINDOWS)]
    vectors = np.concatenate([encoder.run(None, {"mel_window": batch})[0] for batch in batches])
    return unit(unit(vectors).mean(axis=0))


def similarity(one: Embedding, other: Embedding) -> float:
    """Return the cosine similarity of two embeddings: 1 for the same direction, 0 for orthogonal vectors."""
    return float(np.dot(unit(one), unit(other)))


def unit(vectors: Embedding) -> Embedding:
    """Return `vectors` scaled to length 1 along the last axis."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Embedding = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled


def remove_silence(sound: Samples) -> Samples:
    """Return `sound` without silence around and between the words, at the level that the encoder expects."""
    usable = len(sound) // SILENCE_FRAME * SILENCE_FRAME
    frames = sound[:usable].reshape(-1, SILENCE_FRAME)
    levels = np.sqrt(np.mean(frames**2, axis=1))
    threshold = max(levels.max(initial=0) * SILENCE_BELOW_PEAK, QUIETEST_SPEECH)
    speech: Samples = frames[levels > threshold].ravel()
    if not speech.size:
        return speech
    levelled: Samples = speech * (SPEECH_LEVEL / np.sqrt(np.mean(speech**2)))
    return levelled


def power_spectrogram(sound: Samples, *, step: int = FRAME_STEP) -> Spectrogram:
    """Return the power at 257 frequencies, with one frame every `step` samples. Shape (frames, 257)."""
    padded = np.pad(sound, (0, max(0, FFT_SIZE - len(sound))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_SIZE)[::step]
    power: Spectrogram = np.abs(np.fft.rfft(frames * analysis_window(), axis=1)) ** 2
    return power


def log_mel(power: Spectrogram) -> Spectrogram:
    """Return the log-mel spectrogram for the encoder. Shape (frames, 40)."""
    logarithms: Spectrogram = np.log10(power @ mel_filters() + POWER_FLOOR).astype(np.float32)
    return logarithms


def cut_into_windows(spectrogram: Spectrogram) -> Spectrogram:
    """Return windows that overlap by half, shape (windows, 80, 40). A short spectrogram is padded with zeros."""
    missing = max(0, WINDOW_FRAMES - len(spectrogram))
    padded = np.pad(spectrogram, ((0, missing), (0, 0)))
    starts = range(0, len(padded) - WINDOW_FRAMES + 1, WINDOW_STEP)
    return np.stack([padded[start : start + WINDOW_FRAMES] for start in starts])


@functools.cache
def analysis_window() -> NDArray[np.float64]:
    """Return the periodic Hamming window of one frame, centred in the FFT. Shape (512,)."""
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(FRAME_SIZE) / FRAME_SIZE)
    return np.pad(window, (FFT_SIZE - FRAME_SIZE) // 2)


@functools.cache
def mel_filters() -> NDArray[np.float64]:
    """Return triangular filters of equal area, spaced evenly on the mel scale below. Shape (257, 40)."""
    edges = mel_to_hertz(np.linspace(0, hertz_to_mel(SAMPLE_RATE / 2), MEL_BANDS + 2))
    frequencies = np.linspace(0, SAMPLE_RATE / 2, FFT_SIZE // 2 + 1)[:, np.newaxis]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (frequencies - low) / (centre - low)
    falling = (high - frequencies) / (high - centre)
    filters: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)
    return filters


# The mel scale of Slaney's Auditory Toolbox: linear up to 1 kHz (15 mel), then logarithmic, 27 mel per factor of 6.4.
MEL_PER_HERTZ = 3 / 200
KNEE_HERTZ = 1000.0
KNEE_MEL = KNEE_HERTZ * MEL_PER_HERTZ
LOG_STEP = np.log(6.4) / 27


def hertz_to_mel(hertz: float) -> float:
    if hertz < KNEE_HERTZ:
        return hertz * MEL_PER_HERTZ
    return float(KNEE_MEL + np.log(hertz / KNEE_HERTZ) / LOG_STEP)


def mel_to_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = KNEE_HERTZ * np.exp(LOG_STEP * (mel - KNEE_MEL))
    hertz: NDArray[np.float64] = np.where(mel < KNEE_MEL, mel / MEL_PER_HERTZ, above)
    return hertz
