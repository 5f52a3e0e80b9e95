"""Fits a voice to a speaker: a mix of Kokoro's stock voices, its pitch, and a filter.

A Kokoro voice is a table of style vectors, one for each length of a text in phonemes. A weighted mean of such tables is
also a voice, and its speaker embedding is close to the weighted mean of the embeddings of its parts. The same is true
of its mean spectrum and of its pitch. So nothing has to be synthesised to fit a voice. Decision 21 contains
measurements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apps.speech.local import prosody, spectrum
from apps.speech.local.samples import Samples
from apps.speech.local.speaker import Embedding
from apps.speech.local.spectrum import FloatArray
from apps.speech.local.voice_files import LocalVoice, Styles

STOCK_VOICES = Path(__file__).with_name("stock_voices.npz")
SAMPLE_RATE = 24000  # Of Kokoro's speech.

MIX_STEPS = 2000
MIN_WEIGHT = 0.01
# How far the pitch of the mix is changed at most: a greater difference is rather an error of measurement. A difference
# of less than two semitones is left, since every change costs some of the similarity.
MAX_PITCH_OCTAVES, MIN_PITCH_OCTAVES = 0.7, 1 / 6


@dataclass(frozen=True, slots=True)
class StockVoices:
    """What was measured of the stock voices. Shapes (54,), (54, 256), (54, 40) in dB, and (54,) in log2 Hz."""

    names: NDArray[np.str_]
    embeddings: Embedding
    spectra: FloatArray
    octaves: FloatArray


def fit_voice(stock_styles: Path, embedding: Embedding, sound: Samples) -> LocalVoice:
    """Return a voice like that of the speaker of `sound` (at 16 kHz), whose embedding is `embedding`.

    `stock_styles` is the file of the stock voices' style vectors. Raises FileNotFoundError without it.
    """
    stock = measured_stock_voices()
    weights = mixing_weights(stock.embeddings, embedding)
    response = spectrum.matching_filter(
        weights @ stock.spectra, spectrum.mean_spectrum(sound, "clone"), sample_rate=SAMPLE_RATE
    )
    return LocalVoice(
        mix(stock_styles, stock.names, weights), response, pitch_scale(float(weights @ stock.octaves), sound)
    )


def measured_stock_voices() -> StockVoices:
    with np.load(STOCK_VOICES) as file:
        return StockVoices(
            file["names"],
            file["embeddings"].astype(np.float32),
            file["spectra"].astype(np.float64),
            file["octaves"].astype(np.float64),
        )


def mix(stock_styles: Path, names: NDArray[np.str_], weights: NDArray[np.float32]) -> Styles:
    with np.load(stock_styles) as styles:
        mixed = sum(weight * styles[name] for name, weight in zip(names, weights, strict=True) if weight)
    return np.asarray(mixed, np.float32)


def mixing_weights(embeddings: Embedding, target: Embedding) -> NDArray[np.float32]:
    """Return the non-negative weights whose mix of the rows of `embeddings` is closest to `target`.

    Their sum is scaled to 1. Projected gradient descent on the squared distance, after which most weights are 0.
    """
    products = embeddings @ embeddings.T
    aim = embeddings @ target
    step = 1 / np.linalg.eigvalsh(products)[-1]
    weights = np.full(len(embeddings), 1 / len(embeddings), np.float32)
    for _ in range(MIX_STEPS):
        weights = np.maximum(0, weights - step * (products @ weights - aim))
    weights[weights < MIN_WEIGHT] = 0
    scaled: NDArray[np.float32] = weights / weights.sum()
    return scaled


def pitch_scale(octaves: float, sound: Samples) -> float:
    """Return the factor from the pitch `octaves` (in log2 Hz) to that of `sound`; 1 if that cannot be measured."""
    pitch = prosody.measure_pitch(sound)
    if pitch is None:
        return 1.0
    difference = math.log2(pitch) - octaves
    if abs(difference) < MIN_PITCH_OCTAVES:
        return 1.0
    return math.pow(2, min(max(difference, -MAX_PITCH_OCTAVES), MAX_PITCH_OCTAVES))
