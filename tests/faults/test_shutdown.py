"""The shutdown of a running site, with real processes and signals."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from apps.core import readiness
from tests.client import Api, Event, error_of, read_events, turns_path, wait_until
from tests.fakes.elevenlabs import SPEECH
from tests.fakes.openai import CHAT
from tests.fakes.provider import FakeProvider
from tests.processes import Site, answers, remote, running_site
from voiceclone.server import LAST_REQUESTS_SECONDS

if TYPE_CHECKING:
    from apps.conversations.models import Conversation

LONG_REPLY = "One sentence. " + "Another one, a little longer. " * 8
TURNS = "SELECT status, length(reply), answer != '' FROM conversations_turn"


class ListeningClient:
    """A client that reads the events of one turn in its own thread."""

    def __init__(self, site: Site, provider: FakeProvider) -> None:
        voice_id = provider.add_voice("Jane")
        self.conversation, self.token = site.add_conversation(voice_id)
        self.site = site
        self.events: list[Event] = []
        self.has_sound = threading.Event()
        self.problem: Exception | None = None
        self._thread = threading.Thread(target=self._listen)

    def _listen(self) -> None:
        headers = {"Accept": "text/event-stream"}
        try:
            with (
                Api(self.site.url, self.token) as api,
                api.post(
                    turns_path(self.conversation), json={"text": "Hello?"}, headers=headers, stream=True
                ) as answer,
            ):
                for event in read_events(answer):
                    self.events.append(event)
                    if event.name == "spoken":
                        self.has_sound.set()
        except Exception as error:  # noqa: BLE001 - the test checks it
            self.problem = error

    def begin(self) -> None:
        self._thread.start()
        assert self.has_sound.wait(60), self.problem

    def end(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self.problem is None


SERVERS = [
    pytest.param(["uvicorn", "voiceclone.asgi:application"], id="the web server"),
    pytest.param(["voiceclone.run"], id="both processes"),
]


@pytest.mark.parametrize("module", SERVERS)
def test_a_running_turn_is_finished_while_new_work_is_refused(
    module: list[str], tmp_path: Path, provider: FakeProvider
) -> None:
    provider.behaviour.reply, provider.behaviour.audio_speed = LONG_REPLY, 4
    patient = [*module, "--timeout-keep-alive", "60"]
    with running_site(patient, tmp_path, SHUTDOWN_GRACE_SECONDS="60", **remote(provider)) as site:
        turn = ListeningClient(site, provider)
        turn.begin()
        with Api(site.url, turn.token) as watching, Api(site.url, turn.token) as asking:
            assert all(api.get("/healthz").ok for api in (watching, asking))
            site.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not answers(site.url))  # No new connection is accepted.
            time.sleep(LAST_REQUESTS_SECONDS + 0.1)
            ending = watching.get("/readyz")
            assert (ending.status_code, ending.json()["status"]) == (503, "ending")
            refused = asking.ask(turn.conversation, text="Are you there?")
        assert (refused.status_code, error_of(refused)["code"]) == (503, "shutting_down")
        assert ending.headers["Connection"] == refused.headers["Connection"] == "close"
        turn.end()
        site.process.wait(60)
        assert turn.events[-1].name == "done"
        assert turn.events[-1].data["reply"] == LONG_REPLY.strip()
        assert site.rows(TURNS) == [("spoken", len(LONG_REPLY.strip()), True)]
        assert "Traceback" not in site.log.read_text()


@pytest.mark.parametrize("module", SERVERS)
def test_a_longer_turn_is_interrupted_and_stored_and_its_stream_ends(
    module: list[str], tmp_path: Path, provider: FakeProvider
) -> None:
    provider.behaviour.reply, provider.behaviour.audio_speed = LONG_REPLY * 3, 0.5
    with running_site(module, tmp_path, SHUTDOWN_GRACE_SECONDS="1", **remote(provider)) as site:
        turn = ListeningClient(site, provider)
        turn.begin()
        site.process.send_signal(signal.SIGTERM)
        turn.end()
        site.process.wait(60)
        assert turn.events[-1].name == "done"
        assert len(turn.events[-1].data["reply"]) < len(LONG_REPLY)
        assert site.rows(TURNS) == [("interrupted", len((LONG_REPLY * 3).strip()), True)]
    assert all(speak.finished.wait(5) for speak in provider.requests_to(SPEECH))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_site_stops_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with running_site(["voiceclone.run"], tmp_path, SHUTDOWN_GRACE_SECONDS="3600") as site:
        site.process.send_signal(number)
        assert site.process.wait(60) == 0


def test_new_work_is_refused_before_any_paid_call(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    readiness.set_ending(ending=True)
    refused = alice_api.ask(conversation)
    assert (refused.status_code, error_of(refused)["code"]) == (503, "shutting_down")
    assert int(refused.headers["Retry-After"])
    assert not provider.requests_to(CHAT)


@pytest.mark.django_db
def test_the_process_is_no_longer_ready(client: Client) -> None:
    readiness.set_ending(ending=True)
    response = client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (503, "ending")
