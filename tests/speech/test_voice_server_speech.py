"""Each kind of voice server speaks text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from apps.speech.audio.wav import to_wav
from apps.speech.providers.breakers import Breakers, State
from apps.speech.providers.voice_server.excerpts import excerpt
from tests.fakes.voice_servers import CHARACTERS_PER_SECOND, Kind, heard_pitch, hum, pitch, sentence, sha256, wav
from tests.fakes.voice_servers_openai import bad_request
from tests.speech.providers.failures import AT_ONCE, error_of
from tests.speech.voice_server_calls import OTHER_SAMPLES, SAMPLES, SERVER_NAME, TEXT, WORDS, Calls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apps.speech.base import Recording

KINDS: list[Kind] = ["sglang", "vllm", "openai", "omlx", "chatterbox"]
PCM = {"content-type": "audio/pcm"}
WAV = {"content-type": "audio/wav"}


def speech_path(kind: Kind) -> str:
    return "/tts" if kind == "chatterbox" else "/v1/audio/speech"


def reference_of(samples: list[Recording]) -> str:
    return sha256(to_wav(excerpt(samples)))


class TestEachKind:
    @pytest.mark.parametrize("kind", KINDS)
    def test_two_voices_are_not_mixed_up(self, calls: Calls, kind: Kind) -> None:
        first = calls.use(kind).create()
        second = calls.create(OTHER_SAMPLES, name="Other")
        for voice_id, samples in ((first, SAMPLES), (second, OTHER_SAMPLES), (first, SAMPLES)):
            chunks: list[bytes] = []
            assert calls.speak(voice_id, chunks=chunks) == hum(reference_of(samples), TEXT, 24_000)
            assert all(len(chunk) % 2 == 0 for chunk in chunks)

    @pytest.mark.parametrize("kind", ["sglang", "omlx", "chatterbox"])
    @pytest.mark.parametrize("sample_rate", [16_000, 44_100, 48_000])
    def test_another_sample_rate_is_converted(self, calls: Calls, kind: Kind, sample_rate: int) -> None:
        calls.use(kind).server.sample_rate = sample_rate
        voice_id = calls.create()
        chunks: list[bytes] = []
        pcm = calls.speak(voice_id, chunks=chunks)
        assert len(chunks) > 1
        assert len(pcm) / 48_000 == pytest.approx(len(TEXT) / CHARACTERS_PER_SECOND, abs=0.01)
        expected = pitch(reference_of(SAMPLES))
        assert heard_pitch(pcm, 24_000) == pytest.approx(expected, abs=1)

    def test_sglang_and_vllm_are_asked_for_a_raw_stream(self, calls: Calls) -> None:
        calls.speak(calls.create())
        assert calls.server.last_request.json == {
            "model": "clone-1",
            "input": TEXT,
            "voice": SERVER_NAME,
            "response_format": "pcm",
            "stream": True,
            "stream_format": "audio",
            "sample_rate": 24_000,
        }

    def test_openai_gets_no_field_that_it_does_not_know(self, calls: Calls) -> None:
        voice_id = calls.use("openai").create()
        calls.speak(voice_id)
        assert calls.server.last_request.json == {
            "model": "clone-1",
            "input": TEXT,
            "voice": {"id": voice_id.split(":")[0]},
            "response_format": "pcm",
            "stream_format": "audio",
        }

    @pytest.mark.parametrize("kind", ["sglang", "vllm", "openai"])
    def test_instructions_are_passed_on(self, calls: Calls, kind: Kind) -> None:
        calls.speak(calls.use(kind).create(), instructions="Whisper.")
        assert calls.server.last_request.json["instructions"] == "Whisper."

    def test_the_form_of_a_reference_is_found_out_once(self, calls: Calls) -> None:
        voice_id = calls.use("omlx").create()
        calls.speak(voice_id, times=2)
        statuses = [(request.status, request.json["ref_audio"][:5]) for request in calls.server.requests]
        assert statuses == [(400, "data:"), (200, "UklGR"), (200, "UklGR")]
        assert calls.server.last_request.json["ref_text"] == WORDS

    def test_vllm_takes_a_reference_as_a_data_url(self, calls: Calls) -> None:
        voice_id = calls.use("vllm").create(dialect="reference")
        pcm = calls.speak(voice_id, dialect="reference")
        assert heard_pitch(pcm, 24_000) == pytest.approx(pitch(reference_of(SAMPLES)), abs=1)  # From 44.1 kHz.
        assert calls.server.calls == ["POST /v1/audio/speech"]

    def test_chatterbox_is_asked_for_a_clone_of_a_file(self, calls: Calls) -> None:
        voice_id = calls.use("chatterbox").create()
        calls.speak(voice_id)
        assert calls.server.last_request.json == {
            "text": TEXT,
            "voice_mode": "clone",
            "reference_audio_filename": voice_id,
            "output_format": "wav",
            "stream": True,
        }

    def test_a_model_is_named_only_if_one_is_set(self, calls: Calls) -> None:
        calls.speak(calls.create(), model="")
        assert "model" not in calls.server.last_request.json


class TestErrors:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_voice_that_is_gone(self, calls: Calls, kind: Kind) -> None:
        voice_id = calls.use(kind).create()
        calls.server.references.clear()
        for file in calls.folder.glob("*"):
            file.unlink()
        error = error_of(calls.speak, voice_id)
        assert (error.code, error.stage, error.retryable) == ("provider_voice_missing", "speak", False)

    @pytest.mark.parametrize("kind", ["sglang", "omlx"])
    def test_a_model_that_does_not_exist(self, calls: Calls, kind: Kind) -> None:
        voice_id = calls.use(kind).create()
        assert error_of(calls.speak, voice_id, model="wrong").code == "provider_model_missing"

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(
        ("status", "body", "code", "tries"),
        [
            (401, sentence("Not authenticated"), "provider_key_invalid", 1),
            (400, bad_request("input must be at most 4096 characters", "input"), "provider_refused", 1),
            (429, sentence("Too many requests"), "provider_busy", 3),
            (500, sentence("CUDA out of memory"), "provider_failed", 3),
            (503, sentence("TTS engine model is not loaded"), "provider_busy", 3),
            (200, "<html>Welcome</html>", "provider_answer_invalid", 1),
        ],
    )
    def test_other_answers(
        self, calls: Calls, kind: Kind, status: int, body: Mapping[str, Any] | str, code: str, tries: int
    ) -> None:
        voice_id = calls.use(kind).create()
        calls.server.requests.clear()
        calls.server.fail_next(speech_path(kind), status=status, body=body, headers=AT_ONCE, times=9)
        assert error_of(calls.speak, voice_id).code == code
        # A refused reference is sent in its other form, too.
        forms = 2 if (kind, status) == ("omlx", 400) else 1
        assert len(calls.server.requests_to(speech_path(kind))) == tries * forms

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_server_that_is_down_opens_the_breaker(self, calls: Calls, kind: Kind, unused_port: int) -> None:
        voice_id = calls.use(kind).create()
        breakers = Breakers(failures=2, seconds=60)
        down = {"base_url": f"http://127.0.0.1:{unused_port}", "breakers": breakers, "max_retries": 0}
        codes = [error_of(calls.speak, voice_id, **down).code for _number in range(3)]
        assert codes == ["provider_unreachable", "provider_unreachable", "provider_unavailable"]
        assert breakers["speak"].state is State.OPEN
        assert breakers["clone"].state is State.CLOSED

    def test_a_stream_that_is_cut_off_is_not_repeated(self, calls: Calls) -> None:
        voice_id = calls.create()
        calls.server.cut_after("/v1/audio/speech", 20_000)
        chunks: list[bytes] = []
        assert error_of(calls.speak, voice_id, chunks=chunks).code == "provider_incomplete"
        assert chunks
        assert len(calls.server.requests_to("/v1/audio/speech")) == 1

    def test_the_first_sound_has_a_deadline(self, calls: Calls) -> None:
        voice_id = calls.create()
        calls.server.behaviour.first_audio_seconds = 60
        assert error_of(calls.speak, voice_id, first_audio_seconds=0.5).code == "provider_timeout"

    def test_no_error_contains_the_key_or_the_text(self, calls: Calls, caplog: pytest.LogCaptureFixture) -> None:
        voice_id = calls.create()
        body = bad_request(f"Bearer the-key said: {TEXT}", code=f"the-key {TEXT}")
        calls.server.fail_next("/v1/audio/speech", status=400, body=body)
        error = error_of(calls.speak, voice_id, api_key="the-key")
        for said in (str(error), error.message, *caplog.messages):
            assert "the-key" not in said
            assert TEXT not in said


class TestSound:
    """Odd answers, which no server is known to give as they are here."""

    def heard(self, calls: Calls, body: bytes, headers: dict[str, str]) -> bytes:
        calls.server.odd_answer = body, headers
        return calls.speak(calls.create())

    def test_half_a_sample_at_the_end_is_dropped(self, calls: Calls) -> None:
        assert self.heard(calls, b"abcde", PCM) == b"abcd"

    def test_what_follows_the_samples_of_a_wav_file_is_no_sound(self, calls: Calls) -> None:
        file = wav(b"abcd", 24_000, size=4) + b"LIST\x04\0\0\0info"
        assert self.heard(calls, file, WAV) == b"abcd"

    def test_both_channels_are_mixed(self, calls: Calls) -> None:
        file = wav(b"\x10\0\x20\0" * 2400, 24_000, channels=2)
        assert set(np.frombuffer(self.heard(calls, file, WAV), "<i2")) == {24}

    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            (b"ID3 this is an MP3", {"content-type": "audio/mpeg"}),
            (b"data: {}", {"content-type": "text/event-stream"}),
            (b"not a WAV file", WAV),
            (b"abcd", PCM | {"x-sample-rate": "3"}),
            (b"abcd", PCM | {"x-sample-rate": "high"}),
            (b"RIFF    WAVEfmt \x10\0\0\0\x03\0\x01\0@\x1f\0\0\0}\0\0\x04\0 \0data\x04\0\0\0abcd", WAV),
            (b"RIFF    WAVEJUNK\x7f\x7f\x7f\x7f", WAV),
        ],
        ids=["mp3", "events", "no wav", "rate", "word as rate", "floats", "endless head"],
    )
    def test_anything_but_sound_is_invalid(self, calls: Calls, body: bytes, headers: dict[str, str]) -> None:
        assert error_of(self.heard, calls, body, headers).code == "provider_answer_invalid"

    def test_a_wav_file_without_samples_is_incomplete(self, calls: Calls) -> None:
        assert error_of(self.heard, calls, wav(b"", 24_000, size=0), WAV).code == "provider_incomplete"
