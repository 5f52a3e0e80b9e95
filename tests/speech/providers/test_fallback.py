"""A second engine takes over while the first is down, and only then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from apps.speech.base import Message, ProviderError, Recording, Transcript
from apps.speech.providers.fallback import FallbackLanguageModel, FallbackSpeechToText

RECORDING = Recording(bytes(32_000), 16_000)
OUTAGE = ProviderError("provider_unreachable", stage="hear", retryable=True, is_outage=True)
UNAVAILABLE = ProviderError("provider_unavailable", stage="hear", retryable=True)
REFUSED = ProviderError("provider_key_invalid", stage="hear", retryable=False)


class Engine:
    """A fake of both engines. It says its own name, or some words before it fails."""

    supports_timestamps = True

    def __init__(self, name: str, error: ProviderError | None = None, words: Sequence[str] = ()) -> None:
        self.name = name
        self.error = error
        self.words = words

    async def transcribe(self, recording: Recording, *, language: str) -> Transcript:
        if self.error:
            raise self.error
        return Transcript(self.name, language)

    async def transcribe_with_times(self, recording: Recording, *, language: str, words: bool) -> Transcript:
        return await self.transcribe(recording, language=f"{language}, words: {words}")

    async def reply(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str, None]:
        for word in self.words:
            yield word
        if self.error:
            raise self.error
        yield self.name


def transcribe(*engines: Engine) -> tuple[str, str]:
    hearing = FallbackSpeechToText(engines)
    return asyncio.run(hearing.transcribe(RECORDING, language="fr")).text, hearing.name


def transcribe_with_times(*engines: Engine) -> tuple[str, str]:
    hearing = FallbackSpeechToText(engines)
    heard = asyncio.run(hearing.transcribe_with_times(RECORDING, language="fr", words=True))
    assert heard.language == "fr, words: True"
    return heard.text, hearing.name


def reply(*engines: Engine) -> tuple[str, str]:
    model = FallbackLanguageModel(engines)

    async def read() -> str:
        return "".join([delta async for delta in model.reply([Message("user", "Hello")], max_tokens=9)])

    return asyncio.run(read()), model.name


@pytest.mark.parametrize("ask", [transcribe, transcribe_with_times, reply])
@pytest.mark.parametrize("error", [OUTAGE, UNAVAILABLE])
def test_the_second_takes_over_while_the_first_is_down(ask, error: ProviderError) -> None:  # type: ignore[no-untyped-def]
    assert ask(Engine("openai", error), Engine("local")) == ("local", "local")


@pytest.mark.parametrize("ask", [transcribe, transcribe_with_times, reply])
def test_the_first_works_alone_while_it_works(ask) -> None:  # type: ignore[no-untyped-def]
    assert ask(Engine("openai"), Engine("local", OUTAGE)) == ("openai", "openai")


@pytest.mark.parametrize("ask", [transcribe, transcribe_with_times, reply])
def test_errors_that_the_operator_has_to_fix_are_raised(ask) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ProviderError, match="provider_key_invalid"):
        ask(Engine("openai", REFUSED), Engine("local"))


def test_a_reply_that_has_started_is_not_started_again() -> None:
    with pytest.raises(ProviderError, match="provider_unreachable"):
        reply(Engine("openai", OUTAGE, ["Paris "]), Engine("local"))


@pytest.mark.parametrize("ask", [transcribe, transcribe_with_times, reply])
def test_if_both_are_down_the_error_is_the_last_ones(ask) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ProviderError, match="provider_unavailable"):
        ask(Engine("openai", OUTAGE), Engine("local", UNAVAILABLE))


def test_it_returns_times_only_if_both_engines_do() -> None:
    silent = Engine("openai")
    silent.supports_timestamps = False
    assert FallbackSpeechToText([Engine("local"), Engine("other")]).supports_timestamps
    assert not FallbackSpeechToText([Engine("local"), silent]).supports_timestamps
