"""Voices are created, deleted and listed at each kind of voice server."""

from __future__ import annotations

import hashlib
import io
import json
import wave
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from apps.speech.audio.resampling import resample
from apps.speech.audio.wav import to_wav
from apps.speech.base import ProviderVoice, Recording
from apps.speech.providers.voice_server.excerpts import LONGEST_SECONDS, excerpt
from tests.audio_samples import clip, silence
from tests.fakes.voice_servers import Kind, hum, sentence
from tests.speech.providers.failures import AT_ONCE, error_of
from tests.speech.voice_server_calls import CONSENT, NAME, OTHER_SAMPLES, SAMPLES, SERVER_NAME, TAG, WORDS, Calls

if TYPE_CHECKING:
    from tests.speech.conftest import LosingServer

VOICE_IDS = {
    "sglang": SERVER_NAME,
    "vllm": SERVER_NAME,
    "omlx": f"server-{TAG.hex}",
    "chatterbox": f"{SERVER_NAME}.wav",
}
BY_NAME: list[Kind] = ["sglang", "vllm"]
KEEPING: list[Kind] = ["sglang", "vllm", "openai", "chatterbox"]


def reference_sha256() -> str:
    return hashlib.sha256(to_wav(excerpt(SAMPLES))).hexdigest()


class TestCreate:
    @pytest.mark.parametrize("kind", BY_NAME)
    def test_by_name_with_the_words_of_the_sample(self, calls: Calls, kind: Kind) -> None:
        assert calls.use(kind).create() == VOICE_IDS[kind]
        assert calls.server.calls == ["POST /v1/audio/voice_consents", "POST /v1/audio/voices"]
        request = calls.server.last_request
        assert request.form == {"name": SERVER_NAME, "consent": SERVER_NAME, "ref_text": WORDS}
        assert [(file.field, file.content_type) for file in request.files] == [("audio_sample", "audio/wav")]
        assert calls.server.references == {SERVER_NAME: reference_sha256()}

    def test_by_id_after_the_recording_of_the_consent(self, calls: Calls) -> None:
        voice_id = calls.use("openai").create()
        assert calls.server.calls == ["POST /v1/audio/voice_consents", "POST /v1/audio/voices"]
        consent, voice = calls.server.requests
        assert consent.form == {"name": SERVER_NAME, "language": "en"}
        assert [file.sha256 for file in consent.files] == [hashlib.sha256(to_wav(CONSENT.recording)).hexdigest()]
        assert voice.form == {"name": SERVER_NAME, "consent": next(iter(calls.server.consents))}
        assert voice_id == ":".join([*calls.server.references, *calls.server.consents])

    def test_a_consent_that_led_to_no_voice_is_not_left_there(self, calls: Calls) -> None:
        calls.use("openai").server.fail_next("/v1/audio/voices", status=400, body=sentence("It is another voice."))
        assert error_of(calls.create).code == "provider_audio_refused"
        assert calls.server.consents == {}

    def test_an_attested_consent_has_no_recording(self, calls: Calls) -> None:
        calls.use("sglang").create(consent=None)
        assert calls.server.calls == ["POST /v1/audio/voices"]
        assert error_of(calls.use("openai").create, consent=None).code == "provider_audio_refused"

    def test_nothing_is_sent_if_the_server_stores_nothing(self, calls: Calls) -> None:
        voice_id = calls.use("omlx").create()
        assert voice_id == VOICE_IDS["omlx"]
        assert calls.server.calls == []
        (file,) = calls.folder.iterdir()
        assert file.name == f"{voice_id}.json"
        assert file.stat().st_mode & 0o777 == 0o600
        assert json.loads(file.read_text())["text"] == WORDS

    def test_a_sample_without_words_is_refused_if_the_server_needs_them(self, calls: Calls) -> None:
        assert error_of(calls.use("omlx").create, words="").code == "provider_audio_refused"
        assert not calls.folder.exists()
        calls.use("sglang").create(words="")
        assert "ref_text" not in calls.server.last_request.form

    def test_a_file_at_chatterbox(self, calls: Calls) -> None:
        assert calls.use("chatterbox").create() == VOICE_IDS["chatterbox"]
        assert calls.server.calls == ["POST /upload_reference"]
        assert calls.server.references == {VOICE_IDS["chatterbox"]: reference_sha256()}

    @pytest.mark.parametrize("kind", [*KEEPING, "omlx"])
    def test_the_name_that_the_person_chose_is_not_sent(self, calls: Calls, kind: Kind) -> None:
        calls.use(kind).create()
        sent = json.dumps([request.to_log() for request in calls.server.requests])
        assert "Jane" not in sent

    @pytest.mark.parametrize("kind", KEEPING)
    @pytest.mark.parametrize(
        ("status", "code"),
        [(401, "provider_key_invalid"), (422, "provider_audio_refused"), (500, "provider_failed"),
         (503, "provider_busy"), (302, "provider_answer_invalid")],
    )  # fmt: skip
    def test_a_refusal_is_not_repeated(self, calls: Calls, kind: Kind, status: int, code: str) -> None:
        calls.use(kind).server.fail_next("/", status=status, body=sentence("No."), headers=AT_ONCE, times=9)
        error = error_of(calls.create)
        assert (error.code, error.stage) == (code, "clone")
        assert len(calls.server.requests) == 1

    def test_the_wrong_key_has_its_own_code(self, calls: Calls) -> None:
        calls.server.behaviour.key = "the key"
        assert error_of(calls.create, api_key="another").code == "provider_key_invalid"
        assert calls.create(api_key="the key") == SERVER_NAME

    def test_without_a_key_no_key_is_sent(self, calls: Calls) -> None:
        calls.create()
        assert "authorization" not in calls.server.last_request.headers

    def test_a_full_server_has_its_own_code(self, calls: Calls) -> None:
        calls.server.most_voices = 0
        assert error_of(calls.create).code == "provider_voice_limit"

    @pytest.mark.parametrize("body", [{}, {"name": "other"}, {"voice": 7}, "[]", "<html></html>"])
    @pytest.mark.parametrize("kind", ["sglang", "chatterbox"])
    def test_an_answer_without_the_voice_is_invalid(self, calls: Calls, kind: Kind, body: object) -> None:
        path = "/upload_reference" if kind == "chatterbox" else "/v1/audio/voices"
        calls.use(kind).server.fail_next(path, status=200, body=body)  # type: ignore[arg-type]
        assert error_of(calls.create).code == "provider_answer_invalid"

    def test_a_server_without_such_an_address_is_no_voice_server(self, calls: Calls) -> None:
        calls.server.fail_next("/v1/audio/voices", status=404, body=sentence("Not Found"))
        assert error_of(calls.create).code == "provider_answer_invalid"

    @pytest.mark.parametrize("kind", KEEPING)
    def test_a_lost_connection_is_not_repeated(self, calls: Calls, kind: Kind, losing_server: LosingServer) -> None:
        """The voice may exist already."""
        error = error_of(calls.use(kind).create, base_url=losing_server.url)
        assert (error.code, losing_server.connections) == ("provider_incomplete", 1)

    def test_a_server_that_is_down_is_tried_again(
        self, calls: Calls, unused_port: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        error = error_of(calls.create, base_url=f"http://127.0.0.1:{unused_port}/v1")
        assert (error.code, error.retryable) == ("provider_unreachable", True)
        assert len(caplog.messages) == 3


class TestExcerpt:
    def test_it_is_a_short_mono_wav_of_speech(self, calls: Calls) -> None:
        quiet = [silence(20), clip("austen-0870.wav"), silence(20)]
        reference = excerpt([resample(sample, sample_rate=44_100) for sample in quiet])
        with wave.open(io.BytesIO(to_wav(reference))) as file:
            assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (1, 24_000, 2)
        assert clip("austen-0870.wav").seconds - 0.5 < reference.seconds <= LONGEST_SECONDS

    def test_a_long_sample_is_cut_in_a_pause(self) -> None:
        sentences = [clip(name) for name in ("austen-0870.wav", "austen-0920.wav", "austen-0930.wav")] * 3
        reference = excerpt(sentences)
        assert 10 < reference.seconds <= LONGEST_SECONDS

    def test_speech_without_a_pause_is_cut_anyway(self) -> None:
        endless = Recording(hum("0" * 64, "x" * 600, 16_000), 16_000)
        assert excerpt([endless]).seconds == pytest.approx(LONGEST_SECONDS)


class TestDelete:
    @pytest.mark.parametrize("kind", BY_NAME)
    def test_by_name(self, calls: Calls, kind: Kind) -> None:
        voice_id = calls.use(kind).create()
        calls.delete(voice_id)
        assert calls.server.calls[-1] == f"DELETE /v1/audio/voices/{SERVER_NAME}"
        assert calls.server.references == {}

    def test_by_id_together_with_the_consent(self, calls: Calls) -> None:
        voice_id = calls.use("openai").create()
        voice, consent = voice_id.split(":")
        calls.delete(voice_id)
        assert calls.server.calls[2:] == [
            f"DELETE /v1/audio/voices/{voice}",
            f"DELETE /v1/audio/voice_consents/{consent}",
        ]
        assert (calls.server.references, calls.server.consents) == ({}, {})

    def test_the_stored_reference(self, calls: Calls) -> None:
        calls.delete(calls.use("omlx").create())
        assert list(calls.folder.iterdir()) == []
        assert calls.server.calls == []

    @pytest.mark.parametrize("kind", ["sglang", "openai", "omlx", "chatterbox"])
    def test_a_missing_voice_counts_as_deleted(self, calls: Calls, kind: Kind) -> None:
        calls.use(kind).delete(VOICE_IDS.get(kind, "voice_1:cons_1"))
        assert bool(calls.server.calls) == (kind != "omlx")  # That one stores nothing at the server.

    def test_what_chatterbox_cannot_delete_is_not_called_deleted(
        self, calls: Calls, caplog: pytest.LogCaptureFixture
    ) -> None:
        voice_id = calls.use("chatterbox").create()
        error = error_of(calls.delete, voice_id)
        assert (error.code, error.retryable, error.is_outage) == ("provider_cannot_delete", False, False)
        assert calls.server.calls[1:] == ["GET /get_reference_files"]
        assert any(voice_id in message and "reference_audio" in message for message in caplog.messages)
        calls.server.references.clear()  # The operator removes the file.
        calls.delete(voice_id)

    @pytest.mark.parametrize("status", [404, 405])
    def test_a_server_without_such_an_address_did_not_delete_it(self, calls: Calls, status: int) -> None:
        voice_id = calls.create()
        calls.server.fail_next("/v1/audio/voices/", status=status, body=sentence("Not Found"))
        assert error_of(calls.delete, voice_id).code == "provider_cannot_delete"
        assert error_of(calls.delete, voice_id, base_url=calls.server.url).code == "provider_answer_invalid"
        calls.delete(voice_id)
        assert calls.server.references == {}

    def test_a_transient_failure_is_repeated(self, calls: Calls) -> None:
        voice_id = calls.create()
        calls.server.fail_next("/v1/audio/voices", status=500, headers=AT_ONCE, times=2)
        calls.delete(voice_id)
        assert calls.server.references == {}

    def test_a_lasting_failure_is_an_error(self, calls: Calls) -> None:
        voice_id = calls.create()
        calls.server.fail_next("/v1/audio/voices", status=500, headers=AT_ONCE, times=9)
        assert error_of(calls.delete, voice_id).code == "provider_failed"


class TestAnotherDialect:
    @pytest.mark.parametrize(("made", "now"), [("sglang", "chatterbox"), ("chatterbox", "sglang"), ("openai", "omlx")])
    def test_its_voices_neither_speak_nor_count_as_deleted(self, calls: Calls, made: Kind, now: Kind) -> None:
        voice_id = calls.use(made).create()
        calls.server.requests.clear()
        calls.use(now)
        for call in (calls.speak, calls.delete):
            error = error_of(call, voice_id)
            assert (error.code, error.retryable) == ("provider_not_configured", False)
            assert "switched off" in error.message
        assert calls.server.calls == []

    def test_a_reference_is_deleted_whatever_server_is_used(self, calls: Calls) -> None:
        voice_id = calls.use("omlx").create()
        calls.use("sglang").delete(voice_id)
        assert list(calls.folder.iterdir()) == []


class TestList:
    @pytest.mark.parametrize("kind", ["sglang", "vllm", "omlx", "chatterbox"])
    def test_only_voices_with_a_tag_are_listed(self, calls: Calls, kind: Kind) -> None:
        other = uuid4()
        first = calls.use(kind).create()
        second = calls.create(OTHER_SAMPLES, name=f"Other [{other}]")
        calls.server.references["somebody"] = "0" * 64
        listed = calls.list_voices()
        assert {voice.voice_id for voice in listed} == {first, second}
        assert {voice.name[-38:] for voice in listed} == {f"[{TAG}]", f"[{other}]"}

    def test_openai_has_no_list(self, calls: Calls) -> None:
        calls.use("openai").create()
        assert calls.list_voices() == []

    @pytest.mark.parametrize("kind", ["sglang", "chatterbox"])
    @pytest.mark.parametrize("body", ["<html></html>", "7", '{"voices": 7}'])
    def test_an_unexpected_structure_is_invalid(self, calls: Calls, kind: Kind, body: str) -> None:
        calls.use(kind).server.fail_next("/", status=200, body=body)
        assert error_of(calls.list_voices).code == "provider_answer_invalid"

    def test_a_name_without_a_tag_gets_one(self, calls: Calls) -> None:
        calls.create(name="Jane")
        (listed,) = calls.list_voices()
        assert listed != ProviderVoice(SERVER_NAME, NAME)
        assert listed.voice_id in calls.server.references
