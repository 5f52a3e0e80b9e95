"""Bodies that come in chunks, without a Content-Length, as programs send files that they read while they send them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
import requests
from django.conf import settings as django_settings
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from apps.conversations.models import Turn
from apps.voices.models import VoiceProfile, VoiceSample
from apps.webhooks.models import Webhook
from tests.client import QUESTION, SAMPLES, Api, bearer, error_of, turns_path, wait_until
from tests.fakes.openai import CHAT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_django import Settings
    from pytest_django.live_server_helper import LiveServer

    from apps.accounts.models import User
    from apps.conversations.models import Conversation
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

CHUNK_BYTES = 10_000
TOO_MUCH = django_settings.MAX_UPLOAD_BYTES + 1
BOUNDARY = "multipart/form-data; boundary=x"


def doors() -> list[tuple[str, str, str]]:
    """Return method, path and media type of every body that the API takes."""
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]  # type: ignore[no-untyped-call]
    return [
        (method.upper(), path, media_type)
        for path, methods in paths.items()
        for method, operation in methods.items()
        for media_type in operation.get("requestBody", {}).get("content", ())
    ]


def in_chunks(body: bytes) -> Iterator[bytes]:
    """Yield `body` in pieces, which `requests` and `http.client` then send in chunks."""
    for start in range(0, len(body), CHUNK_BYTES):
        yield body[start : start + CHUNK_BYTES]


def send_in_chunks(api: Api, path: str, **options: Any) -> requests.Response:
    """Post as `requests` does with these options, but in chunks."""
    whole = requests.Request("POST", api.url + path, **options).prepare()
    assert whole.body
    body = whole.body.encode() if isinstance(whole.body, str) else whole.body
    return api.post(path, data=in_chunks(body), headers=dict(whole.headers) | {"Content-Length": None})


@pytest.fixture
def uploads(settings: Settings, tmp_path: Path) -> Path:
    """The folder of temporary uploads. In these tests, Django writes files of any size to it."""
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 100
    return tmp_path


class TestEveryDoor:
    @pytest.fixture
    def rows(self, conversation: Conversation, voice: VoiceProfile) -> dict[str, object]:
        """What the addresses name."""
        turn = Turn.objects.create(owner=voice.owner, conversation=conversation, voice=voice)
        webhook = Webhook.objects.create(owner=voice.owner, url="https://example.org/hook", events=[])
        return {
            "voice_pk": voice.pk,
            "conversation_pk": conversation.pk,
            "turn_pk": turn.pk,
            "webhook_pk": webhook.pk,
        }

    @pytest.fixture
    def browser(self, client: Client, alice: User) -> Iterator[requests.Session]:
        """Alice's session, which reaches all doors."""
        client.force_login(alice)
        with requests.Session() as browser:
            browser.cookies.update({name: morsel.value for name, morsel in client.cookies.items()})
            browser.cookies["csrftoken"] = browser.headers["X-CSRFToken"] = "c" * 32
            yield browser

    def test_it_is_read(self, server: Server, browser: requests.Session, rows: dict[str, object]) -> None:
        """Each door finds that the body cannot be read. One that saw no body would miss fields, or not complain.

        A form cannot be read because its boundary is not named.
        """
        kinds = set()
        for method, path, media_type in doors():
            response = browser.request(
                method,
                server.url + path.format(**rows),
                data=in_chunks(b"{"),
                headers={"Content-Type": media_type},
                timeout=30,
            )
            assert response.status_code == 400, (method, path, response.text)
            assert response.json()["error"]["code"] == "parse_error", (method, path, response.text)
            kinds.add((method, media_type))
        assert kinds >= {("POST", "application/json"), ("POST", "multipart/form-data"), ("PATCH", "application/json")}


class TestWhatProgramsSend:
    @pytest.mark.usefixtures("consent")
    def test_recordings_for_a_voice(self, alice_api: Api, uploads: Path) -> None:
        files = [("audio_file", (f"{number}.wav", data)) for number, data in enumerate(SAMPLES)]
        response = send_in_chunks(alice_api, "/clone-voice", data={"voice_name": "Jane"}, files=files)
        assert response.status_code == 201, response.text
        assert VoiceSample.objects.count() == len(SAMPLES)
        wait_until(lambda: not list(uploads.iterdir()))

    def test_a_question(self, alice_api: Api, voice: VoiceProfile) -> None:
        form = {"data": {"voice_id": voice.voice_id}, "files": {"audio_file": ("q.wav", QUESTION)}}
        response = send_in_chunks(alice_api, "/full-interaction", **form)
        assert (response.status_code, response.headers["Content-Type"]) == (200, "audio/mpeg")

    def test_a_file_for_a_transcript(self, alice_api: Api, provider: FakeProvider) -> None:
        response = send_in_chunks(alice_api, "/v1/audio/transcriptions", files={"file": ("q.wav", QUESTION)})
        assert response.json()["text"] == provider.behaviour.transcript

    def test_a_typed_question(self, alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
        response = send_in_chunks(alice_api, turns_path(conversation), json={"text": "Hello?"})
        assert response.json()["transcript"] == "Hello?"
        assert len(provider.requests_to(CHAT)) == 1

    def test_a_form_without_files(self, alice_api: Api, voice: VoiceProfile) -> None:
        response = send_in_chunks(alice_api, "/api/v1/speech", data={"text": "Good morning.", "voice": "Jane"})
        assert response.headers["Content-Type"] == "audio/mpeg"

    def test_a_page(self, server: Server) -> None:
        with requests.Session() as browser:
            browser.get(f"{server.url}/accounts/login/", timeout=30)
            values = {"csrfmiddlewaretoken": browser.cookies["csrftoken"], "login": "nobody", "password": "wrong"}
            fields = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{values[name]}' for name in values]
            page = browser.post(
                f"{server.url}/accounts/login/",
                data=in_chunks("\r\n".join([*fields, "--x--\r\n"]).encode()),
                headers={"Content-Type": BOUNDARY},
                timeout=30,
            )
        assert 'value="nobody"' in page.text

    def test_an_empty_body(self, alice_api: Api) -> None:
        response = alice_api.post("/clone-voice", data=iter([b""]), headers={"Content-Type": BOUNDARY})
        assert response.status_code == 400


class TestLimits:
    def test_a_file_over_the_limit(self, alice_api: Api, uploads: Path) -> None:
        response = send_in_chunks(alice_api, "/clone-voice", files={"audio_file": ("a.wav", bytes(TOO_MUCH))})
        assert (response.status_code, error_of(response)["code"]) == (413, "request_too_large")
        wait_until(lambda: not list(uploads.iterdir()))

    def test_json_over_djangos_limit(self, alice_api: Api, conversation: Conversation, settings: Settings) -> None:
        body = {"text": "x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE}
        whole = alice_api.post(turns_path(conversation), json=body)
        chunked = send_in_chunks(alice_api, turns_path(conversation), json=body)
        assert (chunked.status_code, error_of(chunked)) == (whole.status_code, error_of(whole))
        assert chunked.status_code >= 400


class TestBroken:
    HEAD = (
        f"POST /clone-voice HTTP/1.1\r\nHost: localhost\r\nContent-Type: {BOUNDARY}\r\nTransfer-Encoding: chunked\r\n"
    )
    PART = b'--x\r\nContent-Disposition: form-data; name="audio_file"; filename="a.wav"\r\n\r\n' + bytes(1_000)

    def send(self, server: Server, token: str, body: bytes) -> bytes:
        """Send a request with `body` and leave; return what the server answers."""
        host, port = server.url.removeprefix("http://").split(":")
        head = f"{self.HEAD}Content-Type: {BOUNDARY}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        answer = b""
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(head + body)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65_536):
                answer += chunk
        return answer

    @pytest.mark.parametrize(
        "body",
        [
            b"%x\r\n%s\r\n" % (len(PART), PART),
            b"%x\r\n%s" % (len(PART), PART[:500]),
            b"zz\r\nxx\r\n0\r\n\r\n",
            b"-1\r\nxx\r\n0\r\n\r\n",
            b"2\r\nxxxx\r\n0\r\n\r\n",
            b"FFFFFFFFFFFFFFFFF\r\nxx",
        ],
        ids=["left between chunks", "left in a chunk", "no number", "negative", "wrong size", "too large a size"],
    )
    def test_nothing_of_it_remains(
        self, server: Server, alice_api: Api, alice_token: str, uploads: Path, body: bytes
    ) -> None:
        answer = self.send(server, alice_token, body)
        assert not answer or answer.startswith(b"HTTP/1.1 400 ")
        wait_until(server.is_idle)
        assert not list(uploads.iterdir())
        assert not VoiceProfile.objects.exists()
        assert alice_api.get("/api/v1/voices").status_code == 200


def test_under_wsgi_it_is_refused(live_server: LiveServer, alice_token: str) -> None:
    """Django reads no body without a Content-Length there, and would say that fields are missing."""
    headers = bearer(alice_token) | {"Content-Type": BOUNDARY}
    response = requests.post(f"{live_server.url}/clone-voice", in_chunks(b"--x--"), headers=headers, timeout=30)
    assert (response.status_code, error_of(response)["code"]) == (411, "length_required")
