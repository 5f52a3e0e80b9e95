from __future__ import annotations

import io

import pytest
from mutagen.flac import FLAC

from apps.speech.audio.decoding import decode
from apps.speech.audio.flac import to_flac
from apps.speech.base import Recording
from tests.audio_samples import clip, to_wav

SPEECH = clip("austen-0880.wav")


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_it_is_lossless(sample_rate: int) -> None:
    recording = Recording(SPEECH.pcm, sample_rate)
    assert decode(to_flac(recording), sample_rate=sample_rate, max_seconds=60) == recording


@pytest.mark.parametrize("samples", [1, 4095, 4096, 4097])
def test_it_encodes_any_number_of_samples(samples: int) -> None:
    assert FLAC(io.BytesIO(to_flac(Recording(SPEECH.pcm[: 2 * samples], 16_000)))).info.total_samples == samples


def test_it_is_smaller_than_wav() -> None:
    assert len(to_flac(SPEECH)) < 0.7 * len(to_wav(SPEECH))


def test_it_contains_its_tags_and_no_others() -> None:
    tags = {"COMMENT": "Très bien, 好", "AI_GENERATED": "true", "EMPTY": ""}
    read = FLAC(io.BytesIO(to_flac(SPEECH, tags=tags)))
    assert {name.upper(): value for name, value in read.tags or ()} == tags
    assert not FLAC(io.BytesIO(to_flac(SPEECH))).tags
