"""Processes behind nginx, set up as deploy/nginx.conf says, are restarted while people talk: nobody notices."""

from __future__ import annotations

import shutil
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import requests

from tests.client import LONG_REPLY, Api, read_events, turns_path, wait_until
from tests.fakes.provider import FakeProvider
from tests.nginx import running_nginx
from tests.ports import free_port
from tests.processes import migrated_database, remote, running_site

SERVER = ["uvicorn", "voiceclone.asgi:application"]


class People:
    """They ask something again and again, each in a thread, some for a stream and some for JSON, until `leave`."""

    def __init__(self, url: str, conversation: str, token: str) -> None:
        self.url, self.conversation, self.token = url, conversation, token
        self.answered = 0
        self.failures: list[str] = []
        self._are_leaving = threading.Event()
        self._threads = [threading.Thread(target=ask) for ask in 3 * [self._listen] + 3 * [self._ask] + [self._look]]
        for thread in self._threads:
            thread.start()

    def leave(self) -> None:
        self._are_leaving.set()
        for thread in self._threads:
            thread.join(120)

    def have_answers(self, number: int) -> bool:
        return self.answered >= number

    def _repeat(self, request: str, **options: object) -> None:
        while not self._are_leaving.is_set():
            try:
                with Api(self.url, self.token) as api:
                    self._note(request, api, **options)
            except requests.RequestException as error:
                self.failures.append(f"{request}: {error}")

    def _note(self, request: str, api: Api, **options: object) -> None:
        if request == "look":
            response = api.get("/api/v1/voices")
            self.failures += [] if response.ok else [f"look: {response.status_code} {response.text}"]
        else:
            with api.post(turns_path(self.conversation), json={"text": "Hello?"}, stream=True, **options) as response:
                end = [event.name for event in read_events(response)][-1:] if response.ok else [response.text]
                if not response.ok or (request == "listen" and end != ["done"]):
                    self.failures.append(f"{request}: {response.status_code} {end}")
        self.answered += 1

    def _listen(self) -> None:
        self._repeat("listen", headers={"Accept": "text/event-stream"})

    def _ask(self) -> None:
        self._repeat("ask")

    def _look(self) -> None:
        self._repeat("look")


def test_no_request_fails_while_processes_are_restarted(tmp_path: Path, provider: FakeProvider) -> None:
    provider.behaviour.reply, provider.behaviour.audio_speed = LONG_REPLY, 8
    ports = (free_port(), free_port())
    shutil.copy(migrated_database(), tmp_path / "shared.sqlite3")
    shared = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/shared.sqlite3",
        "MEDIA_ROOT": str(tmp_path / "media"),
        "MARKS_DIR": str(tmp_path / "marks"),
        "SHUTDOWN_GRACE_SECONDS": "60",
        **remote(provider),
    }
    with ExitStack() as stack:
        sites = {port: stack.enter_context(ExitStack()) for port in ports}
        for port in ports:
            (tmp_path / str(port)).mkdir()
        first, _second = [
            sites[port].enter_context(running_site(SERVER, tmp_path / str(port), port, **shared)) for port in ports
        ]
        conversation, token = first.add_conversation(provider.add_voice("Jane"))
        url = stack.enter_context(running_nginx(tmp_path, ports))
        people = People(url, conversation, token)
        stack.callback(people.leave)
        wait_until(partial(people.have_answers, 10))
        for port in ports:
            sites[port].close()  # SIGTERM, and wait until the process has ended.
            sites[port].enter_context(running_site(SERVER, tmp_path / str(port), port, **shared))
            enough = people.answered + 10
            wait_until(partial(people.have_answers, enough))
        people.leave()
    assert not people.failures, f"{len(people.failures)} of {people.answered}: {people.failures[:5]}"
