"""Recordings are resampled and joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apps.speech.audio.resampling import join, resample
from tests.audio_samples import silence
from tests.speech.audio.comparison import SECOND, SPEECH, likeness

if TYPE_CHECKING:
    from apps.speech.base import Recording


def test_a_resampled_recording_sounds_the_same() -> None:
    wide = resample(SPEECH, sample_rate=24_000)
    assert wide.sample_rate == 24_000
    assert wide.seconds == pytest.approx(SPEECH.seconds, abs=0.001)
    assert likeness(resample(wide, sample_rate=16_000), SPEECH) > 0.99


def test_resampling_to_the_same_rate_or_of_an_empty_recording_changes_nothing() -> None:
    assert resample(SPEECH, sample_rate=16_000) == SPEECH
    assert resample(silence(0), sample_rate=24_000) == silence(0, sample_rate=24_000)


def test_joined_recordings_have_half_a_second_between_them() -> None:
    joined = join([SPEECH, SECOND])
    assert joined.seconds == SPEECH.seconds + 0.5 + SECOND.seconds
    assert joined.pcm.startswith(SPEECH.pcm + bytes(16_000))
    assert joined.pcm.endswith(SECOND.pcm)


@pytest.mark.parametrize("recordings", [[], [silence(1), silence(1, sample_rate=8_000)]])
def test_only_recordings_of_one_sample_rate_can_be_joined(recordings: list[Recording]) -> None:
    with pytest.raises(ValueError, match="unpack"):
        join(recordings)
