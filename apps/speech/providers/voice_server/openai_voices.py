"""Voices that the server stores: `/v1/audio/voices`, in two forms.

SGLang-Omni and vLLM-Omni know a voice by the name that its maker chose, and take any text as the consent. OpenAI gives
ids, and first wants the recording of the consent at an address of its own, `/v1/audio/voice_consents`. A server shows
its form by having that address or not.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from apps.speech.audio.wav import to_wav
from apps.speech.base import ProviderError, ProviderVoice
from apps.speech.providers.faults import provider_error
from apps.speech.providers.retries import NOT_SENT_CODES
from apps.speech.providers.voice_server.client import (
    NAME,
    VOICE_MISSING,
    name_with_tag,
    refusal,
    server_errors,
    server_name,
)
from apps.speech.providers.voice_server.sound import SAMPLE_RATE

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncIterator, Awaitable, Callable

    import httpx

    from apps.speech.base import Recording, SpokenConsent
    from apps.speech.providers.voice_server.client import VoiceServerClient, VoiceServerConfig

_VOICES = "audio/voices"
_CONSENTS = "audio/voice_consents"
_MISSING = 404
_ABSENT = (_MISSING, 405)
_ID = r"[A-Za-z0-9_-]{1,49}"
# A voice of OpenAI's form goes with its consent, since both have to be deleted: "voice_1:cons_1".
_IDS = re.compile(rf"({_ID}):({_ID})")


class OpenAIVoices:
    """Creates, deletes, lists and uses the voices of a server with `/v1/audio/voices`."""

    voice_id_pattern = re.compile(rf"{NAME.pattern}|{_IDS.pattern}")

    def __init__(
        self,
        client: VoiceServerClient,
        config: VoiceServerConfig,
        transcribe: Callable[[Recording], Awaitable[str]],
    ) -> None:
        self._client = client
        self._model = config.model
        self._transcribe = transcribe

    async def create(self, name: str, reference: Recording, consent: SpokenConsent | None) -> str:
        name = server_name(name)
        consent_id = await self._upload_consent(name, consent) if consent else ""
        if not consent_id:
            transcript = await self._transcribe(reference)
            answer = await self._upload(name, reference, consent=name, ref_text=transcript)
            with server_errors("clone"):
                body = answer.json()
                if (body.get("voice") or body)["name"].lower() != name:
                    raise ValueError("another voice")
            return name
        try:
            answer = await self._upload(name, reference, consent=consent_id)
            with server_errors("clone"):
                return _joined_ids(answer.json()["id"], consent_id)
        except ProviderError:
            with suppress(ProviderError):
                await self._client.call("DELETE", f"{_CONSENTS}/{consent_id}", accepted=_ABSENT)
            raise

    async def delete(self, voice_id: str) -> None:
        if ids := _IDS.fullmatch(voice_id):
            for path in (f"{_VOICES}/{ids[1]}", f"{_CONSENTS}/{ids[2]}"):
                await self._client.call("DELETE", path, accepted=[_MISSING])
            return
        answer = await self._client.call("DELETE", f"{_VOICES}/{voice_id}", accepted=_ABSENT)
        # A server without this address answers as one without this voice does. Only its list tells them apart.
        if answer.status_code in _ABSENT and voice_id in _names_in(await self._client.call("GET", _VOICES)):
            raise provider_error("provider_cannot_delete", stage="clone")

    async def list(self) -> builtins.list[ProviderVoice]:
        """Return the voices that have names of this site's. OpenAI itself has no list: it returns nothing."""
        answer = await self._client.call("GET", _VOICES, accepted=_ABSENT)
        names = set() if answer.status_code in _ABSENT else _names_in(answer)
        return [ProviderVoice(name, name_with_tag(name)) for name in sorted(names)]

    @asynccontextmanager
    async def speech(self, text: str, voice_id: str, *, instructions: str) -> AsyncIterator[httpx.Response]:
        body: dict[str, Any] = {"input": text, "response_format": "pcm", "stream_format": "audio"}
        if self._model:
            body["model"] = self._model
        if instructions:
            body["instructions"] = instructions
        if ids := _IDS.fullmatch(voice_id):
            body["voice"] = {"id": ids[1]}
        else:
            # SGLang-Omni streams with `stream`; vLLM-Omni would wrap the sound in events without `stream_format`, and
            # does not say the rate of raw PCM, so it is asked for one.
            body |= {"voice": voice_id, "stream": True, "sample_rate": SAMPLE_RATE}
        async with self._client.stream("audio/speech", body) as response:
            if not response.is_success:
                raise await self._refused_speech(response, voice_id)
            yield response

    async def _refused_speech(self, response: httpx.Response, voice_id: str) -> ProviderError:
        # vLLM-Omni answers 400 for an unknown voice, with a sentence as the only reason: its list is what tells.
        if response.status_code in (400, 422) and NAME.fullmatch(voice_id):
            with suppress(ProviderError):
                if voice_id not in _names_in(await self._client.call("GET", _VOICES)):
                    return provider_error(VOICE_MISSING, stage="speak", status=response.status_code)
        return await refusal(response, stage="speak", not_found=VOICE_MISSING)

    async def _upload_consent(self, name: str, consent: SpokenConsent) -> str:
        """Return the id of the uploaded recording; "" if the server does not collect such recordings."""
        answer = await self._client.call(
            "POST",
            _CONSENTS,
            codes=NOT_SENT_CODES,
            accepted=_ABSENT,
            data={"name": name, "language": consent.language},
            files={"recording": ("consent.wav", to_wav(consent.recording), "audio/wav")},
        )
        if answer.status_code in _ABSENT:
            return ""
        with server_errors("clone"):
            return _checked_id(answer.json()["id"])

    async def _upload(self, name: str, reference: Recording, **fields: str) -> httpx.Response:
        # A request that may have reached the server is not repeated, because it could create a second voice.
        return await self._client.call(
            "POST",
            _VOICES,
            codes=NOT_SENT_CODES,
            data={"name": name, **{field: value for field, value in fields.items() if value}},
            files={"audio_sample": ("reference.wav", to_wav(reference), "audio/wav")},
        )


def _names_in(answer: httpx.Response) -> set[str]:
    """Return the names of this site's voices in a list of all voices."""
    with server_errors("clone"):
        body = answer.json()
        listed = [*body.get("voices", ()), *(voice["name"] for voice in body.get("uploaded_voices", ()))]
        return {name for name in listed if isinstance(name, str) and NAME.fullmatch(name)}


def _joined_ids(voice_id: str, consent_id: str) -> str:
    return f"{_checked_id(voice_id)}:{consent_id}"


def _checked_id(value: object) -> str:
    """Return `value` if it is safe in the path of a URL. Raises ValueError."""
    if isinstance(value, str) and re.fullmatch(_ID, value):
        return value
    raise ValueError("not an id")
