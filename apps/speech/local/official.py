"""Downloads a file from its official address, and continues an interrupted download.

A machine that does not reach the address must find out soon, because the file has another source. So a host that does
not answer is asked once in the life of an OfficialSource.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests

from apps.speech.local.catalogue import ModelFile

Result = TypeVar("Result")

BLOCK_BYTES = 1 << 16
MAX_REDIRECTS = 5
OK, PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 200, 206, 416
# An encoding would change the meaning of ranges and lengths.
HEADERS = {"User-Agent": "VoiceClone", "Accept-Encoding": "identity"}


class UnavailableError(Exception):
    """The official address does not give the file. The message is the reason, for the operator's log."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: for one connection, for the first answer of a host, and for more bytes.

    `pauses` are those before each further try after a broken connection; a try that brings bytes starts them anew.
    """

    connect_seconds: float = 4
    answer_seconds: float = 8
    read_seconds: float = 20
    pauses: tuple[float, ...] = (1, 3, 9)


class OfficialSource:
    """The official addresses of model files, as this machine reaches them."""

    def __init__(self, patience: Patience = Patience()) -> None:
        self._patience = patience
        self._answered: set[str] = set()
        self._unreachable: dict[str, str] = {}

    def download(self, file: ModelFile, partial: Path) -> None:
        """Write the file to `partial`, after the bytes that are there already. Raises UnavailableError and OSError.

        `partial` stays after an interruption, and the next call continues it. Its hash is not checked here.
        """
        vain_tries = 0
        while (start := _bytes_in(partial)) != file.size:
            if start > file.size:
                partial.unlink()
                continue
            try:
                with self._open(file.address, start) as response:
                    _append(response, partial, start, file.size)
            except (requests.RequestException, TimeoutError) as error:
                vain_tries = 0 if _bytes_in(partial) > start else vain_tries + 1
                if vain_tries > len(self._patience.pauses):
                    raise UnavailableError(f"the connection breaks again and again ({_reason_of(error)})") from error
                time.sleep(self._patience.pauses[vain_tries - 1] if vain_tries else 0)

    def _open(self, address: str, start: int) -> requests.Response:
        """Return the response to a request for the bytes from `start` on. Follows redirects, to https only."""
        headers = HEADERS | ({"Range": f"bytes={start}-"} if start else {})
        for _number in range(MAX_REDIRECTS):
            response = self._ask(address, headers)
            if not response.is_redirect:
                return response
            response.close()
            address = urljoin(address, response.headers["Location"])
            if urlsplit(address).scheme != "https":
                raise UnavailableError("it redirects to an address without https")
        raise UnavailableError("it redirects too often")

    def _ask(self, address: str, headers: dict[str, str]) -> requests.Response:
        """Request `address`. A host that has answered before may be asked again after an error, another may not."""
        host = urlsplit(address).netloc
        if host in self._unreachable:
            raise UnavailableError(self._unreachable[host])
        timeouts = (self._patience.connect_seconds, self._patience.read_seconds)

        def get() -> requests.Response:
            return requests.get(address, headers=headers, stream=True, allow_redirects=False, timeout=timeouts)

        try:
            response = _within(self._patience.answer_seconds, get)
        except (requests.ConnectionError, requests.Timeout, TimeoutError) as error:
            if host in self._answered:
                raise
            self._unreachable[host] = f"{host} cannot be reached: {_reason_of(error)}"
            raise UnavailableError(self._unreachable[host]) from error
        self._answered.add(host)
        return response


def _within(seconds: float, get: Callable[[], Result]) -> Result:
    """Return what `get` returns, or raise what it raises, or TimeoutError after `seconds`.

    The timeout of a connection applies to each address of a host, and to none of its name servers. So `get` runs in a
    thread that is abandoned when the time is over.
    """
    answers: queue.Queue[tuple[Result | None, Exception | None]] = queue.Queue()

    def run() -> None:
        try:
            answers.put((get(), None))
        except Exception as error:  # noqa: BLE001 - it is raised in the other thread
            answers.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value] # Without an error there is an answer.


def _append(response: requests.Response, partial: Path, start: int, size: int) -> None:
    """Write the body to `partial`: after `start` bytes if the server sends the rest only, otherwise from the start."""
    if response.status_code == RANGE_NOT_SATISFIABLE:
        partial.unlink(missing_ok=True)
        raise UnavailableError("it has a file of another size")
    if response.status_code not in {OK, PARTIAL_CONTENT}:
        raise UnavailableError(f"it answers with the status {response.status_code}")
    if response.status_code == OK:
        start = 0
    elif response.headers.get("Content-Range") != f"bytes {start}-{size - 1}/{size}":
        raise UnavailableError("it sends another part of the file than the one that was asked for")
    announced = response.headers.get("Content-Length")
    if announced is not None and announced != str(size - start):
        raise UnavailableError("it has a file of another size")
    with partial.open("ab" if start else "wb") as output:
        for block in response.iter_content(BLOCK_BYTES):
            output.write(block)
            if output.tell() > size:
                raise UnavailableError("it has a file of another size")
    if _bytes_in(partial) < size:
        raise requests.ConnectionError("the connection ended too early")


def _bytes_in(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason_of(error: Exception) -> str:
    """Return the kind of a network error. Its text repeats the address and names objects in memory."""
    names = {
        requests.exceptions.ProxyError: "the proxy refuses",
        requests.exceptions.SSLError: "its certificate is not valid",
        requests.Timeout: "no answer in time",
        TimeoutError: "no answer in time",
    }
    return next((text for kind, text in names.items() if isinstance(error, kind)), "no connection")
