"""These tests run the real client against a real server on loopback."""

from __future__ import annotations

import hashlib
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apps.speech.local.catalogue import ModelFile
from apps.speech.local.official import OfficialSource, Patience, UnavailableError
from tests.fakes.files import FileServer, serve_files

CONTENT = bytes(range(256)) * 4000
QUICK = Patience(connect_seconds=0.3, answer_seconds=0.5, read_seconds=0.5, pauses=(0, 0))


@pytest.fixture
def hub() -> Iterator[FileServer]:
    with serve_files() as server:
        server.files["/model.bin"] = CONTENT
        yield server


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "partial"


def a_file(server: FileServer, path: str = "/model.bin", content: bytes = CONTENT) -> ModelFile:
    return ModelFile(
        "model/model.bin", len(content), hashlib.sha256(content).hexdigest(), address=f"{server.url}{path}"
    )


def test_it_downloads_the_file(hub: FileServer, partial: Path) -> None:
    OfficialSource(QUICK).download(a_file(hub), partial)
    assert partial.read_bytes() == CONTENT
    assert hub.requests == [("/model.bin", "")]


def test_it_continues_where_it_was_interrupted(hub: FileServer, partial: Path) -> None:
    partial.write_bytes(CONTENT[:500_000])
    OfficialSource(QUICK).download(a_file(hub), partial)
    assert partial.read_bytes() == CONTENT
    assert hub.requests == [("/model.bin", "bytes=500000-")]


def test_it_begins_anew_if_the_server_sends_everything_all_the_same(hub: FileServer, partial: Path) -> None:
    hub.ignores_ranges = True
    partial.write_bytes(b"something else")
    OfficialSource(QUICK).download(a_file(hub), partial)
    assert partial.read_bytes() == CONTENT


def test_a_complete_partial_file_is_not_asked_for(hub: FileServer, partial: Path) -> None:
    partial.write_bytes(CONTENT)
    OfficialSource(QUICK).download(a_file(hub), partial)
    assert hub.requests == []


def test_a_partial_file_that_is_too_long_is_replaced(hub: FileServer, partial: Path) -> None:
    partial.write_bytes(CONTENT + b"more")
    OfficialSource(QUICK).download(a_file(hub), partial)
    assert partial.read_bytes() == CONTENT


def test_a_connection_that_breaks_is_opened_again(hub: FileServer, partial: Path) -> None:
    hub.cuts = [300_000, 300_000]
    OfficialSource(QUICK).download(a_file(hub), partial)
    assert partial.read_bytes() == CONTENT
    assert len(hub.requests) == 3
    assert [wanted for _path, wanted in hub.requests[1:]] != ["", ""]


def test_it_gives_up_if_the_connection_breaks_without_a_byte(hub: FileServer, partial: Path) -> None:
    hub.cuts = [100_000, 0, 0, 0]
    with pytest.raises(UnavailableError, match="the connection breaks again and again"):
        OfficialSource(QUICK).download(a_file(hub), partial)
    kept = partial.read_bytes()
    assert kept
    assert CONTENT.startswith(kept)


@pytest.mark.parametrize(
    ("announced", "reason"), [(len(CONTENT) - 1, "another size"), (len(CONTENT) + 1, "another size")]
)
def test_a_file_of_another_size_is_refused(hub: FileServer, partial: Path, announced: int, reason: str) -> None:
    hub.files["/model.bin"] = (CONTENT + b"x")[:announced]
    with pytest.raises(UnavailableError, match=reason):
        OfficialSource(QUICK).download(a_file(hub), partial)
    assert not partial.exists()


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_an_error_status_is_the_reason(hub: FileServer, partial: Path, status: int) -> None:
    hub.statuses["/model.bin"] = status
    with pytest.raises(UnavailableError, match=f"it answers with the status {status}"):
        OfficialSource(QUICK).download(a_file(hub), partial)


def test_a_redirect_without_https_is_refused(hub: FileServer, partial: Path) -> None:
    hub.redirects["/moved.bin"] = f"{hub.url}/model.bin"
    with pytest.raises(UnavailableError, match="without https"):
        OfficialSource(QUICK).download(a_file(hub, "/moved.bin"), partial)
    assert [path for path, _range in hub.requests] == ["/moved.bin"]


def test_a_redirect_to_https_is_followed(hub: FileServer, partial: Path, tls: ssl.SSLContext) -> None:
    with serve_files(tls) as storage:
        storage.files["/blob"] = CONTENT
        storage.redirects["/first"] = "/blob"  # Relative to the address before it.
        hub.redirects["/moved.bin"] = f"{storage.url}/first"
        partial.write_bytes(CONTENT[:1000])
        OfficialSource(QUICK).download(a_file(hub, "/moved.bin"), partial)
        assert partial.read_bytes() == CONTENT
        assert storage.requests == [("/first", "bytes=1000-"), ("/blob", "bytes=1000-")]


def test_endless_redirects_are_refused(hub: FileServer, partial: Path, tls: ssl.SSLContext) -> None:
    with serve_files(tls) as storage:
        storage.redirects["/loop"] = "/loop"
        with pytest.raises(UnavailableError, match="redirects too often"):
            OfficialSource(QUICK).download(a_file(storage, "/loop"), partial)


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The TLS of a server on localhost, whose certificate the client trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    chain = tmp_path / "certificate.pem"
    chain.write_bytes(certificate.public_bytes(encoding))
    secret = tmp_path / "key.pem"
    secret.write_bytes(key.private_bytes(encoding, private, serialization.NoEncryption()))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, secret)
    return context


def test_a_host_that_refuses_connections_is_asked_once(partial: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    nowhere = FileServer(url=f"http://localhost:{port}")
    official = OfficialSource(QUICK)
    with pytest.raises(UnavailableError, match="cannot be reached: no connection"):
        official.download(a_file(nowhere), partial)
    with serve_files(port=port) as server:
        server.files["/model.bin"] = CONTENT
        with pytest.raises(UnavailableError, match="cannot be reached"):
            official.download(a_file(nowhere), partial)
        assert server.requests == []


def test_a_host_that_does_not_answer_is_left_soon(partial: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        official = OfficialSource(QUICK)
        mute = FileServer(url=f"http://localhost:{silent.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(UnavailableError, match="cannot be reached: no answer in time"):
            official.download(a_file(mute), partial)
        first = time.monotonic() - started
        with pytest.raises(UnavailableError, match="cannot be reached: no answer in time"):
            official.download(a_file(mute), partial)
    assert first < 10
    assert time.monotonic() - started - first < first
