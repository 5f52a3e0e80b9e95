"""The HTTP client of a voice server, its configuration, and what its answers mean."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx

from apps.speech import request_ids
from apps.speech.providers.breakers import Breakers
from apps.speech.providers.connections import connection_error, http_client
from apps.speech.providers.faults import error_for_status, provider_error
from apps.speech.providers.retries import TRANSIENT_CODES, with_retries
from apps.speech.voice_folder import VoiceFolder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator

    from apps.speech.base import ProviderError, Stage

VOICE_MISSING = "provider_voice_missing"
MODEL_MISSING = "provider_model_missing"
_WARM_UP_SECONDS = 3
_PREFIX = "voiceclone-"
NAME = re.compile(rf"{_PREFIX}[0-9a-f]{{32}}")
"""What the names of this site's voices look like at a server."""
_TAG = re.compile(r"\[([0-9a-f-]{36})\]\Z")
_KNOWN_CODES = {
    "insufficient_quota": "provider_quota_exhausted",
    "invalid_api_key": "provider_key_invalid",
    "model_not_found": MODEL_MISSING,
    # Not codes of the servers: `_error_codes` derives them from the name of the refused parameter.
    "refused_model": MODEL_MISSING,
    "refused_voice": VOICE_MISSING,
    "refused_name": "provider_voice_limit",
}


@dataclass(frozen=True, slots=True)
class VoiceServerConfig:
    """`dialect` is `openai`, `reference` or `chatterbox`. `base_url` ends in `/v1` except for `chatterbox`.

    An empty `api_key` or `model` is not sent.

    References that no server stores are in `voices_dir`. `max_concurrent` is the number of concurrent speech requests,
    of this process if its engine gets no shared slots. `first_audio_seconds` and `clone_seconds` are deadlines that
    include all retries.
    """

    base_url: str
    dialect: str
    voices_dir: VoiceFolder
    api_key: str = field(default="", repr=False)
    model: str = ""
    max_concurrent: int = 4
    connect_seconds: float = 3
    first_audio_seconds: float = 8
    idle_seconds: float = 5
    clone_seconds: float = 60
    max_retries: int = 2
    breakers: Breakers = field(default_factory=Breakers, compare=False)


class VoiceServerClient:
    """Calls one voice server from the running event loop. Its only timeout of its own is the one for connecting."""

    def __init__(self, config: VoiceServerConfig) -> None:
        self._config = config
        self._http = http_client(
            base_url=config.base_url,
            headers={"Authorization": f"Bearer {config.api_key}"} if config.api_key else {},
            timeout=httpx.Timeout(None, connect=config.connect_seconds),
        )

    async def connect(self) -> None:
        """Open a connection, so that the first turn does not have to. Ignore the answer."""
        with suppress(httpx.HTTPError, ValueError):
            await self._http.get("models", timeout=_WARM_UP_SECONDS)

    async def close(self) -> None:
        await self._http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        codes: frozenset[str] = TRANSIENT_CODES,
        accepted: Collection[int] = (),
        **content: Any,
    ) -> httpx.Response:
        """Return the whole answer to a call of the stage "clone": a 2xx, or one of the statuses `accepted`.

        After a failure with one of `codes`, the call is repeated. Raises ProviderError.
        """
        return await with_retries(
            partial(self._call, method, path, accepted, content),
            breaker=self._config.breakers["clone"],
            seconds=self._config.clone_seconds,
            max_retries=self._config.max_retries,
            codes=codes,
        )

    async def _call(self, method: str, path: str, accepted: Collection[int], content: dict[str, Any]) -> httpx.Response:
        with server_errors("clone"):
            response = await self._http.request(method, path, **content)
            if not response.is_success and response.status_code not in accepted:
                raise await refusal(response, stage="clone", not_found="provider_answer_invalid")
            return response

    @asynccontextmanager
    async def stream(self, path: str, body: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        """Give the answer to a POST of JSON, whose content is still to be read. Its status may be any."""
        async with self._http.stream("POST", path, json=body) as response:
            request_ids.note("speak", response.headers.get("x-request-id"))
            yield response


@contextmanager
def server_errors(stage: Stage) -> Iterator[None]:
    """Convert lost connections and unexpected answers to ProviderError, without the text of either."""
    try:
        yield
    except httpx.HTTPError as error:
        raise connection_error(error, stage=stage) from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise provider_error("provider_answer_invalid", stage=stage) from None


async def refusal(response: httpx.Response, *, stage: Stage, not_found: str) -> ProviderError:
    """Return the error for an answer that is not a 2xx. A 404 that names no parameter means `not_found`."""
    await response.aread()
    codes = _error_codes(response)
    if response.status_code in (404, 405) and not any(code in _KNOWN_CODES for code in codes):
        codes = ["not_found"]
    return error_for_status(
        response.status_code,
        stage=stage,
        headers=response.headers,
        provider_codes=codes,
        known_codes={**_KNOWN_CODES, "not_found": not_found},
        request_id=response.headers.get("x-request-id", ""),
    )


def _error_codes(response: httpx.Response) -> list[str]:
    """Return the codes in a body of OpenAI's form: `{"error": {"code", "type", "param", …}}`."""
    try:
        body = response.json()
    except ValueError:
        return []
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return []
    codes = [error.get("code"), error.get("type"), f"refused_{error.get('param')}"]
    return [code for code in codes if isinstance(code, str)]


def tag_of(name: str) -> UUID:
    """Return the tag at the end of a voice's name, as in "Jane [<tag>]"; a new one if there is none."""
    tag = _TAG.search(name)
    return UUID(tag[1]) if tag else uuid4()


def server_name(name: str) -> str:
    """Return the name of a voice at the server: the tag in `name`, without the words of its owner.

    Servers accept only letters, digits, ".", "_" and "-" in names.
    """
    return _PREFIX + tag_of(name).hex


def name_with_tag(server_name: str) -> str:
    """Return a name that ends with the tag of the voice that is called `server_name` at the server."""
    return f"{_PREFIX}[{UUID(server_name.removeprefix(_PREFIX))}]"
