"""Many open streams: they hold no connections to the database, and clients that do not read cost little."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from apps.conversations.models import Conversation, Turn
from tests.client import LONG_REPLY, QUESTION, Api, bearer, turns_path, wait_until
from tests.conftest import Server, serve
from tests.fakes.elevenlabs import SPEECH
from tests.fakes.provider import FakeProvider
from tests.postgresql import running_postgresql
from tests.processes import Site, manage, remote, running_site, site_environment
from voiceclone import asgi
from voiceclone.server import WriteDeadline

STREAMS = 20
MOST_CONNECTIONS = 8  # More than without any stream.
EXPORT = """
from django.core.files.base import ContentFile
from apps.accounts.models import User
from apps.privacy.models import Export
size = 20_000_000
print(Export.objects.create(owner=User.objects.get(), state="ready", size=size, file=ContentFile(bytes(size), "x")).pk)
"""
EVENTS = {"Accept": "text/event-stream"}


class Listeners:
    """Programs of one person, each in a thread. They read the beginning of an answer, and keep it open."""

    def __init__(self, site: Site, token: str) -> None:
        self.url = site.url
        self.headers = bearer(token)
        self._done = threading.Event()
        self._begun = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self.problems: list[str] = []

    def open(self, method: str, path: str, *, waits: bool = False, **request: Any) -> None:
        """Send STREAMS requests. If they are answered when all work is done, do not wait for the answers."""
        headers = self.headers | request.pop("headers", {})

        def listen() -> None:
            address = self.url + path
            with requests.request(method, address, headers=headers, stream=True, timeout=300, **request) as answer:
                if not answer.ok or not next(answer.iter_content(100)):
                    self.problems.append(f"{path}: {answer.status_code}")
                self._begun.release()
                self._done.wait()

        def listen_until_the_site_stops() -> None:
            with suppress(requests.ConnectionError):
                listen()

        threads = [threading.Thread(target=listen_until_the_site_stops, daemon=True) for _number in range(STREAMS)]
        self._threads += threads
        for thread in threads:
            thread.start()
        for _thread in () if waits else threads:
            assert self._begun.acquire(timeout=60)

    def close(self) -> None:
        self._done.set()


def connections_to(url: str) -> int:
    """Return the number of connections to the database but this one."""
    with closing(psycopg.connect(url)) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        found = connection.execute(query).fetchone()
    return int(found[0]) if found else 0


def test_open_streams_hold_no_connections(tmp_path: Path, provider: FakeProvider) -> None:
    provider.behaviour.reply, provider.behaviour.audio_speed = LONG_REPLY, 0.2
    server = ["uvicorn", "voiceclone.asgi:application", "--timeout-graceful-shutdown", "1"]
    variables = {"ELEVENLABS_MAX_CONCURRENT": "1000", "SHUTDOWN_GRACE_SECONDS": "0", **remote(provider)}
    with running_postgresql() as url:
        manage(site_environment(tmp_path, DATABASE_URL=url), "migrate", "--verbosity", "0")
        with running_site(server, tmp_path, DATABASE_URL=url, **variables) as site:
            voice_id = provider.add_voice("Jane")
            conversation, token = site.add_conversation(voice_id)
            export = site.shell(EXPORT).split()[-1]
            seen = {"none": connections_to(url)}
            with closing(Listeners(site, token)) as listeners:
                speech = {"voice": "Jane", "input": LONG_REPLY, "response_format": "wav"}
                listeners.open("POST", "/v1/audio/speech", json=speech)
                seen["speech"] = connections_to(url)
                listeners.open("POST", turns_path(conversation), json={"text": "Hello?"}, headers=EVENTS)
                seen["turn"] = connections_to(url)
                form: dict[str, Any] = {"data": {"voice_id": voice_id}, "files": {"audio_file": QUESTION}}
                listeners.open("POST", "/full-interaction", **form)
                seen["full interaction"] = connections_to(url)
                listeners.open("GET", f"/api/v1/exports/{export}/download")
                seen["download"] = connections_to(url)
                listeners.open("POST", turns_path(conversation), waits=True, json={"text": "Hello?"})
                wait_until(lambda: len(provider.requests_to(SPEECH)) >= 4 * STREAMS)
                seen["turn in JSON"] = connections_to(url)
                assert requests.get(f"{site.url}/readyz", timeout=5).ok
                assert not listeners.problems
    assert max(seen.values()) - seen["none"] <= MOST_CONNECTIONS, seen


# Clients that do not read


@pytest.fixture
def impatient(transactional_db: None, remote_engines: FakeProvider) -> Iterator[Server]:
    """The site, which takes a client for gone after half a second."""
    with serve(WriteDeadline(asgi.application, seconds=0.5)) as server:
        yield server
        wait_until(server.is_idle)


@contextmanager
def unread(server: Server, token: str, path: str, body: str, *, accept: str = "*/*") -> Iterator[socket.socket]:
    """Send a request, and do not read what is answered."""
    host, port = server.url.removeprefix("http://").split(":")
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", f"Accept: {accept}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", body]
    with ExitStack() as stack:
        client = stack.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((host, int(port)))
        client.sendall("\r\n".join(lines).encode())
        yield client


WORDS = "This sentence is one of very many, and each of them is spoken to somebody who is not there. " * 44


@pytest.mark.usefixtures("voice")
def test_speech_is_made_no_further_than_it_is_read_and_ends(
    impatient: Server, alice_token: str, provider: FakeProvider
) -> None:
    speech = f'{{"voice": "Jane", "input": "{WORDS.strip()}", "response_format": "wav"}}'
    with unread(impatient, alice_token, "/v1/audio/speech", speech):
        wait_until(lambda: provider.requests_to(SPEECH))
        wait_until(impatient.is_idle)
    made = sum(len(request.json["text"]) for request in provider.requests_to(SPEECH))
    assert made < len(WORDS) / 2


def test_a_turn_that_nobody_reads_ends(
    impatient: Server, alice_token: str, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.reply = "A sentence of a reply that is much longer than all buffers on its way. " * 60
    path, accept = turns_path(conversation), "text/event-stream"
    with unread(impatient, alice_token, path, '{"text": "Hello?"}', accept=accept) as client:
        wait_until(lambda: provider.requests_to(SPEECH))
        wait_until(impatient.is_idle)
        received = b""
        with suppress(ConnectionResetError):
            while chunk := client.recv(65_536):
                received += chunk
    turn = Turn.objects.get()
    assert turn.status in {Turn.Status.INTERRUPTED, Turn.Status.SPOKEN}
    assert turn.answer
    assert b"event: done" not in received


def test_a_slow_reader_hears_everything(
    impatient: Server, alice_token: str, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.behaviour.reply = LONG_REPLY
    with Api(impatient.url, alice_token) as api:
        path = turns_path(conversation)
        with api.post(path, json={"text": "Hello?"}, headers=EVENTS, stream=True) as response:
            received = b""
            for chunk in response.iter_content(65_536):
                received += chunk
                threading.Event().wait(0.02)
    assert b"event: done" in received
