"""Telling speech from noise, hum, clicks and tunes."""

from __future__ import annotations

import pytest

from apps.speech.audio.speech_presence import has_speech, measure_activity
from apps.speech.base import Recording
from tests.audio_samples import TRANSCRIPTS, clip, contained, silence
from tests.noise_samples import KINDS, NOISES, in_noise, noise_of, scaled, surrounded, whispered
from tests.speech.audio.comparison import decode

SPEECH = clip("austen-0880.wav")
WORD = Recording(SPEECH.pcm[16_000:28_800], 16_000)  # 0.4 seconds.


@pytest.mark.parametrize("kind", NOISES)
def test_noise_is_no_speech(kind: str) -> None:
    for seconds in (0.3, 3, 20):
        for level_db in (-45, -25, -8):
            assert not has_speech(noise_of(kind, seconds=seconds, level_db=level_db)), (seconds, level_db)
    assert measure_activity(noise_of(kind)).share <= 0.05


@pytest.mark.parametrize("recording", [silence(3), silence(0.1), silence(0), noise_of("white", level_db=-60)])
def test_silence_is_no_speech(recording: Recording) -> None:
    assert not has_speech(recording)
    assert measure_activity(recording).share == 0


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_speech_is_speech(name: str) -> None:
    assert has_speech(clip(name))
    activity = measure_activity(clip(name))
    assert activity.share > 0.5
    assert activity.longest_seconds > 1


@pytest.mark.parametrize("kind", KINDS)
def test_speech_in_noise_is_speech(kind: str) -> None:
    for over_noise_db in (20, 10, 0):
        assert has_speech(in_noise(SPEECH, kind, over_noise_db=over_noise_db)), over_noise_db


def test_quiet_whispered_and_telephoned_speech_is_speech() -> None:
    assert has_speech(scaled(SPEECH, -45))
    assert has_speech(whispered(SPEECH))
    assert has_speech(decode(contained(SPEECH, "amr", "libopencore_amrnb", sample_rate=8_000)))


def test_a_word_is_speech_whatever_is_around_it() -> None:
    assert has_speech(WORD)
    assert has_speech(surrounded(WORD, 30))
    assert has_speech(in_noise(surrounded(WORD, 5), "pink", over_noise_db=0))
    loud_click = noise_of("clicks", seconds=1, level_db=-15)
    assert has_speech(Recording(loud_click.pcm + surrounded(scaled(WORD, -38), 1).pcm, 16_000))


def test_the_share_of_speech_counts_only_what_can_be_heard() -> None:
    alone, later = measure_activity(surrounded(SPEECH, 1)), measure_activity(surrounded(SPEECH, 20))
    assert later.share == pytest.approx(alone.share, abs=0.15)
    assert later.longest_seconds == pytest.approx(alone.longest_seconds, abs=0.2)
