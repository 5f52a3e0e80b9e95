from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from apps.core.errors import UserError
from apps.speech.base import AudioError, Recording
from apps.voices import samples as voice_samples
from apps.voices.samples import MAX_FILES, CheckedSample, sample_rules
from tests.audio_samples import clip, mp4, silence, to_wav, webm
from tests.client import QUESTION, SAMPLE_SECONDS, SAMPLES
from tests.noise_samples import noise_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_django import Settings

LONG = clip("austen-0870.wav")


def check_samples(files: Sequence[bytes]) -> list[CheckedSample]:
    return voice_samples.check_samples(files, user_id=1)


def refusal_of(files: Sequence[bytes]) -> UserError:
    with pytest.raises(UserError) as caught:
        check_samples(files)
    assert caught.value.status == 422
    return caught.value


def test_it_returns_each_recording_with_its_level_and_the_hash_of_the_upload() -> None:
    samples = check_samples(SAMPLES)
    assert sum(sample.recording.seconds for sample in samples) == pytest.approx(SAMPLE_SECONDS, abs=0.01)
    assert [sample.sha256 for sample in samples] == [hashlib.sha256(data).hexdigest() for data in SAMPLES]
    for sample in samples:
        assert sample.recording.sample_rate == 44_100
        assert -40 < sample.level.rms_db < sample.level.peak_db <= 0


def test_recordings_may_have_different_formats() -> None:
    assert len(check_samples([webm(LONG), mp4(LONG)])) == 2


def test_too_little_speech_is_refused_with_the_measured_and_accepted_seconds() -> None:
    refusal = refusal_of([QUESTION])
    assert refusal.code == "sample_too_short"
    assert "3.3 seconds" in refusal.message
    for wanted in ("10", "60", "120"):
        assert wanted in refusal.message


def test_the_seconds_of_all_recordings_count_together(settings: Settings) -> None:
    settings.MIN_SAMPLE_SECONDS = 13
    assert len(check_samples(SAMPLES)) == 2
    settings.MIN_SAMPLE_SECONDS = 14
    assert "13.1 seconds" in refusal_of(SAMPLES).message


def test_too_much_speech_is_refused_with_the_measured_and_accepted_seconds(settings: Settings) -> None:
    settings.MAX_SAMPLE_SECONDS = 12
    refusal = refusal_of(SAMPLES)
    assert refusal.code == "sample_too_long"
    assert "13.1 seconds" in refusal.message
    assert "12 are accepted" in refusal.message


def test_a_single_recording_that_is_too_long_is_refused(settings: Settings) -> None:
    settings.MAX_SAMPLE_SECONDS = 10
    with pytest.raises(AudioError) as caught:
        check_samples([to_wav(Recording(LONG.pcm * 2, LONG.sample_rate))])
    assert caught.value.code == "audio_too_long"


@pytest.mark.parametrize("seconds", [10, 10.9])
def test_the_exact_limits_and_slightly_longer_recordings_are_accepted(settings: Settings, seconds: float) -> None:
    settings.MIN_SAMPLE_SECONDS = settings.MAX_SAMPLE_SECONDS = 10
    recording = Recording((LONG.pcm * 2)[: 2 * round(seconds * LONG.sample_rate)], LONG.sample_rate)
    assert len(check_samples([to_wav(recording)])) == 1


def test_the_same_file_counts_once() -> None:
    samples = check_samples([SAMPLES[0], SAMPLES[1], SAMPLES[0]])
    assert [sample.sha256 for sample in samples] == [hashlib.sha256(data).hexdigest() for data in SAMPLES]


def test_if_the_same_file_does_not_suffice_the_message_says_why() -> None:
    refusal = refusal_of([QUESTION] * 4)
    assert refusal.code == "sample_too_short"
    assert "3.3 seconds" in refusal.message
    assert "counts once" in refusal.message
    assert "counts once" not in refusal_of([QUESTION]).message


def test_silence_is_refused_with_its_level() -> None:
    refusal = refusal_of([*SAMPLES, to_wav(silence(5))])
    assert refusal.code == "sample_silent"
    assert "-120 dB" in refusal.message


def test_mere_noise_is_refused_as_such() -> None:
    refusal = refusal_of([*SAMPLES, to_wav(noise_of("white", seconds=5))])
    assert refusal.code == "sample_silent"
    assert "only noise" in refusal.message


def test_an_empty_list_is_refused() -> None:
    assert refusal_of([]).code == "sample_missing"


def test_too_many_recordings_are_refused_with_their_number() -> None:
    refusal = refusal_of([QUESTION] * (MAX_FILES + 1))
    assert refusal.code == "too_many_samples"
    assert "11" in refusal.message
    assert "10" in refusal.message


@pytest.mark.parametrize(
    ("data", "code"), [(b"", "audio_empty"), (b"plain text", "audio_format_unknown"), (SAMPLES[0][:44], "audio_")]
)
def test_a_file_without_audio_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(AudioError) as caught:
        check_samples([*SAMPLES, data])
    assert caught.value.code.startswith(code)


def test_the_rules_follow_the_settings(settings: Settings) -> None:
    settings.MIN_SAMPLE_SECONDS, settings.RECOMMENDED_MAX_SAMPLE_SECONDS = 7, 99
    rules = sample_rules()
    assert (rules.min_seconds, rules.max_seconds) == (7, 180)
    assert (rules.recommended_min_seconds, rules.recommended_max_seconds) == (60, 99)
