"""Voice cloning and text to speech through ElevenLabs."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import httpx
from elevenlabs import VoiceSettings as ElevenLabsVoiceSettings
from elevenlabs.client import OMIT, AsyncElevenLabs
from elevenlabs.core.api_error import ApiError

from apps.speech import request_ids
from apps.speech.audio.mp3 import to_mp3
from apps.speech.audio.resampling import resample
from apps.speech.base import ProviderError, ProviderVoice
from apps.speech.providers.breakers import Breakers
from apps.speech.providers.connections import connection_error, http_client
from apps.speech.providers.faults import error_for_status, provider_error
from apps.speech.providers.pcm import coalesced
from apps.speech.providers.retries import NOT_SENT_CODES, stream_with_retries, with_retries
from apps.speech.providers.slots import Slots, SpeechSlots

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence

    from elevenlabs import AddVoiceIvcResponseModel, Voice
    from elevenlabs.core.request_options import RequestOptions
    from elevenlabs.text_to_speech.client import AsyncTextToSpeechClient
    from elevenlabs.voices.client import AsyncVoicesClient

    from apps.speech.base import Recording, SpokenConsent, Stage, VoiceSettings

Result = TypeVar("Result")

_SPEECH_SAMPLE_RATE = 24_000
# Without a chunk size, the SDK passes chunks on as they arrive, so the first one does not wait until it is full.
_UNBUFFERED = cast("RequestOptions", {"chunk_size": None})
_SAMPLE_SAMPLE_RATE = 44_100
_SAMPLE_BIT_RATE = 192_000
_LARGEST_PAGE = 100
_WARM_UP_SECONDS = 3

# When the SDK retries an upload, it omits the voice's name and may create a second voice.
_NO_SDK_RETRIES: RequestOptions = {"max_retries": 0}

# If the plan allows fewer concurrent requests than the setting says, or another program uses the same plan, the limit
# is lowered for this long.
_CONCURRENCY_CODES = {"concurrent_limit_exceeded", "too_many_concurrent_requests"}
_LOWERED_LIMIT_SECONDS = 60

_VOICE_MISSING_CODES = {"voice_not_found", "voice_does_not_exist"}
# The current codes, and older ones that some endpoints still return.
KNOWN_CODES = {
    "can_not_use_instant_voice_cloning": "provider_plan_insufficient",
    "concurrent_limit_exceeded": "provider_busy",
    "content_against_policy": "provider_content_refused",
    "detected_unusual_activity": "provider_plan_insufficient",
    "duplicate_files": "provider_duplicate_samples",
    "feature_not_available": "provider_plan_insufficient",
    "insufficient_credits": "provider_quota_exhausted",
    "invalid_api_key": "provider_key_invalid",
    "invalid_voice_id": "provider_voice_missing",
    "max_character_limit_exceeded": "provider_refused",
    "missing_api_key": "provider_key_invalid",
    "missing_permissions": "provider_permission_missing",
    "model_not_found": "provider_model_missing",
    "only_for_creator+": "provider_plan_insufficient",
    "paid_plan_required": "provider_plan_insufficient",
    "payment_issue": "provider_payment_failed",
    "quota_exceeded": "provider_quota_exhausted",
    "rate_limit_exceeded": "provider_busy",
    "subscription_required": "provider_plan_insufficient",
    "system_busy": "provider_busy",
    "too_many_concurrent_requests": "provider_busy",
    "unsupported_model": "provider_model_missing",
    "voice_access_denied": "provider_voice_missing",
    "voice_limit_reached": "provider_voice_limit",
    **dict.fromkeys(_VOICE_MISSING_CODES, "provider_voice_missing"),
}


@dataclass(frozen=True, slots=True)
class ElevenLabsConfig:
    """`base_url` is without `/v1`; None means ElevenLabs' own.

    `max_concurrent` is the number of concurrent speech requests, of this process if its engine gets no shared slots.
    `first_audio_seconds` and `clone_seconds` (for creating, deleting and listing voices) are deadlines that include all
    retries.
    """

    api_key: str = field(repr=False)
    model: str
    max_concurrent: int
    base_url: str | None = None
    connect_seconds: float = 3
    first_audio_seconds: float = 8
    idle_seconds: float = 5
    clone_seconds: float = 60
    max_retries: int = 2
    breakers: Breakers = field(default_factory=Breakers, compare=False)


class ElevenLabsClient(AsyncElevenLabs):
    """The SDK's client. The engines of the running event loop share it.

    Its only timeout is the one for connecting, because every call in this module has its own deadline.
    """

    def __init__(self, config: ElevenLabsConfig) -> None:
        self._connections = http_client()
        super().__init__(
            api_key=config.api_key,
            base_url=config.base_url,
            # The SDK passes this on to each request of httpx. A plain number would also limit the pauses of a stream.
            timeout=httpx.Timeout(None, connect=config.connect_seconds),  # type: ignore[arg-type]
            httpx_client=self._connections,
        )

    async def close(self) -> None:
        await self._connections.aclose()


async def connect(client: ElevenLabsClient) -> None:
    """Open a connection with the cheapest call, so that the first turn does not have to. Ignore the answer."""
    options: RequestOptions = {"max_retries": 0, "timeout_in_seconds": _WARM_UP_SECONDS}
    with suppress(ApiError, httpx.HTTPError, AttributeError, TypeError, ValueError):
        await client.models.list(request_options=options)


class ElevenLabsTextToSpeech:
    """Speech through `POST /v1/text-to-speech/{voice_id}/stream`."""

    sample_rate = _SPEECH_SAMPLE_RATE

    def __init__(self, client: AsyncElevenLabs, config: ElevenLabsConfig, slots: SpeechSlots | None = None) -> None:
        self._text_to_speech: AsyncTextToSpeechClient = client.text_to_speech  # The SDK does not type it.
        self._config = config
        self._slots: SpeechSlots = slots or Slots(config.max_concurrent)

    def speak(
        self, text: str, *, voice_id: str, settings: VoiceSettings, previous_text: str
    ) -> AsyncGenerator[bytes, None]:
        return stream_with_retries(
            partial(self._chunks, text, voice_id, settings, previous_text),
            breaker=self._config.breakers["speak"],
            first_seconds=self._config.first_audio_seconds,
            idle_seconds=self._config.idle_seconds,
            max_retries=self._config.max_retries,
        )

    async def _chunks(
        self, text: str, voice_id: str, settings: VoiceSettings, previous_text: str
    ) -> AsyncGenerator[bytes, None]:
        # The listener hears nothing until the first segment of a turn. It has priority over later segments of others.
        async with (
            self._slots.slot(urgent=not previous_text),
            aclosing(self._audio(text, voice_id, settings, previous_text)) as chunks,
        ):
            async for chunk in chunks:
                yield chunk

    @contextmanager
    def _lowering_limit(self) -> Iterator[None]:
        """Lower the limit if the plan allows no more concurrent requests: the next try waits for a running request."""
        try:
            yield
        except ApiError as error:
            if not _CONCURRENCY_CODES.isdisjoint(error_codes(error.body)):
                self._slots.shrink(seconds=_LOWERED_LIMIT_SECONDS)
            raise

    async def _audio(
        self, text: str, voice_id: str, settings: VoiceSettings, previous_text: str
    ) -> AsyncGenerator[bytes, None]:
        with _elevenlabs_errors("speak"), self._lowering_limit():
            async with self._text_to_speech.with_raw_response.stream(
                voice_id,
                text=text,
                model_id=self._config.model,
                output_format="pcm_24000",
                voice_settings=_voice_settings(settings),
                previous_text=previous_text or OMIT,
                request_options=_UNBUFFERED,
            ) as response:
                request_ids.note("speak", response.headers.get("request-id"))
                # With any status, the SDK yields any body as audio.
                if not response.headers.get("content-type", "").startswith(("audio/", "application/octet-stream")):
                    raise provider_error("provider_answer_invalid", stage="speak")
                async for chunk in coalesced(response.data, self.sample_rate):
                    yield chunk


class ElevenLabsVoiceCloner:
    """Instant voice cloning through `/v1/voices`."""

    def __init__(self, client: AsyncElevenLabs, config: ElevenLabsConfig) -> None:
        self._voices: AsyncVoicesClient = client.voices  # The SDK does not type it.
        self._config = config

    async def create(self, name: str, samples: Sequence[Recording], *, consent: SpokenConsent | None = None) -> str:
        files = await asyncio.to_thread(_sample_files, samples)
        # A request that may have reached the provider is not repeated, because it could create a second voice.
        voice = await with_retries(
            partial(self._add, name, files),
            breaker=self._config.breakers["clone"],
            seconds=self._config.clone_seconds,
            max_retries=self._config.max_retries,
            codes=NOT_SENT_CODES,
        )
        if voice.requires_verification:
            with suppress(ProviderError):
                await self.delete(voice.voice_id)
            raise provider_error("provider_voice_unverified", stage="clone")
        return voice.voice_id

    async def delete(self, voice_id: str) -> None:
        await self._with_retries(partial(self._remove, voice_id))

    async def list(self) -> builtins.list[ProviderVoice]:
        return await self._with_retries(self._list_all)

    async def _add(self, name: str, files: builtins.list[tuple[str, bytes, str]]) -> AddVoiceIvcResponseModel:
        with _elevenlabs_errors("clone"):
            voice: AddVoiceIvcResponseModel = await self._voices.ivc.create(
                name=name,
                files=[*files],
                labels={},  # Without it, the SDK sends the text "null".
                request_options=_NO_SDK_RETRIES,
            )
            _checked_id(voice.voice_id)
            return voice

    async def _remove(self, voice_id: str) -> None:
        with _elevenlabs_errors("clone"):
            try:
                await self._voices.delete(voice_id, request_options=_NO_SDK_RETRIES)
            except ApiError as error:
                if error.status_code != 404 and _VOICE_MISSING_CODES.isdisjoint(error_codes(error.body)):
                    raise

    async def _list_all(self) -> builtins.list[ProviderVoice]:
        voices: builtins.list[ProviderVoice] = []
        token: str | None = None
        with _elevenlabs_errors("clone"):
            while True:
                page = await self._voices.search(
                    category="cloned", page_size=_LARGEST_PAGE, next_page_token=token, request_options=_NO_SDK_RETRIES
                )
                voices += map(_to_provider_voice, page.voices)
                token = page.next_page_token if page.has_more else None
                if token is None:
                    return voices

    async def _with_retries(self, call: Callable[[], Awaitable[Result]]) -> Result:
        return await with_retries(
            call,
            breaker=self._config.breakers["clone"],
            seconds=self._config.clone_seconds,
            max_retries=self._config.max_retries,
        )


def _voice_settings(settings: VoiceSettings) -> Any:
    """Return only the settings that are not None, so that the voice keeps its own values for the others."""
    values: dict[str, Any] = {
        "stability": settings.stability,
        "similarity_boost": settings.similarity,
        "style": settings.style,
        "speed": settings.speed,
    }
    values = {name: value for name, value in values.items() if value is not None}
    return ElevenLabsVoiceSettings(**values) if values else OMIT


def _sample_files(samples: Sequence[Recording]) -> builtins.list[tuple[str, bytes, str]]:
    resampled = (resample(sample, sample_rate=_SAMPLE_SAMPLE_RATE) for sample in samples)
    mp3s = (to_mp3(sample, bit_rate=_SAMPLE_BIT_RATE) for sample in resampled)
    return [(f"sample-{number}.mp3", mp3, "audio/mpeg") for number, mp3 in enumerate(mp3s, start=1)]


def _to_provider_voice(voice: Voice) -> ProviderVoice:
    state = voice.voice_verification
    needs_verification = state is not None and state.requires_verification and not state.is_verified
    return ProviderVoice(_checked_id(voice.voice_id), voice.name or "", needs_verification)


def _checked_id(voice_id: object) -> str:
    """Return `voice_id` if it is safe in a URL path: the SDK inserts it there without escaping."""
    if isinstance(voice_id, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,100}", voice_id):
        return voice_id
    raise provider_error("provider_answer_invalid", stage="clone")


@contextmanager
def _elevenlabs_errors(stage: Stage) -> Iterator[None]:
    """Convert the errors of the SDK and httpx to ProviderError, without their messages, which repeat the request."""
    try:
        yield
    except ApiError as error:
        headers = error.headers or {}
        raise error_for_status(
            error.status_code or 0,
            stage=stage,
            headers=headers,
            provider_codes=error_codes(error.body),
            known_codes=KNOWN_CODES,
            request_id=headers.get("request-id", ""),
        ) from None
    except httpx.HTTPError as error:
        raise connection_error(error, stage=stage) from None
    except (AttributeError, TypeError, ValueError):
        # The SDK validates no response: an unexpected structure shows only when it is used.
        raise provider_error("provider_answer_invalid", stage=stage) from None


def error_codes(body: object) -> builtins.list[str]:
    """Return the error codes in a response body: `{"detail": {"code", "status" (the older field), …}}`."""
    detail = body.get("detail") if isinstance(body, dict) else None
    if not isinstance(detail, dict):
        return []
    return [code for code in (detail.get("code"), detail.get("status")) if isinstance(code, str)]
