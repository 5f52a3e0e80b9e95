"""A second engine for a stage, which takes over while the first one is down.

It takes over in outages only. Errors of a working provider, such as a wrong key or missing credit, are raised, so that
the operator sees them. An engine does not take over in the middle of a reply.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from apps.speech import metrics
from apps.speech.base import LanguageModel, Message, ProviderError, Recording, SpeechToText, Stage, Transcript
from apps.speech.providers.breakers import UNAVAILABLE
from apps.speech.providers.faults import logger


class FallbackSpeechToText:
    """Transcribes with the first of `engines` that works. For one call: `name` is the engine that was called last."""

    def __init__(self, engines: Sequence[SpeechToText]) -> None:
        self._engines = engines
        self.name = engines[0].name

    @property
    def supports_timestamps(self) -> bool:
        return all(engine.supports_timestamps for engine in self._engines)

    async def transcribe(self, recording: Recording, *, language: str) -> Transcript:
        return await self._heard(lambda engine: engine.transcribe(recording, language=language))

    async def transcribe_with_times(self, recording: Recording, *, language: str, words: bool) -> Transcript:
        return await self._heard(lambda engine: engine.transcribe_with_times(recording, language=language, words=words))

    async def _heard(self, hear: Callable[[SpeechToText], Awaitable[Transcript]]) -> Transcript:
        *others, last = self._engines
        for engine in others:
            self.name = engine.name
            try:
                return await hear(engine)
            except ProviderError as error:
                _require_outage(error)
        self.name = _take_over("hear", last.name)
        return await hear(last)


class FallbackLanguageModel:
    """Replies with the first of `engines` that works. For one call: `name` is the engine that was called last."""

    def __init__(self, engines: Sequence[LanguageModel]) -> None:
        self._engines = engines
        self.name = engines[0].name

    async def reply(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str, None]:
        *others, last = self._engines
        for engine in others:
            self.name = engine.name
            has_started = False
            try:
                async with aclosing(engine.reply(messages, max_tokens=max_tokens)) as deltas:
                    async for delta in deltas:
                        has_started = True
                        yield delta
                    return
            except ProviderError as error:
                if has_started:
                    raise
                _require_outage(error)
        self.name = _take_over("think", last.name)
        async with aclosing(last.reply(messages, max_tokens=max_tokens)) as deltas:
            async for delta in deltas:
                yield delta


def _require_outage(error: ProviderError) -> None:
    if not (error.is_outage or error.code == UNAVAILABLE):
        raise error


def _take_over(stage: Stage, engine: str) -> str:
    logger.warning("%s: %s takes over", stage, engine)
    metrics.FALLBACKS.labels(stage, engine).inc()
    return engine
