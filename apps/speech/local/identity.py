"""Speaker verification that is robust to the microphone and to noise: are two recordings of the same person?

The encoder depends on the channel (microphone, room, noise) as well as on the speaker. So recordings are compared
twice, as they are and with the channel removed. For that, the spectrum of the noise between the words is subtracted
(spectral subtraction; Boll 1979), and the mean spectrum, which depends on the microphone as much as on the speaker, is
made equal for everybody (cepstral mean normalisation; Furui 1981). Decision 12 contains measurements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from apps.speech.base import ProviderError, Recording, Stage
from apps.speech.local import samples, speaker
from apps.speech.local.config import LocalConfig
from apps.speech.local.samples import Samples
from apps.speech.local.speaker import SAMPLE_RATE, Embedding, Spectrogram
from apps.speech.local.worker import shared_worker
from apps.speech.onnx import open_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# Of speech without pauses. Shorter segments identify the speaker less reliably.
SEGMENT_SECONDS = 15

# With the channel removed, different speakers are more similar by this much. It is subtracted, so that both comparisons
# have the same threshold.
CHANNEL_REMOVED_OFFSET = 0.06

# In dB. A frame is speech if it exceeds the noise by SPEECH_OVER_NOISE_DB, or is less than SPEECH_BELOW_PEAK_DB below
# the peak. A frame below one of the last two thresholds is silence.
SPEECH_OVER_NOISE_DB = 6
SPEECH_BELOW_PEAK_DB = 22
SILENCE_BELOW_PEAK_DB = 40
QUIETEST_DB = -70
# In percent: the quietest share of the time is assumed to be without speech.
QUIET_SHARE, QUIETEST_SHARE = 10, 5
NOISE_FACTOR = 1.5
# The share of the power that is always kept. Subtracting all of it would leave artificial tones ("musical noise").
SPECTRAL_FLOOR = 0.02
# The mean log-mel spectrum of the speakers of decision 12. The encoder works best around it.
# fmt: off
MEAN_SPECTRUM = np.array([
    -3.24, -2.09, -1.80, -2.29, -2.55, -2.68, -3.02, -3.26, -3.47, -3.60,
    -3.65, -3.79, -3.88, -3.95, -4.16, -4.26, -4.34, -4.36, -4.36, -4.33,
    -4.34, -4.39, -4.47, -4.54, -4.58, -4.59, -4.61, -4.64, -4.77, -4.95,
    -5.07, -5.13, -5.22, -5.30, -5.40, -5.54, -5.63, -5.65, -5.68, -5.80,
], np.float32)
# fmt: on


@dataclass(frozen=True, slots=True)
class Voiceprint:
    """Embeddings of the segments of a recording, unchanged and with the channel removed. Shapes (segments, 256)."""

    unchanged: Embedding
    without_channel: Embedding

    def similarity(self, sample: Voiceprint) -> float:
        """Return the similarity (a cosine, -1 to 1) of the least similar segment of `sample` to this whole recording.

        The minimum over segments, because a recording that is half another person's would still be similar as a whole.
        """
        unchanged = _lowest_similarity(self.unchanged, sample.unchanged)
        without_channel = _lowest_similarity(self.without_channel, sample.without_channel)
        return max(unchanged, without_channel - CHANNEL_REMOVED_OFFSET)


def _lowest_similarity(reference: Embedding, segments: Embedding) -> float:
    return float((segments @ speaker.unit(reference.mean(axis=0))).min())


async def identify(recording: Recording, config: LocalConfig, *, stage: Stage) -> Voiceprint:
    """Return the voiceprint of `recording`, with segments of equal length, of at most SEGMENT_SECONDS of speech.

    Raises ProviderError; provider_audio_refused if the recording is silent.
    """
    worker = shared_worker(open_session, config.speaker_encoder_path, config.threads)
    return await worker.run(lambda encoder: identify_now(encoder, recording, stage), stage=stage)


def identify_now(encoder: InferenceSession, recording: Recording, stage: Stage) -> Voiceprint:
    unchanged = speaker.log_mel(speaker.power_spectrogram(speaker.speech_of(recording, stage)))
    without_channel = normalised_spectrogram(samples.from_recording(recording, sample_rate=SAMPLE_RATE), stage)
    return Voiceprint(_embed_segments(encoder, unchanged), _embed_segments(encoder, without_channel))


def _embed_segments(encoder: InferenceSession, spectrogram: Spectrogram) -> Embedding:
    count = math.ceil(len(spectrogram) * speaker.FRAME_STEP / (SEGMENT_SECONDS * SAMPLE_RATE))
    return np.stack([speaker.encode(encoder, segment) for segment in np.array_split(spectrogram, count)])


def normalised_spectrogram(sound: Samples, stage: Stage) -> Spectrogram:
    """Return the log-mel spectrogram of the speech in `sound`, without noise and with MEAN_SPECTRUM as its mean."""
    speech = speech_in(sound)
    if not speech.size:
        raise ProviderError("provider_audio_refused", stage=stage, retryable=False)
    power = speaker.power_spectrogram(speech)
    without_noise = np.maximum(power - NOISE_FACTOR * noise_in(sound), SPECTRAL_FLOOR * power)
    level = speaker.SPEECH_LEVEL**2 / np.mean(speech**2)
    spectrogram = speaker.log_mel(without_noise * level)
    normalised: Spectrogram = spectrogram - spectrogram.mean(axis=0) + MEAN_SPECTRUM
    return normalised


def speech_in(sound: Samples) -> Samples:
    """Return `sound` without pauses, even if the pauses are noisy."""
    frames = sound[: len(sound) // speaker.SILENCE_FRAME * speaker.SILENCE_FRAME].reshape(-1, speaker.SILENCE_FRAME)
    if not frames.size:
        return frames.ravel()
    levels = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    peak = levels.max()
    above_noise = min(np.percentile(levels, QUIETEST_SHARE) + SPEECH_OVER_NOISE_DB, peak - SPEECH_BELOW_PEAK_DB)
    speech: Samples = frames[levels > max(above_noise, peak - SILENCE_BELOW_PEAK_DB, QUIETEST_DB)].ravel()
    return speech


def noise_in(sound: Samples) -> Spectrogram:
    """Return the mean power of the quietest frames at each frequency. Shape (257,)."""
    power = speaker.power_spectrogram(sound, step=speaker.FFT_SIZE)
    total = power.sum(axis=1)
    quiet: Spectrogram = power[total <= np.percentile(total, QUIET_SHARE)].mean(axis=0)
    return quiet
