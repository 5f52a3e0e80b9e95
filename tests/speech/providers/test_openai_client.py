"""The OpenAI client: refusals, retries, connections and secrets."""

from __future__ import annotations

import logging
import time
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from apps.speech.providers.openai import OpenAILanguageModel, OpenAISpeechToText, connect
from tests.client import NOWHERE
from tests.fakes.openai import CHAT, TRANSCRIPTIONS, openai_error
from tests.fakes.provider import FakeProvider
from tests.speech.providers.failures import AT_ONCE, error_of
from tests.speech.providers.openai_calls import QUESTION, RECORDING, config_for, reply, run, transcribe

if TYPE_CHECKING:
    from collections.abc import Callable

    from openai import AsyncOpenAI

    from tests.speech.conftest import LosingServer


@pytest.mark.parametrize(
    ("status", "name", "hearing", "thinking"),
    [
        (400, "invalid_value", "provider_audio_refused", "provider_refused"),
        (401, "invalid_api_key", "provider_key_invalid", "provider_key_invalid"),
        (402, "insufficient_balance", "provider_quota_exhausted", "provider_quota_exhausted"),
        (400, "content_policy_violation", "provider_content_refused", "provider_content_refused"),
        (401, "missing_scope", "provider_permission_missing", "provider_permission_missing"),
        (403, "insufficient_permissions", "provider_permission_missing", "provider_permission_missing"),
        (429, "billing_not_active", "provider_payment_failed", "provider_payment_failed"),
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
