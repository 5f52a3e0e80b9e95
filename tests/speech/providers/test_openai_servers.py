"""Servers with OpenAI's API that are not OpenAI's: without a key, and with fewer parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apps.speech.providers.openai import OpenAILanguageModel, limit_names, model_names
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

    def test_a_server_that_refuses_everything_is_not_asked_for_ever(self, provider: FakeProvider) -> None:
        names = "max_tokens max_completion_tokens stream_options reasoning_effort"
        provider.fail_next(CHAT, status=400, body=openai_error("", names), headers=AT_ONCE, times=99)

        assert error_of(reply, provider, reasoning_effort="low").code == "provider_refused"
        assert len(provider.requests) == 3


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **others: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason, **others}]})


@pytest.mark.parametrize(
    "stream",
    [
        # Azure begins with a judgement of the prompt and judges each part.
        event({"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]})
        + chunk({"role": "assistant", "content": "", "refusal": None}, content_filter_results={})
        + chunk({"content": "Paris."}, content_filter_results={"hate": {"filtered": False, "severity": "safe"}})
        + chunk({}, "stop", content_filter_results={}),
        # OpenRouter sends comments while it waits, and names the provider's own reason for the end.
        b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n"
        + chunk({"role": "assistant", "content": "Paris."}, native_finish_reason=None)
        + chunk({"role": "assistant", "content": ""}, "stop", native_finish_reason="completed"),
        # Ollama, LM Studio and llama.cpp send the reasoning of a model beside its reply.
        chunk({"role": "assistant", "content": "", "reasoning": "The user asks for a capital."})
        + chunk({"role": "assistant", "content": None, "reasoning_content": "It is Paris."})
        + chunk({"role": "assistant", "content": "Paris."})
        + chunk({"role": "assistant", "content": ""}, "stop")
        + event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}),
    ],
    ids=["Azure", "OpenRouter", "reasoning beside the reply"],
)
def test_the_streams_of_other_servers_are_read(provider: FakeProvider, stream: bytes) -> None:
    body = (stream + b"data: [DONE]\n\n").decode()
    provider.fail_next(CHAT, status=200, body=body, headers={"content-type": "text/event-stream"})

    assert reply(provider) == "Paris."
    assert len(provider.requests) == 1
