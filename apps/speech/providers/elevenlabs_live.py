"""ElevenLabs hears while it is spoken: Scribe realtime, `/v1/speech-to-text/realtime`.

The SDK's helper for it loses messages and errors, and does not reconnect, so this speaks with the service itself.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from apps.speech.base import ELEVENLABS_LIVE, LIVE_SAMPLE_RATE
from apps.speech.providers.elevenlabs import KNOWN_CODES, error_codes
from apps.speech.providers.faults import provider_error
from apps.speech.providers.live_dialect import Final, Partial, socket_url, wait_for
from apps.speech.providers.live_socket import LiveSocketSpeechToText

if TYPE_CHECKING:
    from collections.abc import Mapping

    from websockets.asyncio.client import ClientConnection

    from apps.speech.providers.live_dialect import LiveConfig

_PATH = "/v1/speech-to-text/realtime"
_ERRORS = {
    "auth_error": "provider_key_invalid",
    "chunk_size_exceeded": "provider_refused",
    "commit_throttled": "provider_busy",
    "error": "provider_failed",
    "input_error": "provider_refused",
    "insufficient_audio_activity": "provider_incomplete",
    "invalid_request": "provider_refused",
    "queue_overflow": "provider_busy",
    "quota_exceeded": "provider_quota_exhausted",
    "rate_limited": "provider_busy",
    "resource_exhausted": "provider_busy",
    "session_time_limit_exceeded": "provider_incomplete",
    "transcriber_error": "provider_failed",
    "unaccepted_terms": "provider_permission_missing",
}


def create_live_speech_to_text(config: LiveConfig) -> LiveSocketSpeechToText:
    return LiveSocketSpeechToText(ELEVENLABS_LIVE, config, partial(ElevenLabsDialect, config))


class ElevenLabsDialect:
    """Implements Dialect. Commits have no numbers, and after each one a partial repeats its text."""

    known_codes: Mapping[str, str] = KNOWN_CODES
    piece_seconds = (20.0, 60.0)  # The service commits by itself after 90 seconds.
    max_age_seconds = math.inf
    sends_silence = True

    def __init__(self, config: LiveConfig, language: str) -> None:
        query = {
            "model_id": config.model,
            "audio_format": f"pcm_{LIVE_SAMPLE_RATE}",
            "commit_strategy": "manual",
            **({"language_code": language} if language else {}),
        }
        self.url = f"{socket_url(config.base_url)}{_PATH}?{urlencode(query)}"
        self.headers: Mapping[str, str] = {**config.headers, "xi-api-key": config.api_key}
        self._committed = ""

    def error_codes(self, body: Any) -> list[str]:
        return error_codes(body)

    async def greet(self, socket: ClientConnection) -> None:
        await wait_for(socket, lambda message: _kind(message) == "session_started")

    def chunk(self, pcm: bytes) -> str:
        return _chunk(pcm, "false")

    def commit(self) -> str:
        return _chunk(b"", "true")

    def clear(self) -> None:
        return None

    def read(self, message: str | bytes) -> Partial | Final | None:
        data = json.loads(message)
        match _kind(data):
            case "partial_transcript":
                return self._partial(str(data["text"]))
            case "committed_transcript":
                self._committed = str(data["text"])
                return Final(self._committed)
        return None

    def _partial(self, text: str) -> Partial | None:
        """Return the partial unless it repeats what was committed."""
        if text == self._committed:
            return None
        self._committed = ""
        return Partial(text)


def _kind(message: dict[str, Any]) -> str:
    """Return the type of `message`. Raises ProviderError if it is an error."""
    kind = str(message["message_type"])
    if kind in _ERRORS or message.get("error"):
        raise provider_error(_ERRORS.get(kind, "provider_failed"), stage="hear", provider_code=kind)
    return kind


def _chunk(pcm: bytes, commit: str) -> str:
    sound = b64encode(pcm).decode()
    return (
        f'{{"message_type":"input_audio_chunk","audio_base_64":"{sound}","commit":{commit},'
        f'"sample_rate":{LIVE_SAMPLE_RATE}}}'
    )
