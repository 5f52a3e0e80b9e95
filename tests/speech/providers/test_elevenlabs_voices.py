"""Voices are created, deleted and listed at ElevenLabs."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from apps.speech.audio.mp3 import to_mp3
from apps.speech.audio.resampling import resample
from apps.speech.base import ProviderVoice
from tests.fakes.elevenlabs import VOICES, VOICES_ADD, VOICES_SEARCH
from tests.fakes.provider import FakeProvider
from tests.speech.providers.elevenlabs_calls import REFUSALS, SAMPLES, TRANSIENT_FAILURES, create, delete, list_voices
from tests.speech.providers.failures import AT_ONCE, error_of

if TYPE_CHECKING:
    from tests.speech.conftest import LosingServer

JSON = {"content-type": "application/json"}


class TestCreate:
    def test_it_creates_a_voice(self, provider: FakeProvider) -> None:
        voice_id = create(provider)

        assert provider.voices[voice_id].name == "Alice"

    def test_it_sends_the_samples_as_mp3_and_no_empty_labels(self, provider: FakeProvider) -> None:
        create(provider)

        files = provider.last_request.files
        mp3s = [to_mp3(resample(sample, sample_rate=44_100), bit_rate=192_000) for sample in SAMPLES]
        assert [(file.field, file.name, file.content_type) for file in files] == [
            ("files", "sample-1.mp3", "audio/mpeg"),
            ("files", "sample-2.mp3", "audio/mpeg"),
        ]
        assert [file.sha256 for file in files] == [hashlib.sha256(mp3).hexdigest() for mp3 in mp3s]
        assert provider.last_request.form == {"name": "Alice", "labels": "{}"}

    @pytest.mark.parametrize(("status", "body", "code"), [(each[0], each[1], each[3]) for each in REFUSALS])
    def test_refused_samples_are_not_retried(
        self, provider: FakeProvider, status: int, body: dict[str, Any] | str, code: str
    ) -> None:
        provider.fail_next(VOICES_ADD, status=status, body=body, headers=AT_ONCE, times=3)

        error = error_of(create, provider)

        assert (error.code, error.stage, error.retryable) == (code, "clone", False)
        assert len(provider.requests) == 1

    @pytest.mark.parametrize(("status", "body", "code"), TRANSIENT_FAILURES)
    def test_a_failure_that_may_have_created_a_voice_is_not_retried(
        self, provider: FakeProvider, status: int, body: dict[str, Any] | str, code: str
    ) -> None:
        provider.fail_next(VOICES_ADD, status=status, body=body, headers=AT_ONCE, times=3)

        error = error_of(create, provider)

        assert (error.code, error.stage, error.retryable) == (code, "clone", True)
        assert len(provider.requests) == 1

    def test_an_answer_that_is_cut_off_is_not_retried(self, provider: FakeProvider) -> None:
        provider.cut_after(VOICES_ADD, 10)

        assert error_of(create, provider).code == "provider_incomplete"
        assert len(provider.requests) == 1

    def test_a_connection_lost_after_sending_is_not_retried(
        self, provider: FakeProvider, losing_server: LosingServer
    ) -> None:
        """The voice may exist already: a retry could create a second one."""
        error = error_of(create, provider, base_url=losing_server.url)

        assert (error.code, error.stage) == ("provider_incomplete", "clone")
        assert losing_server.connections == 1

    def test_it_gives_up_at_its_deadline(self, provider: FakeProvider) -> None:
        provider.delay(VOICES_ADD, 60)

        assert error_of(create, provider, clone_seconds=0.5).code == "provider_timeout"
        assert len(provider.requests) == 1

    def test_an_unreachable_server_is_retried(
        self, provider: FakeProvider, unused_port: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        error = error_of(create, provider, base_url=f"http://127.0.0.1:{unused_port}")

        assert (error.code, error.retryable) == ("provider_unreachable", True)
        assert len(caplog.messages) == 3

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"voice_id": None},
            {"voice_id": ""},
            {"voice_id": "../models"},
            {"voice_id": 7},
            {"detail": "?"},
            "[]",
            '{"voice_id',
            "<html>Welcome</html>",
        ],
    )
    def test_an_answer_without_a_voice_is_invalid(self, provider: FakeProvider, body: dict[str, Any] | str) -> None:
        provider.fail_next(VOICES_ADD, status=200, body=body, headers=JSON)

        assert error_of(create, provider).code == "provider_answer_invalid"
        assert len(provider.requests) == 1

    def test_an_answer_without_a_word_on_verification_is_valid(self, provider: FakeProvider) -> None:
        provider.fail_next(VOICES_ADD, status=200, body={"voice_id": "abc"})

        assert create(provider) == "abc"

    def test_a_voice_that_requires_verification_is_deleted_again(self, provider: FakeProvider) -> None:
        provider.behaviour.requires_verification = True

        error = error_of(create, provider)

        assert (error.code, error.retryable) == ("provider_voice_unverified", False)
        assert provider.voices == {}

    def test_a_full_plan_has_its_own_code(self, provider: FakeProvider) -> None:
        provider.behaviour.voice_limit = 0

        assert error_of(create, provider).code == "provider_voice_limit"


class TestDelete:
    def test_it_deletes_the_voice(self, provider: FakeProvider) -> None:
        voice_id = provider.add_voice("Alice")

        delete(provider, voice_id)

        assert provider.voices == {}

    def test_a_missing_voice_counts_as_deleted(self, provider: FakeProvider) -> None:
        delete(provider, "gone")

        assert provider.last_request.status == 404

    @pytest.mark.parametrize("name", ["voice_not_found", "voice_does_not_exist"])
    def test_the_older_codes_of_a_missing_voice_count_as_well(self, provider: FakeProvider, name: str) -> None:
        provider.fail_next(VOICES, status=400, body={"detail": {"status": name}})

        delete(provider, "gone")

        assert len(provider.requests) == 1

    def test_a_transient_failure_is_retried(self, provider: FakeProvider) -> None:
        voice_id = provider.add_voice("Alice")
        provider.fail_next(VOICES, status=500, headers=AT_ONCE, times=2)

        delete(provider, voice_id)

        assert provider.voices == {}

    def test_a_lasting_failure_is_an_error(self, provider: FakeProvider) -> None:
        provider.fail_next(VOICES, status=500, headers=AT_ONCE, times=9)

        error = error_of(delete, provider, "there")

        assert (error.code, error.stage) == ("provider_failed", "clone")
        assert len(provider.requests) == 3


class TestList:
    def test_it_lists_the_cloned_voices_of_all_pages(self, provider: FakeProvider) -> None:
        cloned = [ProviderVoice(provider.add_voice(f"Voice {number}"), f"Voice {number}") for number in range(150)]
        provider.add_voice("Narrator", category="premade")

        assert list_voices(provider) == cloned
        assert len(provider.requests) == 2

    def test_an_account_without_voices_has_an_empty_list(self, provider: FakeProvider) -> None:
        assert list_voices(provider) == []

    def test_a_transient_failure_is_retried(self, provider: FakeProvider) -> None:
        provider.fail_next(VOICES_SEARCH, status=503, headers=AT_ONCE, times=2)

        assert list_voices(provider) == []

    @pytest.mark.parametrize(
        "body", [{}, {"voices": None}, {"voices": [{"name": "Alice"}]}, {"voices": ["Alice"]}, "[]", "<html></html>"]
    )
    def test_an_unexpected_structure_is_invalid(self, provider: FakeProvider, body: dict[str, Any] | str) -> None:
        provider.fail_next(VOICES_SEARCH, status=200, body=body, headers=JSON)

        assert error_of(list_voices, provider).code == "provider_answer_invalid"

    def test_endless_pages_reach_the_deadline(self, provider: FakeProvider) -> None:
        page = {"voices": [], "has_more": True, "next_page_token": "again"}
        provider.fail_next(VOICES_SEARCH, status=200, body=page, times=1_000_000)

        assert error_of(list_voices, provider, clone_seconds=0.5).code == "provider_timeout"
