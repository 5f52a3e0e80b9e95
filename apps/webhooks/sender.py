"""Sends webhooks to addresses that users choose: signed, never to a private network, and without following redirects.

A host name is resolved once, all its addresses are checked, and the connection goes to a checked one. So a name server
that gives another answer the second time ("DNS rebinding") has no effect. TLS still verifies the name.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import ipaddress
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CONNECT_SECONDS = 5
MAX_ADDRESSES = 3
KEPT_ANSWER_BYTES = 1024
USER_AGENT = "VoiceClone-Webhooks/1"
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Ranges that lead to other networks, or did, and that Python counts as public in some of its releases.
NOT_PUBLIC = [
    ipaddress.ip_network(network)
    for network in (
        "::/96",  # IPv4-compatible addresses
        "::ffff:0:0:0/96",  # IPv4-translated addresses
        "64:ff9b:1::/48",  # NAT64 inside a network
        "2001::/32",  # Teredo
        "fec0::/10",  # site-local addresses
    )
]

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a receiver; `error_code` is empty if it accepted the message."""

    error_code: str
    status: int | None = None
    body: str = ""


def send(*, url: str, message_id: str, body: str, keys: Iterable[bytes]) -> Answer:
    """Post `body` to `url`, signed with each of `keys` (Standard Webhooks). Redirects are not followed.

    Takes at most WEBHOOK_SECONDS, unless the system's resolver itself takes longer to give up a name.
    """
    deadline = time.monotonic() + settings.WEBHOOK_SECONDS
    parts = urlsplit(url)
    headers = {"Host": parts.netloc, "Content-Type": "application/json", "User-Agent": USER_AGENT}
    headers |= signature_headers(message_id=message_id, body=body, keys=keys)
    try:
        addresses = _addresses(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    except (OSError, ValueError):  # Names that have no ASCII form raise UnicodeError, a ValueError.
        return Answer("name_not_found")
    if not addresses or not all(is_allowed(address) for address in addresses):
        return Answer("address_not_allowed")
    answer = Answer("not_reached")
    for address in addresses[:MAX_ADDRESSES]:
        if time.monotonic() >= deadline:
            return Answer("timeout")
        answer = _post(url, str(address), body.encode(), headers, deadline)
        if answer.error_code != "not_reached":
            break
    return answer


def signature_headers(*, message_id: str, body: str, keys: Iterable[bytes]) -> dict[str, str]:
    """Return the headers by which the receiver verifies the sender and the time of `body` (Standard Webhooks)."""
    timestamp = str(int(time.time()))
    signed = f"{message_id}.{timestamp}.{body}".encode()
    signatures = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def is_allowed(address: IpAddress) -> bool:
    """Whether `address` is public. An IPv4 address that is embedded in an IPv6 address is checked as such."""
    if settings.WEBHOOK_ALLOW_PRIVATE:
        return True
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_allowed(inner)
    if any(address in network for network in NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast


def _addresses(host: str, port: int) -> list[IpAddress]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def _post(url: str, address: str, body: bytes, headers: dict[str, str], deadline: float) -> Answer:
    with requests.Session() as session:
        session.trust_env = False  # A proxy would resolve the name again.
        for scheme in ("https://", "http://"):
            session.mount(scheme, _ToAddress(address, deadline))
        left = _seconds_until(deadline)
        try:
            with session.post(
                url,
                data=body,
                headers=headers,
                timeout=(min(CONNECT_SECONDS, left), left),
                allow_redirects=False,
                stream=True,
            ) as response:
                error_code = "" if 200 <= response.status_code < 300 else "refused"
                return Answer(error_code, response.status_code, _beginning_of(response))
        except requests.exceptions.SSLError:
            return Answer("certificate_invalid")
        except requests.exceptions.ReadTimeout:
            return Answer("timeout")
        except (requests.RequestException, OSError):
            return Answer("not_reached")


def _beginning_of(response: requests.Response) -> str:
    """Return the first KEPT_ANSWER_BYTES of the body as text, or "" if it cannot be read."""
    with suppress(HTTPError, OSError):
        beginning: bytes = response.raw.read(KEPT_ANSWER_BYTES, decode_content=False)
        return beginning.decode(errors="replace").replace("\x00", "")  # PostgreSQL cannot store this character.
    return ""


class _ToAddress(HTTPAdapter):
    """Connects to `address` instead of resolving the name in the URL. The certificate has to match that name.

    All of the exchange ends at `deadline`, in the seconds of `time.monotonic()`.
    """

    def __init__(self, address: str, deadline: float) -> None:
        super().__init__()
        self._address = address
        self._deadline = deadline

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        name = {"server_hostname": host["host"], "assert_hostname": host["host"]} if host["scheme"] == "https" else {}
        return {**host, "host": self._address}, {**pool, **name}

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*arguments, **options)
        kind = _TimedTLSConnection if pool.scheme == "https" else _TimedConnection
        pool.ConnectionCls = partial(kind, deadline=self._deadline)
        return pool


class _TimedConnection(HTTPConnection):
    """A connection that ends at `deadline`. The timeout of a socket would begin again with each byte."""

    def __init__(self, *arguments: Any, deadline: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline = deadline

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        connected.settimeout(_seconds_until(self._deadline))  # It applies to the whole handshake of TLS.
        return connected

    def getresponse(self) -> Any:
        self.sock = _TimedSocket(self.sock, self._deadline)
        return super().getresponse()


class _TimedTLSConnection(_TimedConnection, HTTPSConnection):
    pass


class _TimedSocket:
    """What `http.client` uses of a socket to read an answer."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._connected = connected
        self._deadline = deadline
        self.settimeout = connected.settimeout
        self.close = connected.close

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._connected, self._deadline))


class _TimedReader(io.RawIOBase):
    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._connected = connected
        self._deadline = deadline
        self._bytes = connected.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        self._connected.settimeout(_seconds_until(self._deadline))
        return self._bytes.readinto(buffer)

    def close(self) -> None:
        self._bytes.close()
        super().close()


def _seconds_until(deadline: float) -> float:
    """Return the seconds left, as a timeout: 0 would mean not to wait and not to fail."""
    return max(deadline - time.monotonic(), 0.001)
