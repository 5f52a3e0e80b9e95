"""What the application says when it refuses something. Raised by services, turned into words by pages and API alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from apps.speech.base import AudioError, ProviderError


class UserError(Exception):
    """A request that can not be done as asked. `code` is stable; `message` says what happened and what to do.

    `headers` go with the answer of the API.
    """

    def __init__(self, code: str, message: str, *, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.status = status
        self.headers = dict(headers or {})


@contextmanager
def told_on_page(tell: Callable[[str], object]) -> Iterator[None]:
    """Call `tell` with the message of what is refused or fails inside, and go on behind the block."""
    try:
        yield
    except (UserError, AudioError, ProviderError) as error:
        tell(error.message)
