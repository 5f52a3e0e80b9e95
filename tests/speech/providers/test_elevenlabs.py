from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import time
import traceback
from contextlib import ExitStack, aclosing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from apps.speech.audio.mp3 import to_mp3
from apps.speech.audio.resampling import resample
from apps.speech.base import PROVIDER_MESSAGES, ProviderError, ProviderVoice, Recording, VoiceSettings
from apps.speech.providers.elevenlabs import (
    ElevenLabsClient,
    ElevenLabsConfig,
    ElevenLabsTextToSpeech,
    ElevenLabsVoiceCloner,
    connect,
)
from tests.client import NOWHERE
from tests.fakes.provider import SPEECH, VOICES, VOICES_ADD, VOICES_SEARCH, FakeProvider, elevenlabs_error, speech

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.speech.conftest import LosingServer

Result = TypeVar("Result")

TEXT = "The capital of France is Paris."
SAMPLES = [Recording(speech(text, 24_000), 24_000) for text in ("One sample.", "And another one.")]
NEUTRAL = VoiceSettings()
AT_ONCE = {"retry-after": "0"}
JSON = {"content-type": "application/json"}
PCM = {"content-type": "audio/pcm"}

# HTTP status, body, and the error code when speaking and when cloning.
REFUSALS = [
    (400, {"detail": {"status": "voice_not_found"}}, "provider_voice_missing", "provider_voice_missing"),
    (400, elevenlabs_error("invalid_voice_id"), "provider_voice_missing", "provider_voice_missing"),
    (400, elevenlabs_error("voice_limit_reached"), "provider_voice_limit", "provider_voice_limit"),
    (400, elevenlabs_error("text_too_long"), "provider_refused", "provider_audio_refused"),
    (400, elevenlabs_error("unsupported_model"), "provider_model_missing", "provider_model_missing"),
    (401, {"detail": {"status": "quota_exceeded"}}, "provider_quota_exhausted", "provider_quota_exhausted"),
    (401, {"detail": "Unauthorized"}, "provider_key_invalid", "provider_key_invalid"),
    (401, elevenlabs_error("missing_api_key"), "provider_key_invalid", "provider_key_invalid"),
    (402, elevenlabs_error("insufficient_credits"), "provider_quota_exhausted", "provider_quota_exhausted"),
    (
        402,
        {"detail": {"code": "paid_plan_required", "status": "can_not_use_instant_voice_cloning"}},
        "provider_plan_insufficient",
        "provider_plan_insufficient",
    ),
    (403, {"detail": {"status": "only_for_creator+"}}, "provider_plan_insufficient", "provider_plan_insufficient"),
    (403, elevenlabs_error("voice_access_denied"), "provider_voice_missing", "provider_voice_missing"),
    (404, elevenlabs_error("voice_not_found"), "provider_voice_missing", "provider_voice_missing"),
    (404, elevenlabs_error("model_not_found"), "provider_model_missing", "provider_model_missing"),
    (404, "<html>Not found</html>", "provider_model_missing", "provider_model_missing"),
    (409, elevenlabs_error("voice_already_exists"), "provider_refused", "provider_refused"),
    (422, {"detail": [{"loc": ["body"], "msg": "?"}]}, "provider_refused", "provider_audio_refused"),
]
TRANSIENT_FAILURES = [
    (429, {"detail": {"status": "too_many_concurrent_requests"}}, "provider_busy"),
    (429, elevenlabs_error("concurrent_limit_exceeded"), "provider_busy"),
    (429, elevenlabs_error("system_busy"), "provider_busy"),
    (500, elevenlabs_error("internal_error"), "provider_failed"),
    (502, "<html>Bad gateway</html>", "provider_failed"),
    (503, elevenlabs_error("maintenance"), "provider_busy"),
]


def config_for(provider: FakeProvider, **changes: Any) -> ElevenLabsConfig:
    values: dict[str, Any] = {
        "api_key": "test-key",
        "base_url": provider.url,
        "model": "mouth-1",
        "max_concurrent": 10,
    }
    return ElevenLabsConfig(**values | changes)


def run(config: ElevenLabsConfig, work: Callable[[ElevenLabsClient], Awaitable[Result]]) -> Result:
    async def main() -> Result:
        client = ElevenLabsClient(config)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(main())


def speak(
    provider: FakeProvider,
    chunks: list[bytes] | None = None,
    *,
    voice_id: str | None = None,
    settings: VoiceSettings = NEUTRAL,
    previous_text: str = "",
    **changes: Any,
) -> bytes:
    """Return all PCM. `chunks` also gets the chunks that arrive before a failure."""
    config = config_for(provider, **changes)
    voice_id = voice_id or provider.add_voice("Alice")
    heard: list[bytes] = [] if chunks is None else chunks

    async def listen(client: ElevenLabsClient) -> bytes:
        engine = ElevenLabsTextToSpeech(client, config)
        async for chunk in engine.speak(TEXT, voice_id=voice_id, settings=settings, previous_text=previous_text):
            heard.append(chunk)  # noqa: PERF401 - The chunks before a failure count.
        return b"".join(heard)

    return run(config, listen)


def create(provider: FakeProvider, **changes: Any) -> str:
    config = config_for(provider, **changes)
    return run(config, lambda client: ElevenLabsVoiceCloner(client, config).create("Alice", SAMPLES))


def delete(provider: FakeProvider, voice_id: str, **changes: Any) -> None:
    config = config_for(provider, **changes)
    run(config, lambda client: ElevenLabsVoiceCloner(client, config).delete(voice_id))


def list_voices(provider: FakeProvider, **changes: Any) -> list[ProviderVoice]:
    config = config_for(provider, **changes)
    return run(config, lambda client: ElevenLabsVoiceCloner(client, config).list())


def error_of(call: Callable[..., object], *arguments: Any, **changes: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        call(*arguments, **changes)
    assert caught.value.code in PROVIDER_MESSAGES
    return caught.value


@contextmanager
def full_listener() -> Iterator[int]:
    """Give a port where connecting neither succeeds nor fails: its backlog is full and nobody accepts."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as stack:
        address = listener.getsockname()
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
        yield address[1]


class TestTextToSpeech:
    def test_it_yields_whole_samples(self, provider: FakeProvider) -> None:
        chunks: list[bytes] = []

        assert speak(provider, chunks) == speech(TEXT, ElevenLabsTextToSpeech.sample_rate)
        assert len(chunks) > 1
        assert all(len(chunk) % 2 == 0 for chunk in chunks)

    def test_half_a_sample_at_the_end_is_dropped(self, provider: FakeProvider) -> None:
        provider.fail_next(SPEECH, status=200, body="abc", headers=PCM)

        assert speak(provider) == b"ab"

    def test_it_requests_pcm_and_sends_no_unset_value(self, provider: FakeProvider) -> None:
        voice_id = provider.add_voice("Alice")

        speak(provider, voice_id=voice_id)

        request = provider.last_request
        assert request.path == f"/v1/text-to-speech/{voice_id}/stream"
        assert request.query == {"output_format": "pcm_24000"}
        assert request.json == {"text": TEXT, "model_id": "mouth-1"}

    def test_it_sends_the_settings_that_are_set(self, provider: FakeProvider) -> None:
        speak(provider, settings=VoiceSettings(similarity=0.8, style=0, speed=1.1))

        assert provider.last_request.json["voice_settings"] == {"similarity_boost": 0.8, "style": 0, "speed": 1.1}

    def test_it_sends_the_previous_text(self, provider: FakeProvider) -> None:
        speak(provider, previous_text="Well.")

        assert provider.last_request.json["previous_text"] == "Well."

    @pytest.mark.parametrize(("status", "body", "code"), [refusal[:3] for refusal in REFUSALS])
    def test_a_refused_text_is_not_retried(
        self, provider: FakeProvider, status: int, body: dict[str, Any] | str, code: str
    ) -> None:
        provider.fail_next(SPEECH, status=status, body=body, headers=AT_ONCE, times=3)

        error = error_of(speak, provider)

        assert (error.code, error.stage, error.retryable) == (code, "speak", False)
        assert len(provider.requests) == 1

    @pytest.mark.parametrize(("status", "body", "code"), TRANSIENT_FAILURES)
    def test_a_transient_failure_is_retried_twice(
        self, provider: FakeProvider, status: int, body: dict[str, Any] | str, code: str
    ) -> None:
        provider.fail_next(SPEECH, status=status, body=body, headers=AT_ONCE, times=3)

        error = error_of(speak, provider)

        assert (error.code, error.stage, error.retryable) == (code, "speak", True)
        assert len(provider.requests) == 3

    def test_a_successful_retry_hides_the_failure(self, provider: FakeProvider) -> None:
        provider.fail_next(SPEECH, status=429, body={"detail": {"status": "system_busy"}}, headers=AT_ONCE, times=2)

        assert speak(provider) == speech(TEXT, 24_000)

    def test_it_waits_for_as_long_as_the_provider_asks(self, provider: FakeProvider) -> None:
        provider.fail_next(SPEECH, status=503, headers={"retry-after": "0.3"})

        speak(provider)

        first, second = provider.requests
        assert second.time - first.time > 0.25

    def test_audio_cut_off_in_the_middle_is_not_retried(self, provider: FakeProvider) -> None:
        provider.cut_after(SPEECH, 20_000)
        chunks: list[bytes] = []

        error = error_of(speak, provider, chunks)

        assert (error.code, error.stage, error.retryable) == ("provider_incomplete", "speak", True)
        assert speech(TEXT, 24_000).startswith(b"".join(chunks))
        assert chunks
        assert len(provider.requests) == 1

    def test_audio_cut_off_before_the_first_chunk_is_retried(self, provider: FakeProvider) -> None:
        provider.cut_after(SPEECH, 0)

        assert speak(provider) == speech(TEXT, 24_000)
        assert len(provider.requests) == 2

    def test_an_empty_answer_is_incomplete(self, provider: FakeProvider) -> None:
        provider.fail_next(SPEECH, status=200, headers=PCM)

        assert error_of(speak, provider).code == "provider_incomplete"
        assert len(provider.requests) == 1

    @pytest.mark.parametrize("body", [{"audio": "UklGRg=="}, "<html>Welcome</html>"])
    def test_an_answer_that_is_not_audio_is_invalid(self, provider: FakeProvider, body: dict[str, Any] | str) -> None:
        provider.fail_next(SPEECH, status=200, body=body)

        assert error_of(speak, provider).code == "provider_answer_invalid"
        assert len(provider.requests) == 1

    def test_the_first_chunk_has_a_deadline(self, provider: FakeProvider) -> None:
        provider.behaviour.first_audio_seconds = 60

        assert error_of(speak, provider, first_audio_seconds=0.5).code == "provider_timeout"
        assert len(provider.requests) == 1

    def test_each_later_chunk_has_a_deadline(self, provider: FakeProvider) -> None:
        provider.behaviour.audio_speed = 0.01
        chunks: list[bytes] = []

        assert error_of(speak, provider, chunks, idle_seconds=0.2).code == "provider_timeout"
        assert b"".join(chunks) == speech(TEXT, 24_000)[:2400]

    def test_closing_it_early_stops_the_provider(self, provider: FakeProvider) -> None:
        provider.behaviour.audio_speed = 1
        config, voice_id = config_for(provider), provider.add_voice("Alice")

        async def hear_one_chunk(client: ElevenLabsClient) -> None:
            sound = ElevenLabsTextToSpeech(client, config).speak(
                TEXT * 100, voice_id=voice_id, settings=NEUTRAL, previous_text=""
            )
            async with aclosing(sound):
                async for _ in sound:
                    break
            assert await asyncio.to_thread(provider.last_request.finished.wait, 2)

        run(config, hear_one_chunk)

        assert provider.last_request.left_early
        assert provider.last_request.bytes_sent < 48_000


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


def test_if_the_plan_allows_fewer_requests_the_retry_waits_for_a_running_one(provider: FakeProvider) -> None:
    config, voice_id = config_for(provider, max_retries=1), provider.add_voice("Alice")
    ended: list[str] = []

    async def work(client: ElevenLabsClient) -> None:
        engine, begun = ElevenLabsTextToSpeech(client, config), asyncio.Event()

        async def speak_it(name: str) -> None:
            async for _ in engine.speak(TEXT, voice_id=voice_id, settings=NEUTRAL, previous_text="Before."):
                begun.set()
            ended.append(name)

        provider.behaviour.audio_speed = 3
        first = asyncio.create_task(speak_it("first"))
        await begun.wait()
        provider.fail_next(SPEECH, status=429, body=elevenlabs_error("concurrent_limit_exceeded"))
        await speak_it("second")
        await first

    run(config, work)

    assert ended == ["first", "second"]
    _slow, refused, again = provider.requests_to(SPEECH)
    assert (refused.status, again.status) == (429, 200)


class TestClient:
    def test_all_calls_share_one_connection(self, provider: FakeProvider) -> None:
        config = config_for(provider)

        async def work(client: ElevenLabsClient) -> None:
            cloner = ElevenLabsVoiceCloner(client, config)
            engine = ElevenLabsTextToSpeech(client, config)
            voice_id = await cloner.create("Alice", SAMPLES)
            for _ in range(3):
                async for _ in engine.speak(TEXT, voice_id=voice_id, settings=NEUTRAL, previous_text=""):
                    pass
            await cloner.list()
            await cloner.delete(voice_id)

        run(config, work)

        assert len(provider.requests) == 6
        assert provider.connections == 1

    def test_a_connection_opened_before_is_used(self, provider: FakeProvider) -> None:
        config, voice_id = config_for(provider), provider.add_voice("Alice")

        async def work(client: ElevenLabsClient) -> None:
            await connect(client)
            engine = ElevenLabsTextToSpeech(client, config)
            async for _ in engine.speak(TEXT, voice_id=voice_id, settings=NEUTRAL, previous_text=""):
                pass

        run(config, work)

        assert len(provider.requests) == 2
        assert provider.connections == 1

    def test_a_failed_warm_up_is_not_an_error(self, provider: FakeProvider) -> None:
        run(config_for(provider, base_url=NOWHERE), connect)

        assert not provider.requests

    def test_a_redirect_is_not_followed(self, provider: FakeProvider) -> None:
        elsewhere = {"location": f"{provider.url}/elsewhere"}
        provider.fail_next("/v1", status=307, headers=elsewhere, times=2)

        assert error_of(speak, provider).code == "provider_answer_invalid"
        assert error_of(create, provider).code == "provider_answer_invalid"
        assert provider.requests_to("/elsewhere") == []

    def test_a_server_that_does_not_accept_is_soon_unreachable(self, provider: FakeProvider) -> None:
        began = time.monotonic()
        with full_listener() as port:
            error = error_of(
                list_voices, provider, base_url=f"http://127.0.0.1:{port}", connect_seconds=0.1, max_retries=0
            )

        assert error.code == "provider_unreachable"
        assert time.monotonic() - began < 3

    @pytest.mark.parametrize("call", [speak, create, list_voices])
    def test_the_key_is_sent_and_never_shown(
        self, provider: FakeProvider, caplog: pytest.LogCaptureFixture, call: Callable[..., object]
    ) -> None:
        caplog.set_level(logging.DEBUG)
        secret = "xi-very-secret"

        error = error_of(call, provider, api_key=secret)

        assert error.code == "provider_key_invalid"
        assert provider.last_request.headers["xi-api-key"] == secret
        shown = [str(error), repr(error), error.message, repr(config_for(provider, api_key=secret)), caplog.text]
        shown += traceback.format_exception(error)
        assert caplog.text
        assert not any(secret in text for text in shown)

    def test_spoken_text_is_not_logged(self, provider: FakeProvider, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        provider.fail_next(SPEECH, status=400, body=elevenlabs_error("invalid_text", f"Do not say: {TEXT}"))

        error = error_of(speak, provider)

        assert TEXT not in caplog.text + "".join(traceback.format_exception(error))
        assert "speak: provider_refused (HTTP 400, code invalid_text, request -)" in caplog.messages
