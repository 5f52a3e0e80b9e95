"""OpenAI's realtime transcription: sessions, items, and what can go wrong with them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from apps.speech.base import OPENAI_LIVE
from apps.speech.providers.live_dialect import LiveConfig
from apps.speech.providers.live_socket import LiveSocketSpeechToText
from apps.speech.providers.openai_live import OpenAIDialect
from tests.fakes.openai import openai_error
from tests.fakes.openai_live import PATH
from tests.fakes.provider import FakeProvider
from tests.speech.providers.failures import error_of
from tests.speech.providers.live_calls import SECOND, WORDS, Listener, ask, listen

ENGINE = "openai"


@pytest.fixture(autouse=True)
def _said(provider: FakeProvider) -> None:
    provider.behaviour.transcript = WORDS


class TestSession:
    def test_it_is_a_transcription_with_commits_of_our_own(self, provider: FakeProvider) -> None:
        ask(ENGINE, provider)

        (socket,) = provider.requests
        assert socket.query == {"intent": "transcription"}
        assert socket.headers["authorization"] == "Bearer test-key"
        assert "openai-beta" not in socket.headers
        assert socket.messages[0] == {
            "type": "transcription",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "turn_detection": None,
                    "transcription": {"model": "ears-1"},
                }
            },
        }

    @pytest.mark.parametrize(
        ("model", "hint"),
        [("gpt-live-transcribe", {"languages": ["de"]}), ("gpt-realtime-whisper", {"language": "de"})],
    )
    def test_the_hint_of_the_language_depends_on_the_model(
        self, provider: FakeProvider, model: str, hint: dict[str, Any]
    ) -> None:
        async def check(listener: Listener) -> None:
            await listener.ask()
            asked = listener.socket.messages[0]["audio"]["input"]["transcription"]
            assert asked == {"model": model, **hint}

        listen(ENGINE, provider, check, model=model, language="de")

    def test_the_account_is_named(self, provider: FakeProvider) -> None:
        ask(ENGINE, provider, headers={"OpenAI-Project": "ours"})

        assert provider.last_request.headers["openai-project"] == "ours"

    def test_without_a_key_none_is_sent(self, provider: FakeProvider) -> None:
        provider.behaviour.key = ""

        assert ask(ENGINE, provider, api_key="") == WORDS
        assert "authorization" not in provider.last_request.headers

    def test_it_is_replaced_before_it_is_too_old(self, provider: FakeProvider) -> None:
        class ShortLived(OpenAIDialect):
            max_age_seconds = 0.1

        config = LiveConfig("test-key", provider.openai_url, "ears-1", silence_seconds=0.02)

        async def main() -> None:
            engine = LiveSocketSpeechToText(OPENAI_LIVE, config, lambda language: ShortLived(config, language))
            async with engine.listen(language="", on_partial=lambda _text: None) as live:
                live.hear(SECOND)
                await asyncio.sleep(0.2)
                assert (await live.commit()).text == WORDS

        asyncio.run(main())
        first, *_, last = provider.requests
        assert first is not last
        assert bytes(last.sound).startswith(SECOND)


class TestItems:
    def test_deltas_may_have_other_items_than_commits(self, provider: FakeProvider) -> None:
        provider.behaviour.deltas_know_their_item = False

        async def check(listener: Listener) -> None:
            for _ in range(2):
                listener.say(SECOND)
                await listener.until_partial(WORDS)
                assert (await listener.live.commit()).text == WORDS
                listener.partials.clear()

        listen(ENGINE, provider, check)

    def test_late_deltas_are_not_of_the_next_question(self, provider: FakeProvider) -> None:
        provider.behaviour.partial_seconds = 0.1

        async def check(listener: Listener) -> None:
            assert (await listener.ask()).text == WORDS
            await asyncio.sleep(0.2)
            assert listener.partials == []

        listen(ENGINE, provider, check)

    def test_a_failed_item_is_heard_again(self, provider: FakeProvider) -> None:
        provider.break_socket(PATH, failed_code="transcription_failed")

        assert ask(ENGINE, provider) == WORDS
        assert len(provider.requests) == 2

        provider.break_socket(PATH, failed_code="insufficient_quota")
        assert error_of(ask, ENGINE, provider).code == "provider_quota_exhausted"


class TestErrors:
    @pytest.mark.parametrize(
        ("kind", "code", "is_repeated"),
        [
            ("invalid_api_key", "provider_key_invalid", False),
            ("insufficient_quota", "provider_quota_exhausted", False),
            ("model_not_found", "provider_model_missing", False),
            ("rate_limit_exceeded", "provider_busy", True),
            ("session_expired", "provider_incomplete", True),
            ("server_error", "provider_failed", True),
            ("unknown_parameter", "provider_incomplete", True),  # It is ignored, and the connection lost.
        ],
    )
    def test_those_of_a_session(self, provider: FakeProvider, kind: str, code: str, *, is_repeated: bool) -> None:
        provider.break_socket(PATH, error=kind)

        assert error_of(ask, ENGINE, provider, max_retries=0).code == code

        provider.break_socket(PATH, error=kind)
        if is_repeated:
            assert ask(ENGINE, provider) == WORDS
        else:
            assert error_of(ask, ENGINE, provider).code == code

    def test_a_refused_session_ends_it(self, provider: FakeProvider) -> None:
        class Wrong(OpenAIDialect):
            def _session(self) -> dict[str, Any]:
                session = super()._session()
                session["audio"]["input"]["turn_detection"] = {"type": "server_vad"}
                return session

        config = LiveConfig("test-key", provider.openai_url, "ears-1")

        async def main() -> None:
            engine = LiveSocketSpeechToText(OPENAI_LIVE, config, lambda language: Wrong(config, language))
            async with engine.listen(language="", on_partial=lambda _text: None) as live:
                live.hear(SECOND)
                await live.commit()

        error = error_of(lambda: asyncio.run(main()))
        assert (error.code, error.retryable) == ("provider_refused", False)

    @pytest.mark.parametrize(
        ("status", "body", "code"),
        [
            (401, openai_error("invalid_api_key"), "provider_key_invalid"),
            (429, openai_error("insufficient_quota"), "provider_quota_exhausted"),
            (403, openai_error("missing_scope"), "provider_permission_missing"),
            (404, "<html>Not found</html>", "provider_model_missing"),
            (404, "[]", "provider_model_missing"),
        ],
    )
    def test_refused_connections(
        self, provider: FakeProvider, status: int, body: dict[str, Any] | str, code: str
    ) -> None:
        provider.fail_next(PATH, status=status, body=body, times=9)

        assert error_of(ask, ENGINE, provider).code == code

    def test_odd_messages_are_an_invalid_answer(self, provider: FakeProvider) -> None:
        class Deaf(OpenAIDialect):
            def read(self, message: str | bytes) -> None:
                raise KeyError(message)

        config = LiveConfig("test-key", provider.openai_url, "ears-1", max_retries=0)

        async def main() -> None:
            engine = LiveSocketSpeechToText(OPENAI_LIVE, config, lambda language: Deaf(config, language))
            async with engine.listen(language="", on_partial=lambda _text: None) as live:
                live.hear(SECOND)
                await live.commit()

        assert error_of(lambda: asyncio.run(main())).code == "provider_answer_invalid"
        assert replace(config, api_key="secret-key").api_key not in repr(replace(config, api_key="secret-key"))
