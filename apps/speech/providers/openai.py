"""Speech to text and the language model of OpenAI, or of a server that speaks its API."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx2
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, AsyncStream, DefaultAioHttpClient, OpenAIError, omit

from apps.speech.audio.resampling import resample
from apps.speech.audio.wav import to_wav
from apps.speech.base import ProviderError, Transcript
from apps.speech.providers.breakers import Breakers
from apps.speech.providers.connections import AnswerTooLargeError, bound, connection_error, read_whole
from apps.speech.providers.faults import error_for_status, logger, provider_error
from apps.speech.providers.retries import KEPT_ALIVE_SECONDS, stream_with_retries, with_retries

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence

    from apps.speech.base import Message, Recording, Stage

_OPENAI_URL = "https://api.openai.com/v1"
_HEARD_SAMPLE_RATE = 16_000
_TAIL_SECONDS = 1
_WARM_UP_SECONDS = 3
_FIRST_CHARACTERS = 60  # At most so much is spoken first.
_DELTA_SECONDS = 0.08

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
    breakers: Breakers = field(default_factory=Breakers, compare=False)


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
        http_client=DefaultAioHttpClient(
            follow_redirects=False,
            event_hooks={"request": [read_whole], "response": [bound]},
            limits=httpx2.Limits(
                max_connections=1000, max_keepalive_connections=100, keepalive_expiry=KEPT_ALIVE_SECONDS
            ),
        ),
    )


async def connect(client: AsyncOpenAI) -> None:
    """Open a connection with the cheapest call, so that the first turn need not. Its answer does not matter."""
    with suppress(OpenAIError, *_WRONG_FORM):
        await client.with_options(timeout=_WARM_UP_SECONDS).models.list()


class OpenAISpeechToText:
    """Speech to text through `POST /audio/transcriptions`."""

    name = "openai"
    tells_times = False  # OpenAI's models that are not about to be switched off answer with the text alone.

    def __init__(self, client: AsyncOpenAI, config: OpenAIConfig) -> None:
        self._transcriptions = client.audio.transcriptions  # Asked for in a turn, the SDK would import it there.
        self._config = config

    async def transcribe(self, recording: Recording, *, language: str) -> Transcript:
        if recording.sample_rate != _HEARD_SAMPLE_RATE:
            recording = await asyncio.to_thread(resample, recording, sample_rate=_HEARD_SAMPLE_RATE)
        return await with_retries(
            partial(self._transcribe, to_wav(recording), language, _longest_text(recording)),
            breaker=self._config.breakers["hear"],
            seconds=self._config.hear_seconds,
            max_retries=self._config.max_retries,
        )

    async def _transcribe(self, wav: bytes, language: str, max_characters: int) -> Transcript:
        with _openai_errors("hear"):
            transcription = await self._transcriptions.create(
                file=("recording.wav", wav, "audio/wav"),
                model=self._config.transcription_model,
                language=language or omit,
                response_format="json",
            )
            if len(transcription.text) > max_characters:
                raise provider_error("provider_answer_invalid", stage="hear")
            detected = transcription.languages[0].code if transcription.languages else language
            return Transcript(text=transcription.text.strip(), language=detected)


def _longest_text(recording: Recording) -> int:
    """Return how many characters nobody says in that time; they would be stored, and paid for as a question."""
    return 200 + round(50 * recording.seconds)


class OpenAILanguageModel:
    """Replies through `POST /chat/completions`, which other servers of this API offer as well."""

    name = "openai"

    def __init__(self, client: AsyncOpenAI, config: OpenAIConfig) -> None:
        self._client = client
        self._config = config

    def reply(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str, None]:
        return stream_with_retries(
            partial(self._deltas, messages, max_tokens),
            breaker=self._config.breakers["think"],
            first_seconds=self._config.first_token_seconds,
            idle_seconds=self._config.idle_seconds,
            total_seconds=self._config.reply_seconds,
            max_retries=self._config.max_retries,
        )

    async def _deltas(self, messages: Sequence[Message], max_tokens: int) -> AsyncGenerator[str, None]:
        with _openai_errors("think"):
            async with await self._open(messages, max_tokens) as stream:
                response = stream.response
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    raise provider_error("provider_answer_invalid", stage="think")
                async with aclosing(_events(response)) as events:
                    async for text, finish_reason in _in_larger_deltas(events):
                        if text:
                            yield text
                        if finish_reason == "content_filter":
                            raise provider_error("provider_refused", stage="think")
                        if finish_reason:
                            await _read_tail(events)
                            return
        # A stream that a proxy or a restart cuts off can end as cleanly as a whole one.
        raise provider_error("provider_incomplete", stage="think")

    async def _open(self, messages: Sequence[Message], max_tokens: int) -> AsyncStream[object]:
        body = {
            "model": self._config.chat_model,
            "messages": [asdict(message) for message in messages],
            "max_completion_tokens": max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._config.reasoning_effort:
            body["reasoning_effort"] = self._config.reasoning_effort
        # The SDK's method for it walks through each argument by its type hints: 6 ms for twenty messages.
        return await self._client.post(
            "/chat/completions", cast_to=object, body=body, stream=True, stream_cls=AsyncStream[object]
        )


async def _events(response: httpx2.Response) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the data of each server-sent event. The SDK's own reader makes a model of each, at three times the cost."""
    async for line in response.aiter_lines():
        data = line.removeprefix("data:").strip()
        if line.startswith("data:") and data and data != "[DONE]":
            event: dict[str, Any] = json.loads(data)
            if event.get("error"):
                raise _error_in_stream(event["error"])
            yield event


async def _in_larger_deltas(events: AsyncIterator[dict[str, Any]]) -> AsyncGenerator[tuple[str, str], None]:
    """Yield (text, reason to finish or ""): the first words one by one, later ones together.

    The voice waits for the first ones only, and to read, show and pass on a word costs as much as several do.
    """
    now = asyncio.get_running_loop().time
    text, length, next_time = "", 0, 0.0
    async for event in events:
        for choice in event.get("choices", ()):
            text += choice["delta"].get("content") or ""
            finish_reason = choice.get("finish_reason") or ""
            if finish_reason or (text and now() >= next_time):
                yield text, finish_reason
                length += len(text)
                text = ""
                if length >= _FIRST_CHARACTERS and not finish_reason:
                    next_time = now() + _DELTA_SECONDS
                    await asyncio.sleep(0.8 * _DELTA_SECONDS)  # The rest is for reading what has come by then.
    if text:
        yield text, ""


async def _read_tail(events: AsyncIterator[dict[str, Any]]) -> None:
    """Read what follows the end of a reply, so that its connection can be used again. The reply is whole without it."""
    with suppress(ProviderError, httpx2.HTTPError, TimeoutError, *_WRONG_FORM):
        async with asyncio.timeout(_TAIL_SECONDS):
            async for event in events:
                if usage := event.get("usage"):
                    logger.info("think: %s tokens read, %s written", usage["prompt_tokens"], usage["completion_tokens"])


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
            said=_names(error.code, error.type),
            known=_KNOWN_CODES,
            request_id=error.request_id or "",
        ) from None
    except APIConnectionError as error:
        if isinstance(error.__cause__, AnswerTooLargeError):
            raise provider_error("provider_answer_invalid", stage=stage) from None
        raise connection_error(error.__cause__ or error, stage=stage) from None
    except httpx2.HTTPError as error:  # The connection was lost in the middle of a stream.
        raise connection_error(error, stage=stage) from None
    except _WRONG_FORM:
        raise provider_error("provider_answer_invalid", stage=stage) from None


def _error_in_stream(error: object) -> ProviderError:
    """Return what an error event means inside of a stream that began well."""
    said = _names(error.get("code"), error.get("type")) if isinstance(error, dict) else []
    code = next((_KNOWN_CODES[name] for name in said if name in _KNOWN_CODES), "provider_failed")
    return provider_error(code, stage="think", provider_code=" ".join(said))


def _names(*values: object) -> list[str]:
    return [value for value in values if isinstance(value, str)]
