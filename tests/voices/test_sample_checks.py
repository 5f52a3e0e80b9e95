from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.core.errors import UserError
from apps.speech.audio.levels import measure_speech
from apps.speech.base import Recording
from apps.voices.models import VoiceProfile, VoiceSample
from apps.voices.sample_quality import SampleQuality, measure_sample
from tests.audio_samples import clip, mp4, silence, to_wav, webm
from tests.client import bearer, error_of
from tests.storage import stored_files

if TYPE_CHECKING:
    from django.test import Client

    from tests.client import Page
    from tests.fakes.provider import FakeProvider

URL = "/api/v1/sample-checks"
READING = clip("austen-0920.wav")


def changed(recording: Recording, *, gain_db: float = 0, noise_db: float | None = None) -> Recording:
    """Return `recording` louder or quieter, cut off at full scale, or with white noise."""
    samples = np.frombuffer(recording.pcm, "<i2").astype(np.float64)
    samples = (samples - samples.mean()) * 10 ** (gain_db / 20)
    if noise_db is not None:
        samples += np.random.default_rng(1).normal(0, 32768 * 10 ** (noise_db / 20), samples.size)
    return Recording(np.clip(samples, -32768, 32767).astype("<i2").tobytes(), recording.sample_rate)


def longer(recording: Recording, *, times: int) -> Recording:
    return Recording(recording.pcm * times, recording.sample_rate)


def quality(recording: Recording) -> SampleQuality:
    return measure_sample(to_wav(recording), user_id=1)


def failed_points(found: SampleQuality) -> dict[str, str]:
    return {point.code: point.advice for point in found.points if not point.passed}


def test_a_minute_of_clear_speech_passes_every_point() -> None:
    found = quality(longer(READING, times=11))
    assert found.passed
    assert [point.code for point in found.points] == ["length", "level", "peak", "clipping", "noise", "speech"]
    for point in found.points:
        assert point.label
        assert point.value
        assert not point.advice
        assert not point.word


def test_the_measurements_are_accurate() -> None:
    found = quality(READING)
    assert found.seconds == pytest.approx(READING.seconds, abs=0.01)
    assert found.rms_db == pytest.approx(-22.6, abs=0.2)
    assert found.rms_db < found.speech_db < found.rms_db + 2
    assert found.peak_db == pytest.approx(-4.5, abs=0.5)
    assert found.clipped_share == 0
    assert found.noise_db < -45
    assert 0.8 < found.speech_share < 1


@pytest.mark.parametrize("gain_db", [-12, 0, 3])
def test_all_levels_follow_the_gain(gain_db: float) -> None:
    plain, loud = quality(READING), quality(changed(READING, gain_db=gain_db))
    for name in ("rms_db", "speech_db", "peak_db", "noise_db"):
        assert getattr(loud, name) - getattr(plain, name) == pytest.approx(gain_db, abs=0.2)
    assert loud.speech_share == pytest.approx(plain.speech_share, abs=0.02)


@pytest.mark.parametrize(
    ("recording", "expected"),
    [
        (READING, {"length"}),
        (longer(READING, times=22), {"length"}),
        (longer(changed(READING, gain_db=-12), times=11), {"level"}),
        (longer(changed(READING, gain_db=4), times=11), {"peak"}),
        (longer(changed(READING, gain_db=20), times=11), {"level", "peak", "clipping"}),
        (longer(changed(READING, noise_db=-40), times=11), {"noise"}),
        (longer(Recording(READING.pcm + silence(10).pcm, READING.sample_rate), times=4), {"speech"}),
    ],
    ids=["short", "long", "quiet", "peaks", "distorted", "noisy", "pauses"],
)
def test_each_fault_is_named_with_advice(recording: Recording, expected: set[str]) -> None:
    failed = failed_points(quality(recording))
    assert failed.keys() == expected
    assert all(failed.values())


def test_steady_noise_alone_is_no_speech() -> None:
    hiss = changed(silence(60), noise_db=-25)
    assert measure_speech(hiss).speech_share == 0
    with pytest.raises(UserError) as refused:
        quality(hiss)
    assert refused.value.code == "sample_silent"


def test_levels_are_judged_as_they_are_shown() -> None:
    plain = quality(READING).speech_db
    points = quality(changed(READING, gain_db=-23.4 - plain)).points
    (level,) = [point for point in points if point.code == "level"]
    assert (level.value, level.passed) == ("−23 dB", True)


def test_silence_and_files_without_audio_are_refused_as_in_cloning(client: Client, alice_token: str) -> None:
    for data, code in [(to_wav(silence(5)), "sample_silent"), (b"text", "audio_format_unknown"), (b"", "audio_empty")]:
        response = check(client, alice_token, data)
        assert response.status_code == 422
        assert error_of(response)["code"] == code


def check(client: Client, token: str, data: bytes, name: str = "take.webm") -> Page:
    response: Any = client.post(URL, {"audio": SimpleUploadedFile(name, data)}, headers=bearer(token))
    return response  # type: ignore[no-any-return]


@pytest.mark.parametrize("data", [webm(READING), mp4(READING), to_wav(READING)], ids=["webm", "mp4", "wav"])
def test_the_api_returns_all_measurements(client: Client, alice_token: str, data: bytes) -> None:
    response = check(client, alice_token, data)
    assert response.status_code == 200
    body = response.json()
    assert body.keys() == {
        *["seconds", "rms_db", "peak_db", "clipped_share", "speech_db", "noise_db", "speech_share", "passed", "points"]
    }
    assert body["seconds"] == pytest.approx(READING.seconds, abs=0.1)
    assert body["passed"] is False
    assert {tuple(point) for point in body["points"]} == {("code", "label", "value", "passed", "word", "advice")}


def test_it_stores_nothing_and_calls_no_provider(
    client: Client, alice_token: str, remote_engines: FakeProvider
) -> None:
    check(client, alice_token, to_wav(READING))
    assert not VoiceProfile.objects.exists()
    assert not VoiceSample.objects.exists()
    assert not stored_files()
    assert not remote_engines.requests


def test_a_recording_is_required(client: Client, alice_token: str) -> None:
    response: Any = client.post(URL, {}, headers=bearer(alice_token))
    assert response.status_code == 400
    assert error_of(response)["fields"].keys() == {"audio"}


def test_it_requires_authentication(client: Client, db: None) -> None:
    assert client.post(URL, {"audio": SimpleUploadedFile("a.wav", to_wav(READING))}).status_code == 401
