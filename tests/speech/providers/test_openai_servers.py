"""Servers with OpenAI's API that are not OpenAI's: without a key, and with fewer parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apps.speech.providers.openai import OpenAILanguageModel, limit_names, model_names
from apps.speech.reply_text import CUT
from tests.fakes.openai import CHAT, event, openai_error
from tests.fakes.provider import FakeProvider
from tests.speech.providers.failures import AT_ONCE, error_of
from tests.speech.providers.openai_calls import QUESTION, config_for, reply, run, transcribe

if TYPE_CHECKING:
    from openai import AsyncOpenAI

# What Mistral answers, and what OpenAI answers for its reasoning models.
MISTRAL_REFUSAL = {
    "object": "error",
    "message": {
        "detail": [
            {
                "type": "extra_forbidden",
                "loc": ["body", "stream_options", "include_usage"],
                "msg": "Extra inputs are not permitted",
                "input": True,
            }
        ]
    },
    "type": "invalid_request_error",
    "param": None,
    "code": None,
}
LIMIT_REFUSAL = openai_error(
    "unsupported_parameter",
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
)


class TestKeys:
    @pytest.fixture
    def keyless(self, provider: FakeProvider) -> FakeProvider:
        provider.behaviour.key = ""
        return provider

    def test_without_a_key_none_is_sent(self, keyless: FakeProvider) -> None:
        assert transcribe(keyless, api_key="").text == keyless.behaviour.transcript
        assert reply(keyless, api_key="") == keyless.behaviour.reply
        assert run(config_for(keyless, api_key=""), model_names) == ["fake"]

        assert len(keyless.requests) == 3
        assert not any("authorization" in request.headers for request in keyless.requests)

    @pytest.mark.parametrize("key", ["", "own-key"])
    def test_the_variables_of_the_sdk_do_not_reach_other_servers(
        self, keyless: FakeProvider, monkeypatch: pytest.MonkeyPatch, key: str
    ) -> None:
        set_sdk_variables(monkeypatch)

        transcribe(keyless, api_key=key)
        reply(keyless, api_key=key)
        run(config_for(keyless, api_key=key), model_names)

        for request in keyless.requests:
            assert "leaked" not in str(request.headers)
            assert request.headers.get("authorization", "") == (f"Bearer {key}" if key else "")

    def test_they_reach_the_server_that_they_are_for_with_its_own_key(
        self, keyless: FakeProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        set_sdk_variables(monkeypatch)

        reply(keyless, api_key="own-key", uses_sdk_variables=True)

        headers = keyless.last_request.headers
        assert headers["openai-organization"] == headers["x-gateway"] == "leaked"
        assert headers["authorization"] == "Bearer own-key"


def set_sdk_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "leaked")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer leaked\nX-Gateway: leaked")


class TestParameters:
    @pytest.mark.parametrize(
        ("address", "name"),
        [
            ("https://api.openai.com/v1", "max_completion_tokens"),
            ("https://eu.api.openai.com/v1", "max_completion_tokens"),
            ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
            ("http://127.0.0.1:11434/v1", "max_tokens"),
            ("https://api.mistral.ai/v1", "max_tokens"),
            ("https://api.openai.com.example.org/v1", "max_tokens"),
        ],
    )
    def test_the_length_of_a_reply_is_limited_by_the_name_that_the_server_knows(self, address: str, name: str) -> None:
        assert limit_names(address)[0] == name

    @pytest.mark.parametrize(
        ("status", "refusal", "missing", "added"),
        [
            (422, MISTRAL_REFUSAL, "stream_options", set()),
            (400, LIMIT_REFUSAL, "max_tokens", {"max_completion_tokens"}),
        ],
    )
    def test_a_refused_parameter_is_left_out_from_then_on(
        self, provider: FakeProvider, status: int, refusal: dict[str, Any], missing: str, added: set[str]
    ) -> None:
        provider.fail_next(CHAT, status=status, body=refusal)
        config = config_for(provider)

        async def talk(client: AsyncOpenAI) -> list[str]:
            model = OpenAILanguageModel(client, config)
            return ["".join([delta async for delta in model.reply(QUESTION, max_tokens=200)]) for _ in range(2)]

        assert run(config, talk) == [provider.behaviour.reply] * 2
        first, *others = (set(request.json) for request in provider.requests)
        assert missing in first
        assert others == [(first - {missing}) | added] * 2

    def test_a_model_that_mistral_does_not_know_is_missing(self, provider: FakeProvider) -> None:
        refusal = {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"}
        provider.fail_next(CHAT, status=400, body=refusal)

        assert error_of(reply, provider).code == "provider_model_missing"

    def test_a_refused_reasoning_effort_is_left_out(self, provider: FakeProvider) -> None:
        refusal = [{"error": {"code": 400, "message": 'Unknown name "reasoning_effort": Cannot find field.'}}]
        provider.fail_next(CHAT, status=400, body=refusal[0])

        assert reply(provider, reasoning_effort="none") == provider.behaviour.reply
        assert "reasoning_effort" not in provider.last_request.json

    def test_a_model_that_cannot_reason_is_asked_without_an_effort(self, provider: FakeProvider) -> None:
        provider.fail_next(CHAT, status=400, body=openai_error("", '"llama3.2:3b" does not support thinking'))

        assert reply(provider, reasoning_effort="none") == provider.behaviour.reply
        assert "reasoning_effort" not in provider.last_request.json

    def test_a_server_that_knows_none_of_them_is_asked_once_more_for_each(self, provider: FakeProvider) -> None:
        names = ["stream_options", "reasoning_effort", "max_tokens", "max_completion_tokens"]
        for name in names:
            provider.fail_next(CHAT, status=422, body=openai_error("", f"Unrecognized request argument: {name}"))

        assert reply(provider, reasoning_effort="low") == provider.behaviour.reply
        assert provider.last_request.json.keys() == {"model", "messages", "stream"}
        assert len(provider.requests) == 5

    @pytest.mark.parametrize(
        "words",
        ["'max_tokens' is too large: 400", "maximum context length is 90 tokens, and you asked for max_tokens=400"],
    )
    def test_a_limit_whose_value_is_refused_stays(self, provider: FakeProvider, words: str) -> None:
        """Without it, replies would be of any length from then on."""
        provider.fail_next(CHAT, status=400, body=openai_error("", words))

        assert error_of(reply, provider).code == "provider_refused"
        assert len(provider.requests) == 1

    def test_a_server_that_refuses_everything_is_not_asked_for_ever(self, provider: FakeProvider) -> None:
        names = "max_tokens max_completion_tokens stream_options reasoning_effort"
        provider.fail_next(CHAT, status=400, body=openai_error("", names), headers=AT_ONCE, times=99)

        assert error_of(reply, provider, reasoning_effort="low").code == "provider_refused"
        assert len(provider.requests) == 3


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **others: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason, **others}]})


def send(provider: FakeProvider, stream: bytes) -> None:
    headers = {"content-type": "text/event-stream"}
    provider.fail_next(CHAT, status=200, body=(stream + b"data: [DONE]\n\n").decode(), headers=headers)


class TestReasoning:
    @pytest.fixture
    def slow(self, provider: FakeProvider) -> FakeProvider:
        """A model that sends a word of reasoning every 100 ms, and then its reply."""
        provider.behaviour.tokens_per_second = 10
        provider.behaviour.reasoning = "The user asks for a capital which is Paris."
        return provider

    @pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "content"])
    def test_a_model_that_reasons_for_longer_than_the_first_word_may_take_is_heard(
        self, slow: FakeProvider, field: str
    ) -> None:
        slow.behaviour.reasoning_field, slow.behaviour.reply = field, "Paris."

        assert reply(slow, first_token_seconds=0.5, idle_seconds=0.5) == "Paris."
        assert len(slow.requests) == 1

    def test_reasoning_ends_with_the_time_of_the_whole_reply(self, slow: FakeProvider) -> None:
        assert error_of(reply, slow, first_token_seconds=0.3, reply_seconds=0.5).code == "provider_timeout"
        assert len(slow.requests) == 1

    def test_a_model_that_says_nothing_but_its_reasoning_is_incomplete(self, provider: FakeProvider) -> None:
        send(provider, chunk({"reasoning": "It is Paris."}) + chunk({}, "length"))

        error = error_of(reply, provider)

        assert (error.code, error.is_outage) == ("provider_incomplete", False)
        assert len(provider.requests) == 1

    @pytest.mark.parametrize(
        ("model", "waits"),
        [
            ("deepseek-r1:8b", True),
            ("Qwen3-4B-Thinking-2507", True),
            ("qwq", True),
            ("olmo-3-7b-think", True),
            ("MiniMaxAI/MiniMax-M2", True),
            ("qwen3-4b", False),
            ("qwen3-4b-non-thinking", False),
            ("r10", False),
        ],
    )
    def test_replies_of_known_reasoning_models_wait_for_the_mark_that_ends_the_reasoning(
        self, provider: FakeProvider, model: str, waits: bool
    ) -> None:
        send(provider, chunk({"content": "It is a city."}) + chunk({"content": "</think>Paris."}))

        if waits:
            assert reply(provider, model=model) == "Paris."
        else:
            assert error_of(reply, provider, model=model).code == "provider_answer_invalid"

    def test_they_do_not_wait_where_the_server_separates_the_reasoning(self, provider: FakeProvider) -> None:
        said: list[str] = []
        send(provider, chunk({"reasoning": "A city."}) + chunk({"content": "It"}) + chunk({"content": " is Paris."}))

        reply(provider, said, model="deepseek-r1")

        assert said == ["It", " is Paris."]


@pytest.mark.parametrize("finish_reason", ["length", "max_tokens", "MAX_TOKENS"])
def test_a_reply_that_reaches_its_limit_in_a_sentence_says_so(provider: FakeProvider, finish_reason: str) -> None:
    send(provider, chunk({"content": "Paris. It lies"}, finish_reason))
    said: list[str] = []

    reply(provider, said)

    assert said == ["Paris. It lies", CUT]


@pytest.mark.parametrize("finish_reason", ["content_filter", "content_filter: PROHIBITED_CONTENT", "SAFETY"])
def test_a_filtered_reply_is_refused(provider: FakeProvider, finish_reason: str) -> None:
    send(provider, chunk({}, finish_reason))

    error = error_of(reply, provider)

    assert (error.code, error.retryable) == ("provider_refused", False)


@pytest.mark.parametrize("body", ["[" * 200_000, '{"choices": ' + '"' + "x" * 1_100_000])
def test_an_event_that_no_server_sends_is_invalid(provider: FakeProvider, body: str) -> None:
    provider.fail_next(CHAT, status=200, body=f"data: {body}\n\n", headers={"content-type": "text/event-stream"})

    assert error_of(reply, provider).code == "provider_answer_invalid"


def test_a_transcript_has_no_characters_that_cannot_be_stored(provider: FakeProvider) -> None:
    provider.behaviour.transcript = "What is\x00 the capital\ud83d?"

    assert transcribe(provider).text == "What is the capital?"
