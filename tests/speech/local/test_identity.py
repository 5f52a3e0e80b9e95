"""Speakers are recognised by their voice, regardless of the microphone and background noise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from apps.speech.audio.decoding import decode
from apps.speech.audio.resampling import join
from apps.speech.base import ProviderError, Recording
from apps.speech.local import identity
from apps.speech.local.config import LocalConfig
from apps.speech.local.identity import Voiceprint
from tests.audio_samples import SPEECH_DIR, silence

THRESHOLD = 0.8
RATE = 16_000


def identify(config: LocalConfig, recording: Recording) -> Voiceprint:
    return asyncio.run(identity.identify(recording, config, stage="clone"))


def samples_of(recording: Recording) -> NDArray[np.float64]:
    return np.frombuffer(recording.pcm, "<i2").astype(float)


def recording_of(samples: NDArray[np.float64]) -> Recording:
    return Recording(np.clip(samples, -32768, 32767).astype("<i2").tobytes(), RATE)


def through_another_microphone(recording: Recording) -> Recording:
    """Attenuate low and high frequencies, and add a ripple between them."""
    spectrum = np.fft.rfft(samples_of(recording))
    hertz = np.fft.rfftfreq(len(recording.pcm) // 2, 1 / RATE)
    highs = np.where(hertz > 5000, np.exp(-(hertz - 5000) / 800), 1)
    return recording_of(np.fft.irfft(spectrum * np.clip(hertz / 250, 0, 1) * highs * (1 + 0.6 * np.sin(hertz / 700))))


def beside_a_fan(recording: Recording) -> Recording:
    """Add white noise at 20 dB below the speech."""
    samples = samples_of(recording)
    noise = np.random.default_rng(0).normal(size=len(samples))
    return recording_of(samples + noise * np.sqrt(np.mean(samples**2)) / 10)


@pytest.fixture(scope="module")
def consent(clips: list[Recording]) -> Recording:
    return join(clips[2:])


@pytest.fixture(scope="module")
def sample(clips: list[Recording]) -> Recording:
    return join(clips[:2])


@pytest.fixture(scope="module")
def stranger() -> Recording:
    return decode((SPEECH_DIR / "cards.flac").read_bytes(), sample_rate=RATE, max_seconds=60)


Change = Callable[[Recording], Recording]
CHANGES: list[Change] = [lambda recording: recording, through_another_microphone, beside_a_fan]


@pytest.mark.parametrize("change", CHANGES)
def test_a_speaker_is_recognised_over_another_channel(
    config: LocalConfig, consent: Recording, sample: Recording, change: Change
) -> None:
    assert identify(config, consent).similarity(identify(config, change(sample))) > THRESHOLD


@pytest.mark.parametrize("change", CHANGES)
def test_two_speakers_on_the_same_channel_differ(
    config: LocalConfig, consent: Recording, stranger: Recording, change: Change
) -> None:
    assert identify(config, change(consent)).similarity(identify(config, change(stranger))) < THRESHOLD


def test_each_segment_of_a_recording_is_compared(config: LocalConfig, sample: Recording, stranger: Recording) -> None:
    both = join([sample, stranger])
    assert identify(config, sample).similarity(identify(config, sample)) > THRESHOLD
    assert identify(config, sample).similarity(identify(config, both)) < THRESHOLD


@pytest.mark.parametrize("seconds", [0, 0.001, 3])
def test_silence_is_refused(config: LocalConfig, seconds: float) -> None:
    with pytest.raises(ProviderError) as raised:
        identify(config, silence(seconds))
    assert raised.value.code == "provider_audio_refused"
