"""Speech to text and the language model of OpenAI, or of a server with the same API."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx2
from openai import (
    APIConnectionError,
    APIStatusError,
    AsyncOpenAI,
    AsyncStream,
    BadRequestError,
    DefaultAioHttpClient,
    OpenAIError,
    UnprocessableEntityError,
    omit,
)

from apps.speech import request_ids
from apps.speech.addresses import OPENAI_URL, serves_openai_models
from apps.speech.audio.resampling import resample
from apps.speech.audio.wav import to_wav
from apps.speech.base import ProviderError, Transcript
from apps.speech.providers.breakers import Breakers
from apps.speech.providers.connections import (
    ResponseTooLargeError,
    connection_error,
    limit_response_body,
    read_request_body,
)
from apps.speech.providers.faults import error_for_status, logger, provider_error
from apps.speech.providers.openai_stream import KNOWN_CODES, coalesced, events, strings
from apps.speech.providers.openai_times import language_of, timed_parts
from apps.speech.providers.retries import KEEP_ALIVE_SECONDS, stream_with_retries, with_retries
from apps.speech.reply_text import CUT, ReplyText, is_whole, longest_transcript, storable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence

    from apps.speech.base import Message, Recording, Stage

_NO_KEY = "none"  # The SDK insists on a key. This one is never sent.
# All that a server gets if the variables that the SDK reads are not meant for it.
_PLAIN_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "user-agent",
    }
)
_MAX_LISTED_MODELS = 1000
_TRANSCRIPTION_SAMPLE_RATE = 16_000
_USAGE_SECONDS = 1
_WARM_UP_SECONDS = 3

# The SDK validates no response: text instead of JSON, or an unexpected structure, shows only when it is used.
_INVALID_RESPONSE = (AttributeError, TypeError, ValueError, LookupError, RecursionError)
# Not all servers know these: some ignore them, some refuse the request. The words are those of their refusals.
_OPTIONAL_PARAMETERS = {
    "max_completion_tokens": re.compile("max_completion_tokens"),
    "max_tokens": re.compile("max_tokens"),
    "stream_options": re.compile("stream_options"),
    "reasoning_effort": re.compile("reasoning_effort|not support (?:thinking|reasoning)"),
}
_LIMITS = {"max_completion_tokens", "max_tokens"}
_REFUSED_VALUE = re.compile(r"too (?:large|long|high|big)|context (?:length|window)|at most|less than|greater than")
_CUT_REASONS = {"length", "max_tokens", "max_output_tokens"}
_END_CHARACTERS = 20  # These tell whether a reply ends with a sentence.
_FILTER_REASONS = ("content_filter", "safety", "prohibited_content", "refusal")
# Chat templates of such models begin the reasoning themselves, so that the output has only the mark that ends it.
_REASONING_MODEL = re.compile(
    r"(?<![a-z])(?<!no-)(?<!non-)(?:r1|qwq|think(?:ing)?|reason(?:er|ing)|exaone-deep|minimax-m\d)(?![a-z0-9])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class OpenAIConfig:
    """The server and the model of one stage, and its deadlines.

    `base_url` usually ends in `/v1`. Without `api_key`, no key is sent. `uses_sdk_variables`: the server also gets what
    the SDK reads from OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS. An empty `reasoning_effort` means the
    model's default. `hear_seconds`, `first_token_seconds` and `reply_seconds` include all retries. `refused` collects
    the parameters that the server has refused to know, `unopened` the models whose last reply began with reasoning that
    no mark opened.
    """

    api_key: str = field(repr=False)
    model: str
    base_url: str = OPENAI_URL
    uses_sdk_variables: bool = False
    reasoning_effort: str = ""
    connect_seconds: float = 3
    hear_seconds: float = 30
    first_token_seconds: float = 10
    idle_seconds: float = 10
    reply_seconds: float = 60
    max_retries: int = 2
    breakers: Breakers = field(default_factory=Breakers, compare=False)
    refused: set[str] = field(default_factory=set, compare=False)
    unopened: set[str] = field(default_factory=set, compare=False)


def create_client(config: OpenAIConfig) -> AsyncOpenAI:
    """Return a client for the running event loop. The loop's engines share it; close it with `close()`.

    It follows no redirects and retries nothing, because the SDK would also repeat calls that fail for lack of quota.
    Its only timeout is the one for connecting, because every call in this module has its own deadline.
    """
    key = config.api_key or _NO_KEY
    return AsyncOpenAI(
        api_key=key,
        default_headers={"Authorization": f"Bearer {key}"},  # Before the one that OPENAI_CUSTOM_HEADERS may contain.
        base_url=config.base_url,
        max_retries=0,
        timeout=httpx2.Timeout(None, connect=config.connect_seconds),
        http_client=DefaultAioHttpClient(
            follow_redirects=False,
            event_hooks={
                "request": [partial(_remove_foreign_headers, config), read_request_body],
                "response": [limit_response_body],
            },
            limits=httpx2.Limits(
                max_connections=1000, max_keepalive_connections=100, keepalive_expiry=KEEP_ALIVE_SECONDS
            ),
        ),
    )


async def _remove_foreign_headers(config: OpenAIConfig, request: httpx2.Request) -> None:
    """Remove what does not belong to the server of `config`. A request hook."""
    if not config.uses_sdk_variables:
        for name in {*request.headers} - _PLAIN_HEADERS:
            del request.headers[name]
    if not config.api_key:
        del request.headers["authorization"]


async def connect(client: AsyncOpenAI) -> None:
    """Open a connection with the cheapest call, so that the first turn does not have to. Ignore the answer."""
    await model_names(client)


async def model_names(client: AsyncOpenAI) -> list[str]:
    """Return the names of the models that the server lists, none if it does not answer."""
    with suppress(OpenAIError, *_INVALID_RESPONSE):
        page = await client.with_options(timeout=_WARM_UP_SECONDS).models.list()
        return [str(model.id) for model in page.data[:_MAX_LISTED_MODELS]]
    return []


class OpenAISpeechToText:
    """Speech to text through `POST /audio/transcriptions`."""

    name = "openai"

    def __init__(self, client: AsyncOpenAI, config: OpenAIConfig) -> None:
        # The others return the text alone. Most servers of people's own serve a Whisper.
        self.supports_timestamps = "whisper" in config.model.casefold()
        self._transcriptions = client.audio.transcriptions  # The SDK imports it on first access: not in a turn.
        self._config = config
        self.offered_models = partial(model_names, client)

    async def transcribe(self, recording: Recording, *, language: str) -> Transcript:
        return await self._heard(recording, language, {"response_format": "json"})

    async def transcribe_with_times(self, recording: Recording, *, language: str, words: bool) -> Transcript:
        form = {
            "response_format": "verbose_json",
            "timestamp_granularities": ["segment", "word"] if words else ["segment"],
        }
        try:
            return await self._heard(recording, language, form)
        except ProviderError as error:
            if error.code != "provider_audio_refused":
                raise
        # Not all servers know these fields, and some refuse the request for them.
        return await self.transcribe(recording, language=language)

    async def _heard(self, recording: Recording, language: str, form: dict[str, Any]) -> Transcript:
        if recording.sample_rate != _TRANSCRIPTION_SAMPLE_RATE:
            recording = await asyncio.to_thread(resample, recording, sample_rate=_TRANSCRIPTION_SAMPLE_RATE)
        return await with_retries(
            partial(self._transcribe, to_wav(recording), language, form, longest_transcript(recording.seconds)),
            breaker=self._config.breakers["hear"],
            seconds=self._config.hear_seconds,
            max_retries=self._config.max_retries,
        )

    async def _transcribe(self, wav: bytes, language: str, form: dict[str, Any], max_characters: int) -> Transcript:
        with _openai_errors("hear"):
            transcription = await self._transcriptions.create(
                file=("recording.wav", wav, "audio/wav"),
                model=self._config.model,
                language=language or omit,
                **form,
            )
            request_ids.note("hear", getattr(transcription, "_request_id", None))
            text = storable(transcription.text)
            if len(text) > max_characters:
                raise provider_error("provider_answer_invalid", stage="hear")
            segments, words = timed_parts(transcription, max_characters)
            return Transcript(text.strip(), language_of(transcription) or language, segments, words)


class OpenAILanguageModel:
    """Replies through `POST /chat/completions`, which other servers offer as well."""

    name = "openai"

    def __init__(self, client: AsyncOpenAI, config: OpenAIConfig) -> None:
        self._client = client
        self._config = config
        self.offered_models = partial(model_names, client)

    async def reply(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str, None]:
        stream = stream_with_retries(
            partial(self._deltas, messages, max_tokens),
            breaker=self._config.breakers["think"],
            first_seconds=self._config.first_token_seconds,
            idle_seconds=self._config.idle_seconds,
            total_seconds=self._config.reply_seconds,
            max_retries=self._config.max_retries,
        )
        is_empty = True
        async with aclosing(stream) as deltas:
            async for delta in deltas:
                if delta:
                    is_empty = False
                    yield delta
        if is_empty:
            logger.warning("think: the model reasoned and said nothing: switch that off, or raise MAX_REPLY_TOKENS")
            raise provider_error("provider_incomplete", stage="think", is_outage=False)

    async def _deltas(self, messages: Sequence[Message], max_tokens: int) -> AsyncGenerator[str, None]:
        """Yield the deltas, and "" for reasoning and whatever else is progress, so that no deadline ends it."""
        text = ReplyText(reasons_first=self._reasons_first())
        end = ""
        with _openai_errors("think"):
            async with self._events(messages, max_tokens) as sent:
                async for part in coalesced(sent):
                    if part.reasons:
                        text.release()
                    is_cut = part.finish_reason in _CUT_REASONS
                    delta = text.add(part.text) + (text.finish(is_cut=is_cut) if part.finish_reason else "")
                    self._note_reasoning(text, is_finished=bool(part.finish_reason))
                    end = (end + delta)[-_END_CHARACTERS:]
                    if delta or not part.finish_reason:
                        yield delta
                    if part.finish_reason:
                        _check_reason(part.finish_reason)
                        if is_cut and not is_whole(end):
                            yield CUT
                        await _log_usage(sent)
                        return
        # A stream that a proxy or a restart cuts off can end without an error.
        raise provider_error("provider_incomplete", stage="think")

    @asynccontextmanager
    async def _events(
        self, messages: Sequence[Message], max_tokens: int
    ) -> AsyncIterator[AsyncGenerator[dict[str, Any], None]]:
        """Give the events of the answer. Raises ProviderError if it is no stream of events."""
        async with await self._open(messages, max_tokens) as stream:
            response = stream.response
            request_ids.note("think", response.headers.get("x-request-id"))
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise provider_error("provider_answer_invalid", stage="think")
            async with aclosing(events(response)) as sent:
                yield sent

    def _reasons_first(self) -> bool:
        """Tell whether a reply is likely to begin with reasoning that no mark opens."""
        if serves_openai_models(self._config.base_url):
            return False
        return self._config.model in self._config.unopened or bool(_REASONING_MODEL.search(self._config.model))

    def _note_reasoning(self, text: ReplyText, *, is_finished: bool) -> None:
        """Remember how the model reasons. Raises ProviderError if reasoning has passed as a part of the reply."""
        if text.began_unopened:
            self._config.unopened.add(self._config.model)
        elif is_finished:
            self._config.unopened.discard(self._config.model)
        if text.is_spoilt:
            logger.warning("think: the reply began with reasoning; the next one waits for the mark that ends it")
            raise provider_error("provider_answer_invalid", stage="think")

    async def _open(self, messages: Sequence[Message], max_tokens: int) -> AsyncStream[object]:
        while True:
            body = self._body(messages, max_tokens)
            try:
                # The SDK's own method transforms each argument by its type hints, which takes 6 ms for twenty messages.
                return await self._client.post(
                    "/chat/completions", cast_to=object, body=body, stream=True, stream_cls=AsyncStream[object]
                )
            except (BadRequestError, UnprocessableEntityError) as error:
                refused = _refused_parameters(error.response.text) & body.keys()
                if not refused:
                    raise
                logger.warning("think: the server refuses %s, so it is not sent any more", ", ".join(sorted(refused)))
                self._config.refused.update(refused)

    def _body(self, messages: Sequence[Message], max_tokens: int) -> dict[str, Any]:
        """Return the body of a request, without the parameters that the server has refused."""
        limit = next((name for name in limit_names(self._config.base_url) if name not in self._config.refused), "")
        optional = {
            limit: max_tokens,
            "stream_options": {"include_usage": True},
            "reasoning_effort": self._config.reasoning_effort,
        }
        return {
            "model": self._config.model,
            "messages": [asdict(message) for message in messages],
            "stream": True,
            **{name: value for name, value in optional.items() if name and value and name not in self._config.refused},
        }


def limit_names(base_url: str) -> tuple[str, str]:
    """Return both names of the parameter that limits a reply, the better one for the server at `base_url` first.

    OpenAI's reasoning models know only the first one here; Ollama and Mistral know only the other one.
    """
    names = ("max_completion_tokens", "max_tokens")
    return names if serves_openai_models(base_url) else (names[1], names[0])


def _refused_parameters(refusal: str) -> set[str]:
    """Return the names of the optional parameters that a server refuses to know, by the text of its refusal."""
    names = {name for name, words in _OPTIONAL_PARAMETERS.items() if words.search(refusal)}
    return names - _LIMITS if _REFUSED_VALUE.search(refusal) else names


def _check_reason(finish_reason: str) -> None:
    """Raise ProviderError if a reply that ended for this reason is none."""
    if finish_reason.startswith(_FILTER_REASONS):
        raise provider_error("provider_refused", stage="think")
    if finish_reason == "error":
        raise provider_error("provider_failed", stage="think")


async def _log_usage(sent: AsyncIterator[dict[str, Any]]) -> None:
    """Read the events after a complete reply, so that its connection can be reused, and log the tokens."""
    with suppress(ProviderError, httpx2.HTTPError, TimeoutError, *_INVALID_RESPONSE):
        async with asyncio.timeout(_USAGE_SECONDS):
            async for event in sent:
                if usage := event.get("usage"):
                    prompt, completion = usage["prompt_tokens"], usage["completion_tokens"]
                    logger.info("think: %s prompt tokens, %s completion tokens", prompt, completion)


@contextmanager
def _openai_errors(stage: Stage) -> Iterator[None]:
    """Convert the errors of the SDK to ProviderError, without their messages, which repeat keys and users' words."""
    try:
        yield
    except APIStatusError as error:
        raise error_for_status(
            error.status_code,
            stage=stage,
            headers=error.response.headers,
            provider_codes=strings(error.code, error.type),
            known_codes=KNOWN_CODES,
            request_id=error.request_id or "",
        ) from None
    except APIConnectionError as error:
        if isinstance(error.__cause__, ResponseTooLargeError):
            raise provider_error("provider_answer_invalid", stage=stage) from None
        raise connection_error(error.__cause__ or error, stage=stage) from None
    except httpx2.HTTPError as error:  # The connection was lost in the middle of a stream.
        raise connection_error(error, stage=stage) from None
    except _INVALID_RESPONSE:
        raise provider_error("provider_answer_invalid", stage=stage) from None
