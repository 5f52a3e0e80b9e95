"""What a service that hears through a WebSocket is like, and how a connection to it is opened."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from apps.speech.providers.breakers import Breakers
from apps.speech.providers.faults import error_for_status, provider_error
from apps.speech.providers.retries import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from websockets.asyncio.client import ClientConnection

    from apps.speech.base import ProviderError

_MAX_MESSAGE_BYTES = 1_000_000
_CLOSE_SECONDS = 1

# At the level DEBUG, the library logs keys and words.
_library_logger = logging.getLogger("voiceclone.speech.websockets")
_library_logger.setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class LiveConfig:
    """A service that hears through a WebSocket. `base_url` begins with http, and is that of the service's SDK.

    `headers` are sent besides the key. `hear_seconds` is the deadline of a commit with all retries, `answer_seconds`
    that of one answer of the service. After `silence_seconds` without sound, as much silence is sent if the service
    needs it, and after `idle_seconds` the connection is closed until there is sound again. At most the last
    `max_seconds` of sound are kept, to be sent again if the connection is lost.
    """

    api_key: str = field(repr=False)
    base_url: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict)
    connect_seconds: float = 3
    hear_seconds: float = 30
    answer_seconds: float = 5
    silence_seconds: float = 1
    idle_seconds: float = 30
    max_seconds: float = 120
    max_retries: int = 2
    breakers: Breakers = field(default_factory=Breakers, compare=False)


@dataclass(frozen=True, slots=True)
class Partial:
    """What was said since the last commit, as far as it is known. It replaces the partial before it."""

    text: str


@dataclass(frozen=True, slots=True)
class Final:
    """The result of the commit that waits for one."""

    text: str


class Dialect(Protocol):
    """The messages of one connection to a service, both ways."""

    url: str
    headers: Mapping[str, str]
    known_codes: Mapping[str, str]
    # Longer sound is committed in pieces: at a pause after the first number of seconds, at the latest after the second.
    piece_seconds: tuple[float, float]
    # A connection is replaced at this age.
    max_age_seconds: float
    # Whether silence is sent while there is no sound, because the service needs to hear something.
    sends_silence: bool

    async def greet(self, socket: ClientConnection) -> None:
        """Do what comes before the first sound. Raises ProviderError and the errors of `message_errors`."""
        ...

    def chunk(self, pcm: bytes) -> str: ...

    def commit(self) -> str: ...

    def clear(self) -> str | None:
        """Return the message that lets the sound since the last commit be forgotten; None if there is no such one."""
        ...

    def read(self, message: str | bytes) -> Partial | Final | None:
        """Return what `message` says, None if nothing follows. Raises as `greet` does."""
        ...

    def error_codes(self, body: Any) -> list[str]:
        """Return the codes of the error in `body`, the JSON of an HTTP response."""
        ...


@asynccontextmanager
async def connection(dialect: Dialect, config: LiveConfig) -> AsyncIterator[ClientConnection]:
    """Open a connection that is ready for sound, and close it after the block. Raises ProviderError."""
    connecting = _Connect(
        dialect.url,
        additional_headers=dialect.headers,
        compression=None,
        open_timeout=config.connect_seconds,
        close_timeout=_CLOSE_SECONDS,
        max_size=_MAX_MESSAGE_BYTES,
        logger=_library_logger,
    )
    try:
        socket = await connecting
    except InvalidStatus as error:
        raise _refusal(error, dialect) from None
    except (OSError, WebSocketException):
        raise provider_error("provider_unreachable", stage="hear") from None
    async with socket:
        async with until(asyncio.get_running_loop().time() + config.connect_seconds, stage="hear"):
            with message_errors():
                await dialect.greet(socket)
        yield socket


class _Connect(connect):
    """Follows no redirects: the key would go along. Like the HTTP clients, it obeys the variables for proxies."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


def _refusal(error: InvalidStatus, dialect: Dialect) -> ProviderError:
    """Return the error for an HTTP response in the place of a connection."""
    response = error.response
    try:
        codes = dialect.error_codes(json.loads(response.body or b""))
    except (AttributeError, TypeError, ValueError, RecursionError):
        codes = []
    headers = {name.lower(): value for name, value in response.headers.raw_items()}
    return error_for_status(
        response.status_code,
        stage="hear",
        headers=headers,
        provider_codes=codes,
        known_codes=dialect.known_codes,
        request_id=headers.get("request-id", headers.get("x-request-id", "")),
    )


@contextmanager
def message_errors() -> Iterator[None]:
    """Convert the errors that messages of an unexpected structure lead to, and that of a lost connection."""
    try:
        yield
    except ConnectionClosed:
        raise provider_error("provider_incomplete", stage="hear") from None
    except (AttributeError, TypeError, ValueError, LookupError, RecursionError):
        raise provider_error("provider_answer_invalid", stage="hear") from None


async def wait_for(socket: ClientConnection, is_it: Callable[[dict[str, Any]], bool]) -> None:
    """Read messages until one of them is the right one. `is_it` raises ProviderError for an error."""
    while not is_it(json.loads(await socket.recv())):
        pass


def socket_url(address: str) -> str:
    """Return `address`, whose scheme is http or https, with that of WebSockets."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(scheme="wss" if parts.scheme == "https" else "ws"))
