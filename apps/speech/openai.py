"""Speech to text and the language model of OpenAI, or of a server that speaks its API."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

import httpx2
from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    AsyncOpenAI,
    AsyncStream,
    DefaultAsyncHttpxClient,
    OpenAIError,
    omit,
)

from apps.speech.audio import resample, to_flac
from apps.speech.base import Transcript
from apps.speech.faults import error_for_status, logger, provider_error
from apps.speech.retries import KEPT_ALIVE_SECONDS, stream_with_retries, with_retries

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
    from openai.types.shared import ReasoningEffort

    from apps.speech.base import Message, Recording, Stage

_OPENAI_URL = "https://api.openai.com/v1"
_HEARD_SAMPLE_RATE = 16_000
_TAIL_SECONDS = 1

# The SDK checks no forms: text instead of JSON, or JSON of another form, shows only when it is used.
_WRONG_FORM = (AttributeError, TypeError, ValueError)
_KNOWN_CODES = {
    "billing_hard_limit_reached": "provider_quota_exhausted",
    "billing_not_active": "provider_quota_exhausted",
    "insufficient_quota": "provider_quota_exhausted",
    "invalid_api_key": "provider_key_invalid",
    "model_not_found": "provider_model_missing",
    "rate_limit_exceeded": "provider_busy",
}


@dataclass(frozen=True, slots=True)
class OpenAIConfig:
    """`base_url` ends in `/v1`; None is OpenAI's own. An empty `reasoning_effort` leaves the model's default.

    `hear_seconds`, `first_token_seconds` and `reply_seconds` are deadlines that include all retries.
    """

    api_key: str = field(repr=False)
    transcription_model: str
    chat_model: str
    base_url: str | None = None
    reasoning_effort: str = ""
    connect_seconds: float = 3
    hear_seconds: float = 30
    first_token_seconds: float = 10
    idle_seconds: float = 10
    reply_seconds: float = 60
    max_retries: int = 2


def create_client(config: OpenAIConfig) -> AsyncOpenAI:
    """Return a client for the running event loop, to be shared by its engines and closed with `close()`.

    It follows no redirect, retries nothing (the SDK would repeat calls that lack quota) and bounds only the time to
    connect: every call here has its own deadline.
    """
    return AsyncOpenAI(
        api_key=config.api_key,
        base_url=config.base_url or _OPENAI_URL,
        max_retries=0,
        timeout=httpx2.Timeout(None, connect=config.connect_seconds),
        http_client=DefaultAsyncHttpxClient(
            follow_redirects=False,
            limits=httpx2.Limits(
                max_connections=1000, max_keepalive_connections=100, keepalive_expiry=KEPT_ALIVE_SECONDS
            ),
        ),
    )


class OpenAISpeechToText:
    """Speech to text through `POST /audio/transcriptions`."""

    def __init__(self, client: AsyncOpenAI, config: OpenAIConfig) -> None:
        self._client = client
        self._config = config

    async def transcribe(self, recording: Recording, *, language: str) -> Transcript:
        flac = await asyncio.to_thread(lambda: to_flac(resample(recording, sample_rate=_HEARD_SAMPLE_RATE)))
        return await with_retries(
            partial(self._transcribe, flac, language),
            stage="hear",
            seconds=self._config.hear_seconds,
            max_retries=self._config.max_retries,
        )

    async def _transcribe(self, flac: bytes, language: str) -> Transcript:
        with _openai_errors("hear"):
            transcription = await self._client.audio.transcriptions.create(
                file=("recording.flac", flac, "audio/flac"),
                model=self._config.transcription_model,
                language=language or omit,
                response_format="json",
            )
            detected = transcription.languages[0].code if transcription.languages else language
            return Transcript(text=transcription.text.strip(), language=detected)


class OpenAILanguageModel:
    """Replies through `POST /chat/completions`, which other servers of this API offer as well."""

    def __init__(self, client: AsyncOpenAI, config: OpenAIConfig) -> None:
        self._client = client
        self._config = config

    def reply(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str, None]:
        return stream_with_retries(
            partial(self._deltas, messages, max_tokens),
            stage="think",
            first_seconds=self._config.first_token_seconds,
            idle_seconds=self._config.idle_seconds,
            total_seconds=self._config.reply_seconds,
            max_retries=self._config.max_retries,
        )

    async def _deltas(self, messages: Sequence[Message], max_tokens: int) -> AsyncGenerator[str, None]:
        with _openai_errors("think"):
            async with await self._open(messages, max_tokens) as stream:
                if not stream.response.headers.get("content-type", "").startswith("text/event-stream"):
                    raise provider_error("provider_answer_invalid", stage="think")
                async for chunk in stream:
                    for choice in chunk.choices:
                        if choice.delta.content:
                            yield choice.delta.content
                        if choice.finish_reason == "content_filter":
                            raise provider_error("provider_refused", stage="think")
                        if choice.finish_reason:
                            await _read_tail(stream)
                            return
        # A stream that a proxy or a restart cuts off can end as cleanly as a whole one.
        raise provider_error("provider_incomplete", stage="think")

    async def _open(self, messages: Sequence[Message], max_tokens: int) -> AsyncStream[ChatCompletionChunk]:
        return await self._client.chat.completions.create(
            model=self._config.chat_model,
            messages=[cast("ChatCompletionMessageParam", asdict(message)) for message in messages],
            max_completion_tokens=max_tokens,
            reasoning_effort=cast("ReasoningEffort", self._config.reasoning_effort) or omit,
            stream=True,
            stream_options={"include_usage": True},
        )


async def _read_tail(stream: AsyncStream[ChatCompletionChunk]) -> None:
    """Read what follows the end of a reply, so that its connection can be used again. The reply is whole without it."""
    with suppress(OpenAIError, TimeoutError, *_WRONG_FORM):
        async with asyncio.timeout(_TAIL_SECONDS):
            async for chunk in stream:
                if chunk.usage:
                    logger.info(
                        "think: %s tokens read, %s written", chunk.usage.prompt_tokens, chunk.usage.completion_tokens
                    )


@contextmanager
def _openai_errors(stage: Stage) -> Iterator[None]:
    """Raise what the SDK raises as `ProviderError`, without its texts: they repeat keys and what users said."""
    try:
        yield
    except APIStatusError as error:
        raise error_for_status(
            error.status_code,
            stage=stage,
            headers=error.response.headers,
            said=_said(error),
            known=_KNOWN_CODES,
            request_id=error.request_id or "",
        ) from None
    except APIConnectionError as error:
        never_connected = isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
        raise provider_error(
            "provider_unreachable" if never_connected else "provider_incomplete", stage=stage
        ) from None
    except APIError as error:  # An error event inside a stream that began well.
        code = next((_KNOWN_CODES[name] for name in _said(error) if name in _KNOWN_CODES), "provider_failed")
        raise provider_error(code, stage=stage, provider_code=" ".join(_said(error))) from None
    except _WRONG_FORM:
        raise provider_error("provider_answer_invalid", stage=stage) from None


def _said(error: APIError) -> list[str]:
    return [name for name in (error.code, error.type) if isinstance(name, str)]
