"""Who speaks, whatever the microphone and the noise: to tell whether two recordings are of the same person.

The encoder hears the line as well as the speaker. So recordings are also compared without it: what sounds between the
words is taken out of the spectrum (spectral subtraction; Boll 1979), and the mean spectrum, which is as much the
microphone's as the speaker's, is made the same for everybody (cepstral mean normalisation; Furui 1981). Decision 12
has what that is worth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from apps.speech.base import ProviderError, Recording, Stage
from apps.speech.local import samples, speaker
from apps.speech.local.config import LocalConfig
from apps.speech.local.onnx import open_session
from apps.speech.local.samples import Samples
from apps.speech.local.speaker import SAMPLE_RATE, Embedding, Spectrogram
from apps.speech.local.worker import shared_worker

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

PIECE_SECONDS = 15
"""Of speech alone. Shorter pieces say less of who speaks."""

MORE_WITHOUT_LINE = 0.06
"""How much more similar strangers are without the line, so that both comparisons have the same threshold."""

# In dB. Speech is what is so much above the quietest, as far as it is not more than so much below the loudest.
SPEECH_OVER_NOISE_DB = 6
SPEECH_BELOW_PEAK_DB = 22
SILENCE_BELOW_PEAK_DB = 40
QUIETEST_DB = -70
QUIET_SHARE, QUIETEST_SHARE = 10, 5
"""Percent of the time that nobody speaks in, at least."""
NOISE_FACTOR = 1.5
LEAST_LEFT = 0.02
"""Of the power: taking out all of it would leave tones that nobody made."""
# fmt: off
MEAN_SPECTRUM = np.array([
    -3.24, -2.09, -1.80, -2.29, -2.55, -2.68, -3.02, -3.26, -3.47, -3.60,
    -3.65, -3.79, -3.88, -3.95, -4.16, -4.26, -4.34, -4.36, -4.36, -4.33,
    -4.34, -4.39, -4.47, -4.54, -4.58, -4.59, -4.61, -4.64, -4.77, -4.95,
    -5.07, -5.13, -5.22, -5.30, -5.40, -5.54, -5.63, -5.65, -5.68, -5.80,
], np.float32)
"""The mean log-mel spectrum of the people of decision 12, which is what the encoder is used to."""
# fmt: on


@dataclass(frozen=True, slots=True)
class Voiceprint:
    """Who speaks in each piece of a recording, one in a row of 256 numbers: as it sounds, and without the line."""

    as_it_sounds: Embedding
    without_line: Embedding

    def similarity(self, sample: Voiceprint) -> float:
        """Return how similar the least similar piece of `sample` is to all of this: a cosine, -1 to 1.

        In pieces, since on the whole a recording that is half somebody else's would still resemble the speaker.
        """
        as_it_sounds = _least(self.as_it_sounds, sample.as_it_sounds)
        return max(as_it_sounds, _least(self.without_line, sample.without_line) - MORE_WITHOUT_LINE)


def _least(mine: Embedding, pieces: Embedding) -> float:
    return float((pieces @ speaker.unit(mine.mean(axis=0))).min())


async def identify(recording: Recording, config: LocalConfig, *, stage: Stage) -> Voiceprint:
    """Return who speaks in `recording`. Its pieces have the same length, of at most PIECE_SECONDS of speech.

    Raises ProviderError; provider_audio_refused where there is nothing but silence.
    """
    worker = shared_worker(open_session, config.speaker_encoder_path, config.threads)
    return await worker.run(lambda encoder: identify_now(encoder, recording, stage), stage=stage)


def identify_now(encoder: InferenceSession, recording: Recording, stage: Stage) -> Voiceprint:
    as_it_sounds = speaker.log_mel(speaker.power_spectrogram(speaker.speech_of(recording, stage)))
    without_line = speech_spectrogram(samples.from_recording(recording, sample_rate=SAMPLE_RATE), stage)
    return Voiceprint(_embed_pieces(encoder, as_it_sounds), _embed_pieces(encoder, without_line))


def _embed_pieces(encoder: InferenceSession, spectrogram: Spectrogram) -> Embedding:
    count = math.ceil(len(spectrogram) * speaker.FRAME_STEP / (PIECE_SECONDS * SAMPLE_RATE))
    return np.stack([speaker.encode(encoder, piece) for piece in np.array_split(spectrogram, count)])


def speech_spectrogram(sound: Samples, stage: Stage) -> Spectrogram:
    """Return the log-mel spectrogram of the speech in `sound`, without noise, and with MEAN_SPECTRUM as its mean."""
    speech = speech_in(sound)
    if not speech.size:
        raise ProviderError("provider_audio_refused", stage=stage, retryable=False)
    power = speaker.power_spectrogram(speech)
    without_noise = np.maximum(power - NOISE_FACTOR * noise_in(sound), LEAST_LEFT * power)
    level = speaker.SPEECH_LEVEL**2 / np.mean(speech**2)
    spectrogram = speaker.log_mel(without_noise * level)
    moved: Spectrogram = spectrogram - spectrogram.mean(axis=0) + MEAN_SPECTRUM
    return moved


def speech_in(sound: Samples) -> Samples:
    """Return `sound` without pauses, also where these are full of noise."""
    frames = sound[: len(sound) // speaker.SILENCE_FRAME * speaker.SILENCE_FRAME].reshape(-1, speaker.SILENCE_FRAME)
    if not frames.size:
        return frames.ravel()
    levels = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    peak = levels.max()
    above_noise = min(np.percentile(levels, QUIETEST_SHARE) + SPEECH_OVER_NOISE_DB, peak - SPEECH_BELOW_PEAK_DB)
    speech: Samples = frames[levels > max(above_noise, peak - SILENCE_BELOW_PEAK_DB, QUIETEST_DB)].ravel()
    return speech


def noise_in(sound: Samples) -> Spectrogram:
    """Return the mean power of the quietest frames at each of 257 frequencies."""
    power = speaker.power_spectrogram(sound, step=speaker.FFT_SIZE)
    total = power.sum(axis=1)
    quiet: Spectrogram = power[total <= np.percentile(total, QUIET_SHARE)].mean(axis=0)
    return quiet
