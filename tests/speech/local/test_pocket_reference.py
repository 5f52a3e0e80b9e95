from __future__ import annotations

import numpy as np
import pytest

from apps.speech.audio.levels import measure, measure_speech
from apps.speech.audio.resampling import join, resample
from apps.speech.base import ProviderError, Recording
from apps.speech.local.pocket_reference import HEARD_SECONDS, MAX_SECONDS, SAMPLE_RATE, choose_reference
from tests.audio_samples import TRANSCRIPTS, clip, silence

CLIPS = list(TRANSCRIPTS)


def samples_of(recording: Recording) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.frombuffer(recording.pcm, "<i2")


def heard(reference: Recording) -> Recording:
    """Return the part that the published encoder hears."""
    return Recording(reference.pcm[: 2 * round(HEARD_SECONDS * SAMPLE_RATE)], SAMPLE_RATE)


def changed(recording: Recording, *, gain: float = 1.0, noise: float = 0.0) -> Recording:
    """Return `recording` louder, clipped at full scale, and with noise of this amplitude."""
    added = np.random.default_rng(1).normal(0, noise, len(recording.pcm) // 2) if noise else 0
    louder = np.clip(samples_of(recording) * gain + added, -32768, 32767)
    return Recording(louder.astype("<i2").tobytes(), recording.sample_rate)


def noise(seconds: float, amplitude: float) -> Recording:
    return changed(silence(seconds), noise=amplitude)


def position_in(reference: Recording, whole: Recording) -> float:
    """Return the second of `whole` at which `reference` begins."""
    found = resample(whole, sample_rate=SAMPLE_RATE).pcm.find(reference.pcm[:4800])
    assert found >= 0
    return found / 2 / SAMPLE_RATE


@pytest.mark.parametrize("name", CLIPS)
def test_its_first_second_is_speech(name: str) -> None:
    recording = clip(name)
    second = heard(choose_reference([recording]))
    assert second.seconds == pytest.approx(HEARD_SECONDS)
    whole = measure_speech(recording)
    frames = [Recording(second.pcm[first : first + 2400], SAMPLE_RATE) for first in range(0, len(second.pcm), 2400)]
    assert np.mean([measure(frame).rms_db > whole.noise_db + 6 for frame in frames]) > 0.85
    assert abs(measure(second).rms_db - whole.speech_db) < 4


@pytest.mark.parametrize("name", CLIPS)
def test_it_begins_at_the_beginning_of_a_word(name: str) -> None:
    recording = resample(clip(name), sample_rate=SAMPLE_RATE)
    start = round(position_in(choose_reference([recording]), recording) * SAMPLE_RATE)
    samples = samples_of(recording).astype(float)
    if before := samples[max(0, start - 1200) : start].tolist():  # 50 ms
        first_word = samples[start : start + 4800]
        assert np.std(before) < 0.2 * np.std(first_word)


def test_what_follows_is_kept_up_to_ten_seconds() -> None:
    recording = join([clip(name) for name in CLIPS])
    reference = choose_reference([recording])
    rest = recording.seconds - position_in(reference, recording)
    assert reference.sample_rate == SAMPLE_RATE
    assert reference.seconds == pytest.approx(min(MAX_SECONDS, rest), abs=0.05)


@pytest.mark.parametrize(
    "worse",
    [
        changed(clip("austen-0870.wav"), gain=20),
        changed(clip("austen-0870.wav"), gain=0.02),
        changed(clip("austen-0870.wav"), noise=1500),
        noise(5, 3000),
        silence(5),
    ],
    ids=["clipped", "too quiet", "noisy", "only noise", "silent"],
)
def test_a_bad_recording_is_not_chosen(worse: Recording) -> None:
    good = clip("austen-0890.wav")
    assert choose_reference([worse, good, worse]) == choose_reference([good])


def test_pauses_and_noise_at_the_start_are_skipped() -> None:
    speech = clip("austen-0880.wav")
    recording = join([silence(2), noise(1, 2000), speech])
    assert position_in(choose_reference([recording]), recording) > 3


def test_speech_without_a_pause_is_used_from_its_start() -> None:
    middle = Recording(clip("austen-0870.wav").pcm[2 * 16_000 : 2 * 18_000], 16_000)
    without_pause = changed(Recording(middle.pcm * 12, 16_000), noise=0)
    assert choose_reference([without_pause]).seconds > HEARD_SECONDS


@pytest.mark.parametrize(
    "recordings", [[], [silence(12)], [Recording(b"", 16_000)], [Recording(clip(CLIPS[0]).pcm[:16_000], 16_000)]]
)
def test_less_than_a_second_of_speech_is_refused(recordings: list[Recording]) -> None:
    with pytest.raises(ProviderError) as raised:
        choose_reference(recordings)
    assert (raised.value.code, raised.value.stage) == ("provider_audio_refused", "clone")
