"""Speech is found frame by frame, however the sound is cut."""

from __future__ import annotations

import numpy as np
import pytest

from apps.speech.audio import voice_activity
from apps.speech.audio.resampling import resample
from apps.speech.audio.voice_activity import FRAME_SAMPLES, Frames, VoiceActivity
from apps.speech.base import Recording
from tests.disturbances import noise
from tests.speech.audio.comparison import SPEECH, likeness


def test_frames_one_by_one_are_as_probable_as_all_together() -> None:
    frames = Frames(16_000).feed(SPEECH.pcm)
    activity = VoiceActivity()
    one_by_one = np.concatenate([activity.probabilities(frame[np.newaxis]) for frame in frames])
    assert np.array_equal(one_by_one, VoiceActivity().probabilities(frames))
    assert one_by_one.max() > 0.9
    assert one_by_one.min() < 0.1


def test_conversations_do_not_disturb_each_other() -> None:
    frames = Frames(16_000).feed(SPEECH.pcm)
    first, second = VoiceActivity(), VoiceActivity()
    alone = VoiceActivity().probabilities(frames)
    pairs = [(first.probabilities(frame[np.newaxis]), second.probabilities(frame[np.newaxis] / 2)) for frame in frames]
    assert np.array_equal(np.concatenate([one for one, _other in pairs]), alone)


@pytest.mark.parametrize("sample_rate", [16_000, 24_000])
@pytest.mark.parametrize("piece_ms", [10, 43, 100])
def test_pieces_of_any_length_give_the_same_frames(sample_rate: int, piece_ms: int) -> None:
    pcm = resample(SPEECH, sample_rate=sample_rate).pcm
    step = 2 * (sample_rate * piece_ms // 1000)
    cut = Frames(sample_rate)
    pieces = [cut.feed(pcm[start : start + step]) for start in range(0, len(pcm), step)]
    assert np.array_equal(np.concatenate(pieces), Frames(sample_rate).feed(pcm))


def test_sound_of_24_khz_is_the_same_at_16_khz() -> None:
    frames = Frames(24_000).feed(resample(SPEECH, sample_rate=24_000).pcm)
    narrowed = Recording((frames.ravel() * 32767).astype("<i2").tobytes(), 16_000)
    assert likeness(narrowed, SPEECH) > 0.99


@pytest.mark.parametrize(
    ("hertz", "lowest_db", "highest_db"), [(1000, -0.1, 0.1), (6000, -0.1, 0.1), (9000, -200, -60)]
)
def test_tones_that_16_khz_cannot_hold_are_removed(hertz: int, lowest_db: float, highest_db: float) -> None:
    tone = np.sin(2 * np.pi * hertz * np.arange(48_000) / 24_000) / 2
    frames = Frames(24_000).feed((tone * 32767).astype("<i2").tobytes())[2:]
    change = 20 * np.log10(frames.std() / tone.std())
    assert lowest_db < change < highest_db


def test_levels_are_without_the_dc_offset() -> None:
    sound = noise(1, -40, sample_rate=16_000)[: 30 * FRAME_SAMPLES] + 0.1
    levels = voice_activity.levels(sound.reshape(-1, FRAME_SAMPLES).astype(np.float32))
    assert levels == pytest.approx(-40, abs=1)
    assert voice_activity.levels(np.zeros((1, FRAME_SAMPLES), np.float32)) == pytest.approx(-120)


def test_no_sound_gives_no_frames() -> None:
    assert Frames(24_000).feed(b"").shape == (0, FRAME_SAMPLES)
    assert VoiceActivity().probabilities(Frames(16_000).feed(bytes(100))).shape == (0,)


def test_other_sample_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="8000 Hz"):
        Frames(8_000)
