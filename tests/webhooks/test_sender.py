"""The sender of webhooks: which addresses it connects to, and how."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import responses
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.urls import reverse
from django.utils import timezone

from apps.webhooks import sender
from apps.webhooks import services as webhooks
from tests.client import bearer, error_of
from tests.fakes.receivers import slow_receiver
from tests.webhooks.conftest import Receiver, notify
from tests.worker import work

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User

pytestmark = pytest.mark.usefixtures("real_transactions")


def certificate_for(name: str, path: Path) -> Path:
    """Write a key and a self-signed certificate for `name` to `path`, and return `path`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = timezone.now()
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    pem, unencrypted = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, unencrypted)
    path.write_bytes(private + certificate.public_bytes(pem))
    return path


class TestAddresses:
    @pytest.mark.parametrize(
        "url",
        [
            "http://example.org/",
            "https://user:secret@example.org/",
            "https://127.0.0.1/",
            "https://localhost/",
            "https://app.localhost:8000/",
            "https://[::1]/",
            "https://10.0.0.1/",
            "https://169.254.169.254/latest",
            "https://[fe80::1]/",
            "https://[::ffff:127.0.0.1]/",
            "ftp://example.org/",
            "https://",
            "https://[x/",
            "https://example.org:port/",
            "example.org",
        ],
    )
    def test_private_and_invalid_addresses_are_refused_at_once(
        self, client: Client, alice_token: str, url: str
    ) -> None:
        refused = client.post(
            reverse("api:webhooks"), {"url": url}, content_type="application/json", headers=bearer(alice_token)
        )
        assert refused.status_code == 400
        assert error_of(refused)["code"] == "webhook_address_not_allowed"
        assert list(error_of(refused)["fields"]) == ["url"]

    @pytest.mark.parametrize(
        "address",
        [
            "127.0.0.1",
            "0.0.0.0",  # noqa: S104 - nothing binds to it
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:0:5ef5:79fd::1",
            "64:ff9b:1::5db8:d70e",
            "64:ff9b:1:ffff::1",
            "fec0::1",
            "feff::1",
            "::93.184.215.14",
            "::ffff:0:93.184.215.14",
        ],
    )
    def test_private_networks_are_not_allowed(self, address: str) -> None:
        assert not sender.is_allowed(ipaddress.ip_address(address))

    @pytest.mark.parametrize(
        "address",
        ["93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e", "2002:5db8:d70e::1"],
    )
    def test_public_addresses_are_allowed(self, address: str) -> None:
        assert sender.is_allowed(ipaddress.ip_address(address))

    @responses.activate
    @pytest.mark.parametrize("answers", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"]])
    def test_a_name_with_a_private_address_is_refused(
        self, alice: User, monkeypatch: pytest.MonkeyPatch, answers: list[str]
    ) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in answers]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)
        delivery = notify(webhooks.create_webhook(owner=alice, url="https://inside.example.org/"))
        work()
        delivery.refresh_from_db()
        assert delivery.error_code == "address_not_allowed"
        assert not responses.calls

    def test_the_connection_goes_to_the_address_that_was_checked(
        self, alice: User, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The name is resolved only once."""
        resolve, asked = socket.getaddrinfo, []

        def once(host: Any, *arguments: Any, **options: Any) -> Any:
            if host != "rebinding.example.org":
                return resolve(host, *arguments, **options)
            asked.append(host)
            assert len(asked) == 1
            return resolve("127.0.0.1", *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", once)
        url = receiver.url.replace("127.0.0.1", "rebinding.example.org")
        delivery = notify(webhooks.create_webhook(owner=alice, url=url))
        work()
        delivery.refresh_from_db()
        assert delivery.status == "delivered"
        assert receiver.received[0][0]["Host"] == url.split("/")[2]

    @pytest.mark.parametrize(
        ("name", "error_code"), [("hooks.example.org", ""), ("other.example.org", "certificate_invalid")]
    )
    def test_the_certificate_has_to_match_the_name(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, error_code: str
    ) -> None:
        settings.WEBHOOK_ALLOW_PRIVATE = True
        certificate = certificate_for("hooks.example.org", tmp_path / "certificate.pem")
        monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate))
        resolve = socket.getaddrinfo

        def lead_here(host: Any, *arguments: Any, **options: Any) -> Any:
            return resolve("127.0.0.1" if host == name else host, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", lead_here)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

        received = bytearray()

        def serve_one(server: socket.socket) -> None:
            with suppress(OSError), server.accept()[0] as plain, context.wrap_socket(plain, server_side=True) as peer:
                # Read all of it: closing a connection with unread data would discard the answer.
                while b"\r\n\r\n{}" not in received and (chunk := peer.recv(65536)):
                    received.extend(chunk)
                peer.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(5)
            thread = threading.Thread(target=serve_one, args=[server])
            thread.start()
            url = f"https://{name}:{server.getsockname()[1]}/"
            answer = sender.send(url=url, message_id="msg_1", body="{}", keys=[b"x"])
            thread.join()
        assert answer.error_code == error_code

    def test_an_unknown_name_is_reported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_arguments: Any, **_options: Any) -> None:
            raise socket.gaierror

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        answer = sender.send(url="https://nowhere.example.org/", message_id="msg_1", body="{}", keys=[b"x"])
        assert answer.error_code == "name_not_found"


class TestDeadline:
    """Sending ends within WEBHOOK_SECONDS, and leaves neither a thread nor a socket behind."""

    @pytest.fixture(autouse=True)
    def soon(self, settings: Settings) -> None:
        settings.WEBHOOK_ALLOW_PRIVATE = True
        settings.WEBHOOK_SECONDS = 0.4

    @staticmethod
    def sending(url: str) -> tuple[sender.Answer, float]:
        """Send a message; return the answer and the seconds that it took."""
        threads, sockets = threading.enumerate(), open_sockets()
        began = time.monotonic()
        answer = sender.send(url=url, message_id="msg_1", body="{}", keys=[b"x"])
        seconds = time.monotonic() - began
        assert set(threading.enumerate()) <= set(threads) | receiving_threads()
        assert len(open_sockets()) <= len(sockets) + len(receiving_threads())
        return answer, seconds

    def test_of_a_server_that_drips_its_headers(self) -> None:
        with slow_receiver() as receiver:
            answer, seconds = self.sending(receiver.url)
        assert answer == sender.Answer("timeout")
        assert seconds < 1

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_of_a_silent_server(self, scheme: str) -> None:
        """With TLS, it is the handshake that does not end."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            answer, seconds = self.sending(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/")
        assert answer == sender.Answer("timeout")
        assert seconds < 1

    def test_of_a_body_that_drips(self, receiver: Receiver) -> None:
        """The status is what counts."""
        receiver.headers, receiver.body = {"Content-Length": "100"}, b"x"
        receiver.status = 200
        answer, seconds = self.sending(receiver.url)
        assert (answer.error_code, answer.status) == ("", 200)
        assert seconds < 1


def receiving_threads() -> set[threading.Thread]:
    """The threads of the receivers of this test."""
    return {thread for thread in threading.enumerate() if "process_request_thread" in thread.name}


def open_sockets() -> list[str]:
    return [link for link in map(read_link, Path("/proc/self/fd").iterdir()) if link.startswith("socket:")]


def read_link(path: Path) -> str:
    with suppress(FileNotFoundError):
        return str(path.readlink())
    return ""
