from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import traceback
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from apps.speech.audio.resampling import resample
from apps.speech.audio.wav import to_wav
from apps.speech.base import PROVIDER_MESSAGES, Message, ProviderError, Recording, Transcript
from apps.speech.providers.openai import OpenAIConfig, OpenAILanguageModel, OpenAISpeechToText, connect, create_client
from tests.client import NOWHERE
from tests.fakes.provider import CHAT, TRANSCRIPTIONS, FakeProvider, event, openai_error, speech

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openai import AsyncOpenAI

    from tests.speech.conftest import LosingServer

Result = TypeVar("Result")

QUESTION = [Message("system", "Be brief."), Message("user", "What is the capital of France?")]
RECORDING = Recording(speech("What is the capital of France?", 24_000), 24_000)
AT_ONCE = {"retry-after": "0"}
EVENTS = {"content-type": "text/event-stream"}


def config_for(provider: FakeProvider, **changes: Any) -> OpenAIConfig:
    values = {
        "api_key": "test-key",
        "base_url": provider.openai_url,
        "transcription_model": "ears-1",
        "chat_model": "mind-1",
    }
    return OpenAIConfig(**values | changes)


def run(config: OpenAIConfig, work: Callable[[AsyncOpenAI], Awaitable[Result]]) -> Result:
    async def main() -> Result:
        client = create_client(config)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(main())


def transcribe(provider: FakeProvider, *, language: str = "", **changes: Any) -> Transcript:
    config = config_for(provider, **changes)
    return run(config, lambda client: OpenAISpeechToText(client, config).transcribe(RECORDING, language=language))


def reply(provider: FakeProvider, said: list[str] | None = None, **changes: Any) -> str:
    """Return the whole reply. `said` also gets the deltas that arrive before a failure."""
    config = config_for(provider, **changes)
    deltas: list[str] = [] if said is None else said

    async def read(client: AsyncOpenAI) -> str:
        async for delta in OpenAILanguageModel(client, config).reply(QUESTION, max_tokens=200):
            deltas.append(delta)  # noqa: PERF401 - The deltas before a failure count.
        return "".join(deltas)

    return run(config, read)


def error_of(call: Callable[..., object], *arguments: Any, **changes: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        call(*arguments, **changes)
    assert caught.value.code in PROVIDER_MESSAGES
    return caught.value


class TestSpeechToText:
    def test_it_returns_the_transcript(self, provider: FakeProvider) -> None:
        provider.behaviour.transcript = " Good morning. \n"

        assert transcribe(provider) == Transcript("Good morning.", "")

    def test_it_sends_16_khz_wav_with_a_file_name(self, provider: FakeProvider) -> None:
        transcribe(provider)

        wav = to_wav(resample(RECORDING, sample_rate=16_000))
        (file,) = provider.last_request.files
        assert (file.field, file.name, file.content_type) == ("file", "recording.wav", "audio/wav")
        assert file.sha256 == hashlib.sha256(wav).hexdigest()
        assert provider.last_request.form == {"model": "ears-1", "response_format": "json"}

    def test_it_sends_the_language_as_a_hint(self, provider: FakeProvider) -> None:
        transcript = transcribe(provider, language="fr")

        assert provider.last_request.form["language"] == "fr"
        assert transcript.language == "fr"

    def test_a_detected_language_overrides_the_hint(self, provider: FakeProvider) -> None:
        provider.behaviour.languages = ["de", "en"]

        assert transcribe(provider, language="fr").language == "de"

    def test_silence_is_an_empty_transcript(self, provider: FakeProvider) -> None:
        provider.behaviour.transcript = ""

        assert transcribe(provider).text == ""

    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            ("<html>Welcome</html>", {}),
            ('{"text": "Good', {"content-type": "application/json"}),
            ('{"text": null}', {"content-type": "application/json"}),
            ("{}", {"content-type": "application/json"}),
            ("[1]", {"content-type": "application/json"}),
            ("", {"content-type": "application/json"}),
        ],
    )
    def test_an_unexpected_structure_is_invalid(
        self, provider: FakeProvider, body: str, headers: dict[str, str]
    ) -> None:
        provider.fail_next(TRANSCRIPTIONS, status=200, body=body, headers=headers)

        error = error_of(transcribe, provider)

        assert (error.code, error.stage, error.retryable) == ("provider_answer_invalid", "hear", True)
        assert len(provider.requests) == 1

    def test_it_gives_up_at_its_deadline(self, provider: FakeProvider) -> None:
        provider.delay(TRANSCRIPTIONS, 60)

        error = error_of(transcribe, provider, hear_seconds=0.5)

        assert (error.code, error.stage, error.retryable) == ("provider_timeout", "hear", True)
        assert provider.last_request.finished.wait(5)
        assert provider.last_request.left_early


class TestLanguageModel:
    def test_it_streams_the_reply(self, provider: FakeProvider) -> None:
        said: list[str] = []

        assert reply(provider, said) == provider.behaviour.reply
        assert said[:3] == ["The", " capital", " of"]

    def test_it_sends_the_conversation(self, provider: FakeProvider) -> None:
        reply(provider)

        assert provider.last_request.json == {
            "model": "mind-1",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What is the capital of France?"},
            ],
            "max_completion_tokens": 200,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def test_it_sends_the_configured_reasoning_effort(self, provider: FakeProvider) -> None:
        reply(provider, reasoning_effort="none")

        assert provider.last_request.json["reasoning_effort"] == "none"

    def test_it_logs_the_tokens_of_a_reply(self, provider: FakeProvider, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "voiceclone.speech"):
            reply(provider)

        assert "think: 20 prompt tokens, 11 completion tokens" in caplog.messages

    def test_a_reply_of_the_maximum_length_is_complete(self, provider: FakeProvider) -> None:
        provider.behaviour.finish_reason = "length"

        assert reply(provider) == provider.behaviour.reply

    def test_a_filtered_reply_is_refused(self, provider: FakeProvider) -> None:
        provider.behaviour.finish_reason = "content_filter"

        error = error_of(reply, provider)

        assert (error.code, error.retryable) == ("provider_refused", False)

    def test_a_reply_without_a_finish_reason_is_incomplete(self, provider: FakeProvider) -> None:
        provider.leave_out_end(CHAT)
        said: list[str] = []

        error = error_of(reply, provider, said)

        assert (error.code, error.stage, error.retryable) == ("provider_incomplete", "think", True)
        assert "".join(said) == provider.behaviour.reply
        assert len(provider.requests) == 1

    def test_an_empty_reply_is_incomplete(self, provider: FakeProvider) -> None:
        provider.behaviour.reply = ""

        assert error_of(reply, provider).code == "provider_incomplete"
        assert len(provider.requests) == 1

    def test_a_stream_cut_off_after_some_words_is_not_retried(self, provider: FakeProvider) -> None:
        provider.cut_after(CHAT, 600)
        said: list[str] = []

        error = error_of(reply, provider, said)

        assert error.code == "provider_incomplete"
        assert said[0] == "The"
        assert len(provider.requests) == 1

    def test_a_long_reply_starts_word_by_word_and_continues_in_larger_deltas(self, provider: FakeProvider) -> None:
        provider.behaviour.reply, provider.behaviour.tokens_per_second = "word " * 119 + "end.", 200
        said: list[str] = []

        assert reply(provider, said) == provider.behaviour.reply
        assert said[:10] == ["word", *[" word"] * 9]
        assert len(said) < 40

    def test_a_stream_cut_off_before_the_first_word_is_retried(self, provider: FakeProvider) -> None:
        provider.cut_after(CHAT, 20)

        assert reply(provider) == provider.behaviour.reply
        assert len(provider.requests) == 2

    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            (openai_error("server_error"), "provider_failed"),
            (openai_error("", kind="insufficient_quota"), "provider_quota_exhausted"),
            ({"error": "a mere text"}, "provider_failed"),
            ({"error": {"type": {"of": "another form"}}}, "provider_failed"),
        ],
    )
    def test_an_error_inside_the_stream_is_an_error(
        self, provider: FakeProvider, sent: dict[str, Any], code: str
    ) -> None:
        begun = event({"choices": [{"index": 0, "delta": {"content": "The"}, "finish_reason": None}]})
        provider.fail_next(CHAT, status=200, body=(begun + event(sent)).decode(), headers=EVENTS)
        said: list[str] = []

        assert error_of(reply, provider, said).code == code
        assert said == ["The"]
        assert len(provider.requests) == 1

    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            ("<html>Welcome</html>", {}),
            ('data: {"choices": [\n\n', EVENTS),
            ('data: "choices"\n\n', EVENTS),
            ('data: {"choices": null}\n\n', EVENTS),
            ('data: {"choices": [{"delta": null}]}\n\n', EVENTS),
            ('data: {"choices": ["The"]}\n\n', EVENTS),
        ],
    )
    def test_an_unexpected_structure_is_invalid(
        self, provider: FakeProvider, body: str, headers: dict[str, str]
    ) -> None:
        provider.fail_next(CHAT, status=200, body=body, headers=headers)

        assert error_of(reply, provider).code == "provider_answer_invalid"
        assert len(provider.requests) == 1

    def test_the_first_word_has_a_deadline(self, provider: FakeProvider) -> None:
        provider.behaviour.first_token_seconds = 60

        assert error_of(reply, provider, first_token_seconds=0.5).code == "provider_timeout"
        assert len(provider.requests) == 1

    def test_each_later_word_has_a_deadline(self, provider: FakeProvider) -> None:
        provider.behaviour.tokens_per_second = 0.1
        said: list[str] = []

        assert error_of(reply, provider, said, idle_seconds=0.2).code == "provider_timeout"
        assert said == ["The"]

    def test_the_whole_reply_has_a_deadline(self, provider: FakeProvider) -> None:
        provider.behaviour.tokens_per_second = 5
        said: list[str] = []

        assert error_of(reply, provider, said, reply_seconds=1).code == "provider_timeout"
        assert said

    def test_a_complete_reply_does_not_wait_for_the_stream_to_close(self, provider: FakeProvider) -> None:
        provider.hang_at_end(CHAT)

        began = time.monotonic()

        assert reply(provider) == provider.behaviour.reply
        assert time.monotonic() - began < 3

    def test_closing_it_early_stops_the_provider(self, provider: FakeProvider) -> None:
        provider.behaviour.reply = "word " * 1000
        provider.behaviour.tokens_per_second = 50
        config = config_for(provider)

        async def read_one_word(client: AsyncOpenAI) -> None:
            async with aclosing(OpenAILanguageModel(client, config).reply(QUESTION, max_tokens=2000)) as deltas:
                async for _ in deltas:
                    break
            assert await asyncio.to_thread(provider.last_request.finished.wait, 2)

        run(config, read_one_word)

        assert provider.last_request.left_early


@pytest.mark.parametrize(
    ("status", "name", "hearing", "thinking"),
    [
        (400, "invalid_value", "provider_audio_refused", "provider_refused"),
        (401, "invalid_api_key", "provider_key_invalid", "provider_key_invalid"),
        (402, "insufficient_balance", "provider_quota_exhausted", "provider_quota_exhausted"),
        (403, "unsupported_country", "provider_plan_insufficient", "provider_plan_insufficient"),
        (403, "model_not_found", "provider_model_missing", "provider_model_missing"),
        (404, "", "provider_model_missing", "provider_model_missing"),
        (409, "conflict", "provider_refused", "provider_refused"),
        (413, "too_large", "provider_audio_refused", "provider_refused"),
        (422, "unprocessable", "provider_audio_refused", "provider_refused"),
        (429, "insufficient_quota", "provider_quota_exhausted", "provider_quota_exhausted"),
    ],
)
class TestRefusals:
    def test_a_refused_recording_is_not_retried(
        self, provider: FakeProvider, status: int, name: str, hearing: str, thinking: str
    ) -> None:
        provider.fail_next(TRANSCRIPTIONS, status=status, body=openai_error(name), headers=AT_ONCE, times=3)

        error = error_of(transcribe, provider)

        assert (error.code, error.stage, error.retryable) == (hearing, "hear", False)
        assert len(provider.requests) == 1

    def test_a_refused_conversation_is_not_retried(
        self, provider: FakeProvider, status: int, name: str, hearing: str, thinking: str
    ) -> None:
        provider.fail_next(CHAT, status=status, body=openai_error(name), headers=AT_ONCE, times=3)

        error = error_of(reply, provider)

        assert (error.code, error.stage, error.retryable) == (thinking, "think", False)
        assert len(provider.requests) == 1


class TestRetries:
    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (408, "provider_busy"),
            (429, "provider_busy"),
            (500, "provider_failed"),
            (502, "provider_failed"),
            (503, "provider_busy"),
        ],
    )
    def test_a_transient_failure_is_retried_twice(self, provider: FakeProvider, status: int, code: str) -> None:
        provider.fail_next("/v1", status=status, body="<html>Oops</html>", headers=AT_ONCE, times=6)

        heard, thought = error_of(transcribe, provider), error_of(reply, provider)

        assert (heard.code, heard.stage, heard.retryable) == (code, "hear", True)
        assert (thought.code, thought.stage, thought.retryable) == (code, "think", True)
        assert len(provider.requests_to(TRANSCRIPTIONS)) == 3
        assert len(provider.requests_to(CHAT)) == 3

    def test_a_successful_retry_hides_the_failure(self, provider: FakeProvider) -> None:
        provider.fail_next("/v1", status=500, headers=AT_ONCE, times=2)

        assert transcribe(provider).text == provider.behaviour.transcript
        assert len({request.files[0].sha256 for request in provider.requests}) == 1

    def test_without_a_retry_after_header_the_pause_is_short(self, provider: FakeProvider) -> None:
        provider.fail_next(CHAT, status=500)

        began = time.monotonic()
        reply(provider)

        assert time.monotonic() - began < 2

    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_it_waits_for_as_long_as_the_provider_asks(self, provider: FakeProvider, form: str) -> None:
        soon = datetime.now(UTC) + timedelta(seconds=1.9)  # A date has no fractions of a second.
        wait = "0.3" if form == "seconds" else format_datetime(soon, usegmt=True)
        provider.fail_next(CHAT, status=429, headers={"retry-after": wait})

        reply(provider)

        first, second = provider.requests
        assert 0.25 < second.time - first.time < 3

    def test_a_pause_longer_than_the_deadline_does_not_start(self, provider: FakeProvider) -> None:
        provider.fail_next(CHAT, status=429, headers={"retry-after": "100"})

        began = time.monotonic()
        error = error_of(reply, provider)

        assert (error.code, error.retry_after) == ("provider_busy", 100)
        assert time.monotonic() - began < 2

    @pytest.mark.parametrize("wish", ["soon", "-1", "nan", "Tue, 99 Foo", "Tue, 01 Jan 2030 00:00:00 -0000"])
    def test_an_invalid_retry_after_header_is_ignored(self, provider: FakeProvider, wish: str) -> None:
        provider.fail_next(CHAT, status=429, headers={"retry-after": wish})

        assert reply(provider) == provider.behaviour.reply

    def test_a_closed_port_is_unreachable(
        self, provider: FakeProvider, unused_port: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        error = error_of(reply, provider, base_url=f"http://127.0.0.1:{unused_port}/v1")

        assert (error.code, error.retryable) == ("provider_unreachable", True)
        assert len(caplog.messages) == 3

    @pytest.mark.parametrize("call", [transcribe, reply])
    def test_a_connection_lost_after_sending_is_reported_and_retried(
        self, provider: FakeProvider, losing_server: LosingServer, call: Callable[..., object]
    ) -> None:
        error = error_of(call, provider, base_url=f"{losing_server.url}/v1")

        assert (error.code, error.retryable) == ("provider_incomplete", True)
        assert losing_server.connections == 3

    def test_a_redirect_is_not_followed(self, provider: FakeProvider) -> None:
        elsewhere = {"location": f"{provider.url}/elsewhere"}
        provider.fail_next("/v1", status=307, headers=elsewhere, times=2)

        assert error_of(transcribe, provider).code == "provider_answer_invalid"
        assert error_of(reply, provider).code == "provider_answer_invalid"
        assert provider.requests_to("/elsewhere") == []


class TestClient:
    def test_all_calls_share_one_connection(self, provider: FakeProvider) -> None:
        config = config_for(provider)

        async def talk(client: AsyncOpenAI) -> None:
            for _ in range(3):
                await OpenAISpeechToText(client, config).transcribe(RECORDING, language="")
                async for _ in OpenAILanguageModel(client, config).reply(QUESTION, max_tokens=200):
                    pass

        run(config, talk)

        assert len(provider.requests) == 6
        assert provider.connections == 1

    def test_a_connection_opened_before_is_used(self, provider: FakeProvider) -> None:
        config = config_for(provider)

        async def hear(client: AsyncOpenAI) -> None:
            await connect(client)
            await OpenAISpeechToText(client, config).transcribe(RECORDING, language="")

        run(config, hear)

        assert len(provider.requests) == 2
        assert provider.connections == 1

    def test_a_failed_warm_up_is_not_an_error(self, provider: FakeProvider) -> None:
        run(config_for(provider, base_url=NOWHERE), connect)

        assert not provider.requests

    def test_the_key_is_sent_and_never_shown(self, provider: FakeProvider, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        secret = "sk-very-secret"

        error = error_of(reply, provider, api_key=secret)

        assert error.code == "provider_key_invalid"
        assert provider.last_request.headers["authorization"] == f"Bearer {secret}"
        shown = [str(error), repr(error), error.message, repr(config_for(provider, api_key=secret)), caplog.text]
        shown += traceback.format_exception(error)
        assert caplog.text
        assert not any(secret in text for text in shown)

    def test_transcripts_are_not_logged(self, provider: FakeProvider, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        said = "Paris is what I said"
        provider.fail_next(CHAT, status=400, body=openai_error("bad\nvalue", f"Do not say: {said}"))

        error = error_of(reply, provider)

        assert said not in caplog.text + "".join(traceback.format_exception(error))
        assert QUESTION[1].content not in caplog.text
        assert "think: provider_refused (HTTP 400, code -, request -)" in caplog.messages
