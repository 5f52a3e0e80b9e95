"""Recordings are encoded as MP3, also chunk by chunk."""

from __future__ import annotations

import pytest

from apps.speech.audio.mp3 import Mp3Encoder, to_mp3
from apps.speech.audio.resampling import resample
from apps.speech.base import Recording
from tests.speech.audio.comparison import SECOND, SPEECH, decode, likeness


@pytest.mark.parametrize("sample_rate", [22_050, 24_000, 44_100, 48_000])
def test_an_mp3_has_the_same_length_and_sound(sample_rate: int) -> None:
    recording = resample(SPEECH, sample_rate=sample_rate)
    decoded = decode(to_mp3(recording), sample_rate=sample_rate)
    assert 0 <= decoded.seconds - recording.seconds < 0.06
    assert likeness(decoded, recording) > 0.99


@pytest.mark.parametrize("sample_rate", [8_000, 11_025, 12_000, 16_000, 32_000])
def test_every_standard_sample_rate_can_be_encoded_as_mp3(sample_rate: int) -> None:
    recording = resample(SPEECH, sample_rate=sample_rate)
    decoded = decode(to_mp3(recording), sample_rate=sample_rate)
    assert 0 <= decoded.seconds - recording.seconds < 0.15
    assert likeness(decoded, recording) > 0.99


def test_an_mp3_starts_with_sound_and_has_no_header() -> None:
    data = to_mp3(SPEECH)
    assert data.startswith(b"\xff\xf3")
    assert b"Xing" not in data
    assert b"Info" not in data


def test_no_mp3_frame_refers_to_an_earlier_one() -> None:
    data = to_mp3(resample(SPEECH, sample_rate=24_000))
    frames = [data[start : start + 384] for start in range(0, len(data), 384)]
    assert all(frame.startswith(b"\xff\xf3") for frame in frames)
    assert all(frame[4] == 0 for frame in frames)  # The field main_data_begin of ISO 13818-3.


def test_the_bit_rate_of_an_mp3_can_be_chosen() -> None:
    recording = resample(SPEECH, sample_rate=24_000)
    assert len(to_mp3(recording, bit_rate=64_000)) == pytest.approx(8_000 * SPEECH.seconds, rel=0.05)
    assert len(to_mp3(recording)) == pytest.approx(16_000 * SPEECH.seconds, rel=0.05)


@pytest.mark.parametrize("samples_each", [1, 7, 480, 10_000])
def test_an_mp3_does_not_depend_on_the_size_of_the_chunks(samples_each: int) -> None:
    pcm = resample(SECOND, sample_rate=24_000).pcm[:9_600]
    encoder = Mp3Encoder(24_000)
    pieces = [encoder.encode(pcm[start : start + 2 * samples_each]) for start in range(0, len(pcm), 2 * samples_each)]
    assert b"".join(pieces) + encoder.finish() == to_mp3(Recording(pcm, 24_000))


def test_mp3_frames_are_returned_while_the_sound_is_still_arriving() -> None:
    encoder = Mp3Encoder(24_000)
    tenth = resample(SPEECH, sample_rate=24_000).pcm[:4_800]
    first, second = encoder.encode(tenth), encoder.encode(tenth)
    assert first.startswith(b"\xff\xf3")
    assert second.startswith(b"\xff\xf3")
    assert encoder.encode(b"") == b""


def test_an_mp3_without_samples_is_empty() -> None:
    assert Mp3Encoder(24_000).finish() == b""


def test_it_refuses_half_a_sample() -> None:
    with pytest.raises(ValueError, match="multiple"):
        Mp3Encoder(24_000).encode(b"abc")
