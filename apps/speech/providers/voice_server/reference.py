"""Voices that no server stores: the reference and its transcript go along with each text.

vLLM-Omni takes the reference as a data URL, oMLX as bare base64, and each refuses the other's form with a 400.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from apps.speech.audio.wav import to_wav
from apps.speech.base import ProviderError, ProviderVoice
from apps.speech.providers.faults import provider_error
from apps.speech.providers.voice_server.client import MODEL_MISSING, VOICE_MISSING, refusal, tag_of

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncIterator, Awaitable, Callable

    import httpx

    from apps.speech.base import Recording, SpokenConsent
    from apps.speech.providers.voice_server.client import VoiceServerClient, VoiceServerConfig
    from apps.speech.voice_folder import VoiceFolder

_PREFIX = "server-"
_FORMS = ("data:audio/wav;base64,", "")
VOICE_ID = re.compile(rf"{_PREFIX}[0-9a-f]{{32}}")


class ReferenceVoices:
    """Stores the reference of each voice in a file here, and sends it with each text."""

    voice_id_pattern = VOICE_ID

    def __init__(
        self,
        client: VoiceServerClient,
        config: VoiceServerConfig,
        transcribe: Callable[[Recording], Awaitable[str]],
    ) -> None:
        self._client = client
        self._model = config.model
        self._folder = config.voices_dir
        self._transcribe = transcribe
        self._forms: tuple[str, ...] = _FORMS

    async def create(self, name: str, reference: Recording, consent: SpokenConsent | None) -> str:
        transcript = await self._transcribe(reference)
        if not transcript:
            raise ProviderError("provider_audio_refused", stage="clone", retryable=False)
        voice_id = _PREFIX + tag_of(name).hex
        await asyncio.to_thread(self._save, voice_id, reference, transcript)
        return voice_id

    async def delete(self, voice_id: str) -> None:
        await asyncio.to_thread(forget, self._folder, voice_id)

    async def list(self) -> builtins.list[ProviderVoice]:
        names = await asyncio.to_thread(self._folder.names)
        ids = [name.removesuffix(".json") for name in names if VOICE_ID.fullmatch(name.removesuffix(".json"))]
        return [ProviderVoice(voice_id, f"[{UUID(voice_id.removeprefix(_PREFIX))}]") for voice_id in ids]

    @asynccontextmanager
    async def speech(self, text: str, voice_id: str, *, instructions: str) -> AsyncIterator[httpx.Response]:
        stored = await asyncio.to_thread(self._load, voice_id)
        body: dict[str, Any] = {
            "input": text,
            "ref_text": stored["text"],
            "response_format": "wav",  # oMLX streams nothing else, and the head of a WAV file tells the sample rate.
            "stream": True,
            "stream_format": "audio",
        }
        if self._model:
            body["model"] = self._model
        for form in self._forms:
            async with self._client.stream("audio/speech", body | {"ref_audio": form + stored["audio"]}) as response:
                if response.status_code in (400, 422) and form != self._forms[-1]:
                    continue
                if not response.is_success:
                    raise await refusal(response, stage="speak", not_found=MODEL_MISSING)
                self._forms = (form,)  # From now on without another try.
                yield response
                return

    def _save(self, voice_id: str, reference: Recording, transcript: str) -> None:
        stored = {"audio": base64.b64encode(to_wav(reference)).decode(), "text": transcript}
        self._folder.write(_file_name(voice_id), json.dumps(stored).encode())

    def _load(self, voice_id: str) -> dict[str, str]:
        try:
            stored: dict[str, str] = json.loads(self._folder.fetched(_file_name(voice_id)).read_text())
        except FileNotFoundError:
            raise provider_error(VOICE_MISSING, stage="speak") from None
        return stored


def forget(folder: VoiceFolder, voice_id: str) -> None:
    """Delete the reference of a voice."""
    folder.delete(_file_name(voice_id))


def _file_name(voice_id: str) -> str:
    return f"{voice_id}.json"
