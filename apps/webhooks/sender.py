"""Sends webhooks to addresses that users choose: signed, never to a private network, and without following redirects.

A host name is resolved once, all its addresses are checked, and the connection goes to a checked one. So a name server
that gives another answer the second time ("DNS rebinding") has no effect. TLS still verifies the name.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

CONNECT_SECONDS = 5
ANSWER_SECONDS = 10
MAX_ADDRESSES = 3
KEPT_ANSWER_BYTES = 1024
USER_AGENT = "VoiceClone-Webhooks/1"
NAT64 = ipaddress.ip_network("64:ff9b::/96")

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a receiver; `error_code` is empty if it accepted the message."""

    error_code: str
    status: int | None = None
    body: str = ""


def send(*, url: str, message_id: str, body: str, keys: Iterable[bytes]) -> Answer:
    """Post `body` to `url`, signed with each of `keys` (Standard Webhooks). Redirects are not followed."""
    # A socket's timeout restarts with each byte, so a slow server could hold this call. A thread can be abandoned.
    answers: Queue[Answer] = Queue()
    headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
    headers |= signature_headers(message_id=message_id, body=body, keys=keys)
    Thread(target=lambda: answers.put(_send(url, body.encode(), headers)), daemon=True).start()
    try:
        return answers.get(timeout=settings.WEBHOOK_SECONDS)
    except Empty:
        return Answer("timeout")


def _send(url: str, body: bytes, headers: dict[str, str]) -> Answer:
    parts = urlsplit(url)
    try:
        addresses = _addresses(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    except (OSError, ValueError):  # Names that have no ASCII form raise UnicodeError, a ValueError.
        return Answer("name_not_found")
    if not addresses or not all(is_allowed(address) for address in addresses):
        return Answer("address_not_allowed")
    answer = Answer("not_reached")
    for address in addresses[:MAX_ADDRESSES]:
        answer = _post(url, str(address), body, {"Host": parts.netloc, **headers})
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
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def _addresses(host: str, port: int) -> list[IpAddress]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def _post(url: str, address: str, body: bytes, headers: dict[str, str]) -> Answer:
    with requests.Session() as session:
        session.trust_env = False  # A proxy would resolve the name again.
        for scheme in ("https://", "http://"):
            session.mount(scheme, _ToAddress(address))
        try:
            with session.post(
                url,
                data=body,
                headers=headers,
                timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
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
    """Connects to `address` instead of resolving the name in the URL. The certificate has to match that name."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        name = {"server_hostname": host["host"], "assert_hostname": host["host"]} if host["scheme"] == "https" else {}
        return {**host, "host": self._address}, {**pool, **name}
