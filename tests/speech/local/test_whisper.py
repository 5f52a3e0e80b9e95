from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import jiwer
import numpy as np
import pytest
from numpy.typing import NDArray

from apps.speech.base import ProviderError, Recording, Transcript, TranscriptSegment
from apps.speech.local.config import LocalConfig
from apps.speech.local.samples import from_recording, to_pcm
from apps.speech.local.whisper import (
    SECONDS_PER_TIMESTAMP,
    Heard,
    LocalSpeechToText,
    hear_in_full_windows,
    hear_in_short_window,
    load_whisper,
    timed_segments,
)
from apps.speech.local.whisper import transcribe as hear
from tests.audio_samples import TRANSCRIPTS, silence
from tests.speech.local.wording import plain_words

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

SAMPLE_RATE = 16_000


@pytest.fixture(scope="module")
def model(config: LocalConfig) -> WhisperModel:
    return load_whisper(config.whisper_dir, threads=2)


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
    # One of its eight words is often misheard in a short window: "ill-sposed".
    assert jiwer.wer(plain_words(TRANSCRIPTS["austen-0880.wav"]), plain_words(heard.text)) <= 1 / 8
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


def test_a_question_is_heard_in_a_window_of_its_length(model: WhisperModel, clips: list[Recording]) -> None:
    heard = hear_in_short_window(model, from_recording(clips[1], sample_rate=SAMPLE_RATE), None)
    assert heard is not None
    assert heard.language == "en"
    assert 0 <= heard.segments[0].start < heard.segments[-1].end <= clips[1].seconds + 1


def test_short_windows_are_as_intelligible_as_full_ones(model: WhisperModel, clips: list[Recording]) -> None:
    sounds = [from_recording(clip, sample_rate=SAMPLE_RATE) for clip in clips]
    sounds += [np.concatenate([sounds[0], sounds[2]]), np.concatenate([sounds[3], sounds[1], sounds[4]])]
    texts = list(TRANSCRIPTS.values())
    texts += [f"{texts[0]} {texts[2]}", f"{texts[3]} {texts[1]} {texts[4]}"]

    def word_error(heard: Iterable[Heard]) -> float:
        found = [plain_words(" ".join(segment.text for segment in each.segments)) for each in heard]
        return float(jiwer.wer(list(map(plain_words, texts)), found))

    short = [hear_in_short_window(model, sound, None) or hear_in_full_windows(model, sound, None) for sound in sounds]
    full = [hear_in_full_windows(model, sound, None) for sound in sounds]
    assert word_error(short) <= word_error(full) + 0.015


def test_a_doubtful_question_is_heard_again_in_full_windows(model: WhisperModel, clips: list[Recording]) -> None:
    speech = from_recording(clips[4], sample_rate=SAMPLE_RATE)
    noise = np.random.default_rng(7).standard_normal(2 * SAMPLE_RATE).astype(np.float32)
    too_long = np.tile(speech, round(30 * SAMPLE_RATE / len(speech)))
    without_words = 0.05 * noise
    lost_at_its_end = np.concatenate([speech, np.zeros(6 * SAMPLE_RATE, np.float32)])
    for sound in (too_long, without_words, lost_at_its_end):
        assert hear_in_short_window(model, sound, None) is None


def test_a_recording_that_is_too_long_for_one_window_is_heard_to_its_end(
    config: LocalConfig, clips: list[Recording]
) -> None:
    recording = Recording(b"".join(clip.pcm for clip in [*clips, *clips[:3]]), SAMPLE_RATE)
    assert recording.seconds > 30
    (heard,) = transcribe(config, [recording], language="en")
    texts = list(TRANSCRIPTS.values())
    assert jiwer.wer(plain_words(" ".join([*texts, *texts[:3]])), plain_words(heard.text)) <= 0.05


@pytest.mark.parametrize(
    ("written", "segments"),
    [
        ("<0.0> One.<1.5>", [(0.0, 1.5, "One.")]),
        ("<0.0> One.<1.5><2.0> Two.<3.0>", [(0.0, 1.5, "One."), (2.0, 3.0, "Two.")]),
        ("<0.0> One.<1.5> Two.<3.0>", [(0.0, 1.5, "One."), (1.5, 3.0, "Two.")]),
        ("<0.0> One.<1.5><2.0> Two", []),
        ("<0.0><1.5>", []),
        ("", []),
    ],
)
def test_text_without_an_end_is_doubtful(
    model: WhisperModel, written: str, segments: list[tuple[float, float, str]]
) -> None:
    from faster_whisper.tokenizer import Tokenizer

    tokenizer = Tokenizer(model.hf_tokenizer, multilingual=True, task="transcribe", language="en")
    tokens: list[int] = []
    for part in re.split(r"(<[\d.]+>)", written):
        if part.startswith("<"):
            tokens.append(tokenizer.timestamp_begin + round(float(part[1:-1]) / SECONDS_PER_TIMESTAMP))
        else:
            tokens += tokenizer.encode(part)
    assert timed_segments(tokenizer, tokens) == [TranscriptSegment(*segment) for segment in segments]


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


def test_words_have_the_times_of_the_recording(model: WhisperModel, clips: list[Recording]) -> None:
    before, between = silence(3), silence(4)
    whole = Recording(b"".join(part.pcm for part in [before, clips[1], between, clips[3]]), clips[1].sample_rate)
    heard = hear(model, whole, "en", words=True)
    assert plain_words(" ".join(word.text for word in heard.words)) == plain_words(heard.text)
    times = [time for word in heard.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert before.seconds - 1 < times[0] < before.seconds + 1
    second = before.seconds + clips[1].seconds + between.seconds
    assert not [word for word in heard.words if second - between.seconds + 0.5 < word.start < second - 0.5]


@pytest.mark.parametrize("words", [False, True])
def test_segments_have_the_accounts_of_the_model(model: WhisperModel, clips: list[Recording], *, words: bool) -> None:
    for segment in hear(model, clips[1], "en", words=words).segments:
        assert segment.tokens
        assert -1 < segment.avg_logprob < 0
        assert 0 <= segment.no_speech_prob < 0.6
