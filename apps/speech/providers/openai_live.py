"""OpenAI hears while it is spoken: a transcription session of the Realtime API, `/v1/realtime?intent=transcription`.

The SDK's connection would send sound that it has kept into a session that is not configured yet, so this speaks with
the service itself.
"""

from __future__ import annotations

import json
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING, Any

from apps.speech.base import LIVE_SAMPLE_RATE, OPENAI_LIVE
from apps.speech.providers.faults import provider_error
from apps.speech.providers.live_dialect import Final, Partial, socket_url, wait_for
from apps.speech.providers.live_socket import LiveSocketSpeechToText
from apps.speech.providers.openai_stream import KNOWN_CODES, strings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from websockets.asyncio.client import ClientConnection

    from apps.speech.providers.live_dialect import LiveConfig

# With a model in the address, the service would open a conversation, which it does not let become a transcription.
_PATH = "/realtime?intent=transcription"
_EMPTY_COMMIT = "input_audio_buffer_commit_empty"
# The models that take several languages, instead of one.
_MODELS_WITH_LANGUAGES = ("gpt-live-transcribe", "gpt-transcribe")
_ERRORS = {**KNOWN_CODES, "session_expired": "provider_incomplete", "server_error": "provider_failed"}


def create_live_speech_to_text(config: LiveConfig) -> LiveSocketSpeechToText:
    return LiveSocketSpeechToText(OPENAI_LIVE, config, partial(OpenAIDialect, config))


class OpenAIDialect:
    """Implements Dialect. The sound up to each commit is an item with an id, and deltas continue its text.

    It is not documented whether deltas that come before a commit have the id that the item gets.
    """

    known_codes: Mapping[str, str] = KNOWN_CODES
    piece_seconds = (60.0, 90.0)  # The service commits nothing by itself; shorter pieces have their text sooner.
    max_age_seconds = 50 * 60.0  # The service ends a session after an hour, without a word.
    sends_silence = False

    def __init__(self, config: LiveConfig, language: str) -> None:
        self.url = f"{socket_url(config.base_url)}{_PATH}"
        key = {"Authorization": f"Bearer {config.api_key}"} if config.api_key else {}
        self.headers: Mapping[str, str] = {**config.headers, **key}
        self._model = config.model
        self._language = language
        self._texts: dict[str, str] = {}  # By item: what was said since the last commit.
        self._old_items: set[str] = set()
        self._commits = 0
        self._item: str | None = None  # The one of the commit that waits for its answer.

    def error_codes(self, body: Any) -> list[str]:
        error = body["error"]
        return strings(error.get("code"), error.get("type"))

    async def greet(self, socket: ClientConnection) -> None:
        await wait_for(socket, lambda event: self._is(event, "session.created"))
        await socket.send(json.dumps({"type": "session.update", "session": self._session()}))
        await wait_for(socket, lambda event: self._is(event, "session.updated"))

    def _session(self) -> dict[str, Any]:
        transcription: dict[str, Any] = {"model": self._model}
        if self._language and self._model in _MODELS_WITH_LANGUAGES:
            transcription["languages"] = [self._language]
        elif self._language:
            transcription["language"] = self._language
        sound = {"type": "audio/pcm", "rate": LIVE_SAMPLE_RATE}
        return {
            "type": "transcription",
            "audio": {"input": {"format": sound, "turn_detection": None, "transcription": transcription}},
        }

    def _is(self, event: dict[str, Any], kind: str) -> bool:
        """Tell whether `event` is of this type. Raises ProviderError for an error: a refused session is of no use."""
        if event["type"] == "error":
            raise self._error(event["error"], default="provider_refused")
        return bool(event["type"] == kind)

    def chunk(self, pcm: bytes) -> str:
        return f'{{"type":"input_audio_buffer.append","audio":"{b64encode(pcm).decode()}"}}'

    def commit(self) -> str:
        self._begin_item()
        self._commits += 1
        return f'{{"type":"input_audio_buffer.commit","event_id":"{self._commit_id}"}}'

    @property
    def _commit_id(self) -> str:
        return f"commit-{self._commits}"

    def clear(self) -> str:
        self._begin_item()
        return '{"type":"input_audio_buffer.clear"}'

    def _begin_item(self) -> None:
        self._old_items.update(self._texts)
        self._texts.clear()

    def read(self, message: str | bytes) -> Partial | Final | None:
        event = json.loads(message)
        match event["type"]:
            case "input_audio_buffer.committed":
                self._item = str(event["item_id"])
            case "conversation.item.input_audio_transcription.delta":
                return self._delta(str(event["item_id"]), event.get("delta") or "")
            case "conversation.item.input_audio_transcription.completed" if event["item_id"] == self._item:
                return self._final(str(event["transcript"]))
            case "conversation.item.input_audio_transcription.failed" if event["item_id"] == self._item:
                raise self._error(event["error"], default="provider_failed")
            case "error":
                return self._note_error(event["error"])
        return None

    def _delta(self, item: str, delta: str) -> Partial | None:
        if item == self._item or item in self._old_items:
            return None
        self._texts[item] = self._texts.get(item, "") + delta
        return Partial(self._texts[item])

    def _final(self, text: str) -> Final:
        self._old_items = {self._item or ""}
        self._item = None
        return Final(text)

    def _note_error(self, error: dict[str, Any]) -> Final | None:
        """Return the answer to an empty commit. Raises ProviderError if the error ends the session or the commit."""
        if error.get("code") == _EMPTY_COMMIT:
            return self._final("")
        is_of_commit = error.get("event_id") == self._commit_id
        known = any(code in _ERRORS for code in strings(error.get("code"), error.get("type")))
        if is_of_commit or known:
            raise self._error(error, default="provider_failed")
        return None

    def _error(self, error: dict[str, Any], *, default: str) -> Exception:
        codes = strings(error.get("code"), error.get("type"))
        code = next((code for code in codes if code in _ERRORS), codes[0] if codes else "")
        return provider_error(_ERRORS.get(code, default), stage="hear", provider_code=code)
