from __future__ import annotations

import asyncio
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as django_settings
from django.test import Client

from apps.voices.models import VoiceProfile
from tests.client import QUESTION, SAMPLES, Api, bearer, error_of, turns_path, wait_until
from voiceclone.server import BodyLimit, Message, OneThreadHandler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from apps.conversations.models import Conversation
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

TOO_MUCH = django_settings.MAX_UPLOAD_BYTES + 1
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.fixture
def uploads(settings: Settings, tmp_path: Path) -> Path:
    """The folder of temporary uploads. In these tests, Django writes files of any size to it."""
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 100
    return tmp_path


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
    limited = BodyLimit(OneThreadHandler(), max_bytes=1_000, max_seconds=0.1)
    head = {"type": "http", "method": "POST", "path": "/clone-voice", "headers": [], "query_string": b""}
    first: list[Message] = [{"type": "http.request", "body": b"x", "more_body": True}]
    sent: list[Message] = []

    async def receive() -> Message:
        return first.pop() if first else await asyncio.Future()

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(limited(head, receive, send))
    assert [message.get("status") for message in sent] == [408, None]


def test_under_wsgi_a_large_content_length_is_refused(client: Client, alice_token: str, settings: Settings) -> None:
    settings.MAX_UPLOAD_BYTES = 1_000
    for size, status in ((1_001, 413), (1_000, 400)):
        response = client.post("/clone-voice", bytes(size), FORM["Content-Type"], headers=bearer(alice_token))
        assert response.status_code == status
