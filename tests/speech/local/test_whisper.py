from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import jiwer
import numpy as np
import pytest
from numpy.typing import NDArray

from apps.speech.base import ProviderError, Recording, Transcript
from apps.speech.local.config import LocalConfig
from apps.speech.local.samples import to_pcm
from apps.speech.local.whisper import LocalSpeechToText
from tests.audio_samples import TRANSCRIPTS, silence
from tests.speech.local.wording import plain_words

SAMPLE_RATE = 16_000


def transcribe(config: LocalConfig, recordings: Iterable[Recording], *, language: str) -> list[Transcript]:
    async def run() -> list[Transcript]:
        speech_to_text = LocalSpeechToText(config)
        return [await speech_to_text.transcribe(recording, language=language) for recording in recordings]

    return asyncio.run(run())


def test_it_transcribes_speech(config: LocalConfig, clips: list[Recording]) -> None:
    heard = transcribe(config, clips, language="en")
    references = [plain_words(text) for text in TRANSCRIPTS.values()]
    assert jiwer.wer(references, [plain_words(transcript.text) for transcript in heard]) <= 0.05
    assert {transcript.language for transcript in heard} == {"en"}


@pytest.mark.parametrize("language", ["", "en-GB"])
def test_the_language_is_only_a_hint(config: LocalConfig, clips: list[Recording], language: str) -> None:
    (heard,) = transcribe(config, [clips[1]], language=language)
    assert plain_words(heard.text) == plain_words(TRANSCRIPTS["austen-0880.wav"])
    assert heard.language == "en"


def pink_noise(generator: np.random.Generator, count: int) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(generator.standard_normal(count))
    return np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), count)


def test_the_transcript_of_silence_and_noise_is_empty(config: LocalConfig) -> None:
    generator = np.random.default_rng(7)
    count = 4 * SAMPLE_RATE
    time = np.arange(count) / SAMPLE_RATE
    sounds = {
        "hiss": 0.05 * generator.standard_normal(count),
        "faint hiss": 0.001 * generator.standard_normal(count),
        "rumble": 0.2 * pink_noise(generator, count) / 0.01,
        "hum": 0.1 * np.sin(2 * np.pi * 50 * time),
        "whistle": 0.3 * np.sin(2 * np.pi * (300 + 200 * time) * time),
        "clicks": 0.8 * (generator.random(count) < 1e-4),
    }
    recordings = [Recording(to_pcm(sound.astype(np.float32)), SAMPLE_RATE) for sound in sounds.values()]
    heard = transcribe(config, [silence(4), silence(0.05), Recording(b"", SAMPLE_RATE), *recordings], language="")
    assert set(heard) == {Transcript("", "")}


def test_a_long_pause_adds_no_words(config: LocalConfig, clips: list[Recording]) -> None:
    recording = Recording(clips[1].pcm + silence(8).pcm + clips[4].pcm + silence(8).pcm, SAMPLE_RATE)
    (heard,) = transcribe(config, [recording], language="en")
    expected = f"{TRANSCRIPTS['austen-0880.wav']} {TRANSCRIPTS['austen-0930.wav']}"
    assert plain_words(heard.text) == plain_words(expected)


def test_missing_models_are_an_error(config_without_models: LocalConfig) -> None:
    with pytest.raises(ProviderError) as raised:
        transcribe(config_without_models, [silence(1)], language="en")
    assert (raised.value.code, raised.value.stage, raised.value.retryable) == ("models_missing", "hear", False)


def test_it_never_downloads_missing_files(config: LocalConfig, tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "vocabulary.txt"):
        (tmp_path / name).symlink_to(config.whisper_dir / name)
    with pytest.raises(ProviderError, match="models_missing"):
        transcribe(replace(config, stt_model=str(tmp_path)), [silence(1)], language="en")


def test_segments_have_the_times_of_the_recording(config: LocalConfig, clips: list[Recording]) -> None:
    before, between = silence(3), silence(4)
    parts = [before, clips[1], between, clips[3]]
    assert len({part.sample_rate for part in parts}) == 1
    whole = Recording(b"".join(part.pcm for part in parts), clips[1].sample_rate)
    (heard,) = transcribe(config, [whole], language="en")
    assert " ".join(segment.text for segment in heard.segments) == heard.text
    times = [time for segment in heard.segments for time in (segment.start, segment.end)]
    assert times == sorted(times)
    second = before.seconds + clips[1].seconds + between.seconds
    assert before.seconds - 1 < times[0] < before.seconds + 1
    assert any(abs(segment.start - second) < 1 for segment in heard.segments)
    assert times[-1] <= whole.seconds + 0.5
