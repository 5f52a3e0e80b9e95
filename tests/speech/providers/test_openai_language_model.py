"""OpenAI replies to messages."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from apps.speech.providers.openai import OpenAILanguageModel
from tests.fakes.openai import CHAT, event, openai_error
from tests.fakes.provider import FakeProvider
from tests.speech.providers.failures import error_of
from tests.speech.providers.openai_calls import QUESTION, config_for, reply, run

if TYPE_CHECKING:
    from openai import AsyncOpenAI

EVENTS = {"content-type": "text/event-stream"}


class TestLanguageModel:
    def test_it_streams_the_reply(self, provider: FakeProvider) -> None:
        said: list[str] = []

        assert reply(provider, said) == provider.behaviour.reply
        assert said[:3] == ["The", " capital", " of"]

    def test_it_sends_the_conversation(self, provider: FakeProvider) -> None:
        reply(provider)

        assert provider.last_request.json == {
            "model": "model-1",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What is the capital of France?"},
            ],
            "max_tokens": 200,
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
