from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import requests
from django.conf import settings as django_settings
from django.test import Client

from apps.core import readiness
from apps.voices.models import VoiceProfile
from tests.client import QUESTION, SAMPLES, Api, bearer, error_of, turns_path, wait_until
from voiceclone.bodies import OPEN_AT_ONCE, UNCHECKED_AT_ONCE, UNCHECKED_BYTES, BodyLimit
from voiceclone.callers import is_known
from voiceclone.server import Message, OneThreadHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import Settings
    from pytest_django.live_server_helper import LiveServer

    from apps.accounts.models import User
    from apps.conversations.models import Conversation
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

TOO_MUCH = django_settings.MAX_UPLOAD_BYTES + 1
BROWSER = {"Accept": "text/html"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.fixture
def uploads(settings: Settings, tmp_path: Path) -> Path:
    """The folder of temporary uploads. In these tests, Django writes files of any size to it."""
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 100
    return tmp_path


@pytest.fixture
def spooled() -> Callable[[], int]:
    """Return the bytes in the temporary files of this process, which have no names."""

    def count() -> int:
        total = 0
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if "(deleted)" in str(entry.readlink()) and tempfile.gettempdir() in str(entry.readlink()):
                    total += entry.stat().st_size
        return total

    return count


def chunks(size: int) -> Iterator[bytes]:
    """Yield a body of `size` bytes, for a request without Content-Length."""
    for start in range(0, size, 1_000_000):
        yield bytes(min(1_000_000, size - start))


class TestTooLarge:
    @pytest.mark.parametrize("is_announced", [True, False], ids=["announced", "not announced"])
    def test_the_response_is_a_413_in_json_with_the_limit(
        self, alice_api: Api, uploads: Path, is_announced: bool
    ) -> None:
        body = bytes(TOO_MUCH) if is_announced else chunks(TOO_MUCH)
        response = alice_api.post("/clone-voice", data=body, headers=FORM)
        assert response.status_code == 413
        error = error_of(response)
        assert error["code"] == "request_too_large"
        assert "50 MB" in error["message"]
        wait_until(lambda: not list(uploads.iterdir()))

    def test_a_form_with_a_file_is_refused_too(self, alice_api: Api, provider: FakeProvider) -> None:
        assert alice_api.clone_voice(recordings=[bytes(TOO_MUCH)]).status_code == 413
        assert not VoiceProfile.objects.exists()
        assert not provider.requests

    def test_the_server_still_works(self, alice_api: Api) -> None:
        alice_api.post("/clone-voice", data=chunks(TOO_MUCH), headers=FORM)
        assert alice_api.get("/api/v1/voices").status_code == 200

    def test_it_is_refused_before_the_authentication(self, server: Server) -> None:
        with Api(server.url, "made-up") as api:
            assert api.post("/clone-voice", data=bytes(TOO_MUCH), headers=FORM).status_code == 413


def test_a_body_of_exactly_the_limit_is_read(alice_api: Api) -> None:
    response = alice_api.post("/clone-voice", data=bytes(TOO_MUCH - 1), headers=FORM)
    assert response.status_code == 400


class TestUnknownCallers:
    """Whoever is not known sends no more than a megabyte, and little at once; nothing of it stays on the disk."""

    @pytest.fixture
    def senders(self, server: Server) -> Iterator[Callable[..., socket.socket]]:
        """Begin requests that never end."""
        host, port = server.url.removeprefix("http://").split(":")
        with ExitStack() as stack:

            def begin(path: str, *headers: str, announced: int, sent: int) -> socket.socket:
                connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
                lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {announced}", *headers]
                lines.append("Content-Type: multipart/form-data; boundary=x")
                connection.sendall("\r\n".join([*lines, "", ""]).encode() + bytes(sent))
                return connection

            yield begin

    @pytest.mark.parametrize("token", ["", "made-up"])
    @pytest.mark.parametrize("is_announced", [True, False], ids=["announced", "not announced"])
    def test_a_large_body_is_a_401(self, server: Server, token: str, is_announced: bool) -> None:
        body = bytes(5_000_000) if is_announced else chunks(5_000_000)
        with Api(server.url, token) as api:
            response = api.post("/clone-voice", data=body, headers=FORM)
        assert response.status_code == 401
        assert error_of(response)["code"] in {"not_authenticated", "authentication_failed"}

    def test_ten_of_them_hold_nothing(
        self, senders: Callable[..., socket.socket], uploads: Path, spooled: Callable[[], int]
    ) -> None:
        before = spooled()
        for _number in range(10):
            senders("/clone-voice", announced=49_000_000, sent=2_000_000)
        time.sleep(0.3)
        assert spooled() - before <= 10 * UNCHECKED_BYTES

    def test_a_page_sends_people_to_sign_in(self, server: Server) -> None:
        response = requests.post(
            f"{server.url}/voices/",
            data=bytes(5_000_000),
            headers=FORM | BROWSER,
            allow_redirects=False,
            timeout=30,
        )
        assert response.status_code == 302
        assert response.headers["Location"].startswith("/accounts/login/")

    def test_a_session_is_known(self, server: Server, client: Client, alice: User) -> None:
        client.force_login(alice)
        cookies = {name: morsel.value for name, morsel in client.cookies.items()}
        response = requests.post(
            f"{server.url}/voices/", data=bytes(5_000_000), headers=FORM, cookies=cookies, timeout=30
        )
        assert response.status_code == 403  # The form has no CSRF token.

    def test_many_small_bodies_of_one_network_need_a_known_caller(
        self, senders: Callable[..., socket.socket], alice_api: Api, server: Server
    ) -> None:
        for _number in range(UNCHECKED_AT_ONCE):
            senders("/clone-voice", announced=900_000, sent=1_000)
        wait_until(lambda: len(server.uvicorn.server_state.tasks) >= UNCHECKED_AT_ONCE)
        assert requests.post(f"{server.url}/clone-voice", data=b"x", headers=FORM, timeout=30).status_code == 429
        assert alice_api.post("/clone-voice", data=b"x", headers=FORM).status_code == 400

    def test_verify_is_open_to_a_few_at_once(
        self, senders: Callable[..., socket.socket], server: Server, provider: FakeProvider
    ) -> None:
        for _number in range(OPEN_AT_ONCE):
            senders("/api/v1/verify", announced=40_000_000, sent=2_000_000)
        wait_until(lambda: len(server.uvicorn.server_state.tasks) >= OPEN_AT_ONCE)
        url = f"{server.url}/api/v1/verify"
        refused = requests.post(url, files={"file": bytes(2_000_000)}, timeout=30)
        assert refused.status_code == 429
        assert error_of(refused)["code"] == "too_many_uploads"
        assert int(refused.headers["Retry-After"])
        page = requests.post(f"{server.url}/verify", data=bytes(2_000_000), headers=FORM | BROWSER, timeout=30)
        assert (page.status_code, page.headers["Content-Type"]) == (429, "text/html; charset=utf-8")
        assert requests.post(url, files={"file": QUESTION}, timeout=30).status_code == 200

    def test_verify_takes_a_large_file(self, server: Server) -> None:
        response = requests.post(f"{server.url}/api/v1/verify", files={"file": bytes(2_000_000)}, timeout=30)
        assert (response.status_code, error_of(response)["code"]) == (422, "file_unreadable")

    def test_a_full_disk_closes_the_open_doors(self, server: Server, settings: Settings) -> None:
        settings.MIN_FREE_BYTES = 10**18
        response = requests.post(f"{server.url}/api/v1/verify", files={"file": bytes(2_000_000)}, timeout=30)
        assert (response.status_code, error_of(response)["code"]) == (503, "storage_unavailable")


def test_the_folder_of_uploads_needs_room(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    usage = shutil.disk_usage
    full = SimpleNamespace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: full if folder == tmp_path else usage(folder))
    assert not readiness.has_room()


class TestTemporaryUploads:
    """No temporary file remains, however the request ends."""

    @pytest.mark.usefixtures("consent")
    def test_after_cloning(self, alice_api: Api, uploads: Path) -> None:
        assert alice_api.clone_voice().status_code == 201
        wait_until(lambda: not list(uploads.iterdir()))

    @pytest.mark.usefixtures("consent")
    def test_after_a_refusal(self, alice_api: Api, uploads: Path) -> None:
        assert alice_api.clone_voice(recordings=[SAMPLES[0][:200]]).status_code == 422
        assert alice_api.clone_voice(voice_name="").status_code == 400
        wait_until(lambda: not list(uploads.iterdir()))

    def test_after_a_stream(self, alice_api: Api, uploads: Path, conversation: Conversation) -> None:
        assert alice_api.events_of_turn(conversation)[-1].name == "done"
        wait_until(lambda: not list(uploads.iterdir()))

    def test_after_a_client_disconnects(
        self, alice_api: Api, uploads: Path, provider: FakeProvider, conversation: Conversation
    ) -> None:
        provider.behaviour.hear_seconds = 60
        headers = {"Accept": "text/event-stream"}
        form = {"files": {"audio": QUESTION}, "headers": headers}
        with alice_api.post(turns_path(conversation), stream=True, **form):
            wait_until(lambda: provider.requests)
            assert list(uploads.iterdir())
        wait_until(lambda: not list(uploads.iterdir()))

    def test_the_folder_is_the_systems_by_default(self, settings: Settings) -> None:
        assert settings.FILE_UPLOAD_TEMP_DIR in {None, tempfile.gettempdir()}


class TestMalformed:
    """Bodies that contradict their headers. They are sent through a socket, because no client library sends them."""

    HEAD = b"POST /clone-voice HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"

    def send(self, server: Server, request: bytes, *, and_leave: bool = True) -> bytes:
        """Return everything that the server sends until it closes the connection."""
        host, port = server.url.removeprefix("http://").split(":")
        answer = b""
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(request)
            if and_leave:
                connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65_536):
                answer += chunk
        return answer

    def test_a_body_longer_than_announced_is_cut(self, server: Server, uploads: Path, alice_api: Api) -> None:
        answer = self.send(server, self.HEAD + b"Content-Length: 10\r\n\r\n" + b"x" * 5_000)
        assert b" 500 " not in answer
        assert alice_api.get("/api/v1/voices").status_code == 200

    @pytest.mark.parametrize("length", [b"100", b"-1", b"1e9", b"99999999999999999999", b"1, 2"])
    def test_a_body_shorter_than_announced_is_ignored(
        self, server: Server, uploads: Path, alice_api: Api, length: bytes
    ) -> None:
        answer = self.send(server, self.HEAD + b"Content-Length: " + length + b"\r\n\r\n" + b"x" * 5)
        assert b" 500 " not in answer
        assert alice_api.get("/api/v1/voices").status_code == 200
        wait_until(lambda: not list(uploads.iterdir()))

    def test_a_body_with_two_lengths_is_refused(self, server: Server) -> None:
        twice = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nxxxxx\r\n0\r\n\r\n"
        assert b" 500 " not in self.send(server, self.HEAD + twice)

    def test_chunks_of_one_byte_are_accepted(self, server: Server) -> None:
        body = b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n"
        head = self.HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = self.send(server, head + body, and_leave=False)
        assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("disposition", ['name="f"', 'name="audio_file"; filename="x.wav"'], ids=["fields", "files"])
def test_thousands_of_small_parts_are_refused(alice_api: Api, uploads: Path, disposition: str) -> None:
    part = f"--x\r\nContent-Disposition: form-data; {disposition}\r\n\r\n1\r\n"
    response = alice_api.post("/clone-voice", data=part * 5_000 + "--x--\r\n", headers=FORM)
    assert response.status_code == 400
    assert error_of(response)["code"] == "bad_request"
    wait_until(lambda: not list(uploads.iterdir()))


def test_a_slow_client_gets_a_408() -> None:
    limited = BodyLimit(OneThreadHandler(), max_bytes=1_000, max_seconds=0.1, is_known=is_known)
    head = {"type": "http", "method": "POST", "path": "/clone-voice", "headers": [], "query_string": b""}
    first: list[Message] = [{"type": "http.request", "body": b"x", "more_body": True}]
    sent: list[Message] = []

    async def receive() -> Message:
        return first.pop() if first else await asyncio.Future()

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(limited(head, receive, send))
    assert [message.get("status") for message in sent] == [408, None]


def test_under_wsgi_a_large_content_length_is_refused(
    live_server: LiveServer, alice_token: str, settings: Settings
) -> None:
    settings.MAX_UPLOAD_BYTES = 1_000
    for size, status in ((1_001, 413), (1_000, 400)):
        headers = bearer(alice_token) | FORM
        response = requests.post(f"{live_server.url}/clone-voice", bytes(size), headers=headers, timeout=30)
        assert response.status_code == status
