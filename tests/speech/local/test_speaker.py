from __future__ import annotations

import asyncio

import numpy as np
import pytest

from apps.speech.audio.resampling import join, resample
from apps.speech.base import ProviderError, Recording
from apps.speech.local import speaker, voice_fit
from apps.speech.local.config import LocalConfig
from apps.speech.local.speaker import Embedding
from tests.audio_samples import silence


def embed(config: LocalConfig, *recordings: Recording) -> Embedding:
    return asyncio.run(speaker.embed(join(recordings), config, stage="clone"))


def louder(recording: Recording, factor: float) -> Recording:
    samples = np.frombuffer(recording.pcm, "<i2") * factor
    return Recording(samples.astype("<i2").tobytes(), recording.sample_rate)


def test_the_same_speaker_is_similar_and_others_are_not(config: LocalConfig, clips: list[Recording]) -> None:
    one, other = embed(config, *clips[:2]), embed(config, *clips[2:])
    assert one.shape == (256,)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    assert speaker.similarity(one, other) > 0.85
    with np.load(voice_fit.STOCK_VOICES) as stock:
        assert stock["embeddings"].shape == (54, 256)
        strangers = [speaker.similarity(one, embedding) for embedding in stock["embeddings"].astype(np.float32)]
    assert max(strangers) < 0.7


def test_it_does_not_depend_on_level_pauses_and_sample_rate(config: LocalConfig, clips: list[Recording]) -> None:
    voice = embed(config, clips[0])
    assert speaker.similarity(voice, embed(config, louder(clips[0], 0.1))) > 0.99
    assert speaker.similarity(voice, embed(config, silence(3), clips[0], silence(3))) > 0.99
    assert speaker.similarity(voice, embed(config, resample(clips[0], sample_rate=48_000))) > 0.97


def test_a_word_is_enough_for_an_embedding(config: LocalConfig, clips: list[Recording]) -> None:
    word = Recording(clips[0].pcm[16_000:32_000], 16_000)  # 0.5 s, shorter than one window.
    assert speaker.similarity(embed(config, word), embed(config, clips[0])) > 0.3


@pytest.mark.parametrize("seconds", [0, 0.001, 3])
def test_silence_is_refused(config: LocalConfig, seconds: float) -> None:
    with pytest.raises(ProviderError) as raised:
        embed(config, silence(seconds))
    assert (raised.value.code, raised.value.stage) == ("provider_audio_refused", "clone")
