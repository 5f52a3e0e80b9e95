"""Voices at a Chatterbox-TTS-Server: files in its folder of references, which it can list but not delete."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from apps.speech.audio.wav import to_wav
from apps.speech.base import ProviderVoice
from apps.speech.providers.faults import logger, provider_error
from apps.speech.providers.retries import NOT_SENT_CODES
from apps.speech.providers.voice_server.client import (
    NAME,
    VOICE_MISSING,
    name_with_tag,
    refusal,
    server_errors,
    server_name,
)

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncIterator

    import httpx

    from apps.speech.base import Recording, SpokenConsent
    from apps.speech.providers.voice_server.client import VoiceServerClient

_SUFFIX = ".wav"


class ChatterboxVoices:
    """Creates, lists and uses references. A voice is deleted when the operator has removed its file."""

    voice_id_pattern = re.compile(rf"{NAME.pattern}\{_SUFFIX}")

    def __init__(self, client: VoiceServerClient) -> None:
        self._client = client

    async def create(self, name: str, reference: Recording, consent: SpokenConsent | None) -> str:
        # The server keeps a file that it already has. The same name always stands for the same samples.
        file = server_name(name) + _SUFFIX
        answer = await self._client.call(
            "POST",
            "upload_reference",
            codes=NOT_SENT_CODES,
            files=[("files", (file, to_wav(reference), "audio/wav"))],
        )
        with server_errors("clone"):
            if file not in answer.json()["uploaded_files"]:
                raise ValueError("the file is not there")
        return file

    async def delete(self, voice_id: str) -> None:
        if voice_id in await self._files():
            logger.warning("clone: remove %s from the folder reference_audio of the voice server", voice_id)
            raise provider_error("provider_cannot_delete", stage="clone")

    async def list(self) -> builtins.list[ProviderVoice]:
        return [ProviderVoice(file, name_with_tag(file.removesuffix(_SUFFIX))) for file in await self._files()]

    async def _files(self) -> builtins.list[str]:
        """Return the files of this site's voices."""
        answer = await self._client.call("GET", "get_reference_files")
        with server_errors("clone"):
            files = answer.json()
            if not isinstance(files, list):  # Else a file that is still there could count as deleted.
                raise TypeError("no list of files")
            return [file for file in files if self.voice_id_pattern.fullmatch(file)]

    @asynccontextmanager
    async def speech(self, text: str, voice_id: str, *, instructions: str) -> AsyncIterator[httpx.Response]:
        body = {
            "text": text,
            "voice_mode": "clone",
            "reference_audio_filename": voice_id,
            "output_format": "wav",
            "stream": True,  # Since 2.0; earlier versions ignore it and answer with the same file at once.
        }
        async with self._client.stream("tts", body) as response:
            if not response.is_success:
                raise await refusal(response, stage="speak", not_found=VOICE_MISSING)
            yield response
