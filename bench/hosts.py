"""Use a site on two machines as people do: what one machine has made is needed on the other at once.

Both machines have folders of their own, with nothing in common but PostgreSQL, Redis and an object store; nginx is
before them. Prints a line for each step, with what is in the store then, and fails at the first step that goes wrong.
Needs nginx, PostgreSQL's server and Redis.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections import Counter
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from zipfile import ZipFile

import pytest
import requests
from django.core.management import call_command
from websockets.sync.client import connect

from bench import processes
from bench.shared import running_services, use_providers
from tests.client import LONG_REPLY, QUESTION, Api, error_of, read_events, turns_path, wait_until
from tests.fakes.behaviour import Behaviour
from tests.fakes.elevenlabs import SPEECH
from tests.fakes.object_store import PREFIX, keys_in
from tests.fakes.provider import FakeProvider
from tests.nginx import running_nginx

PASSWORD = "a long password for a bench"  # noqa: S105 - of an account that lives for a minute
MODELS = processes.PROJECT_DIR / "tests/data/models"  # The stand-in for the speaker encoder.
TURN = {"questions": 1, "answers": 1}
STORED: Counter[str] = Counter(objects=1)  # The mark by which machines know the storage.


@dataclass(frozen=True)
class Host:
    """A machine: a folder with everything that it does not share."""

    name: str
    folder: Path

    @property
    def own(self) -> dict[str, str]:
        places = {"MEDIA_ROOT": "media", "MARKS_DIR": "marks", "TMPDIR": "tmp"}
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        return {variable: str(self.folder / place) for variable, place in places.items()}

    def web(self) -> AbstractContextManager[processes.Server]:
        return processes.application(self.folder / "web.log", own=self.own)

    def worker(self) -> AbstractContextManager[processes.Server]:
        return processes.worker(self.folder / "worker.log", own=self.own)


@dataclass
class Person:
    """Somebody with a browser, which comes through nginx, and a program for each machine."""

    browser: requests.Session
    site: str
    token: str
    a: Api
    b: Api

    def fill_in(self, path: str, **fields: str) -> requests.Response:
        self.browser.get(f"{self.site}/accounts/login/", timeout=60)
        token = {"csrfmiddlewaretoken": self.browser.cookies["csrftoken"]}
        response = self.browser.post(self.site + path, data=token | fields, timeout=60)
        assert response.ok, f"{path} answered {response.status_code}"
        return response


def main() -> int:
    with (
        TemporaryDirectory(prefix="voiceclone-hosts-") as name,
        FakeProvider(Behaviour(key=None)).running() as provider,
        ExitStack() as stack,
    ):
        folder = Path(name)
        processes.set_environment(folder, None)
        use_providers(provider)
        os.environ |= {
            "MODELS_DIR": str(MODELS),
            "LIMITS": "on",
            "PROCESSES": "2",
            "BREAKER_FAILURES": "1000",
            "ERASURE_COOLING_OFF_DAYS": "0",
            "EMAIL_URL": f"filemail://{folder}/mail",
        }
        stack.enter_context(running_services())
        call_command("migrate", verbosity=0)
        call_command("collectstatic", "--no-input", verbosity=0)
        a, b = Host("A", folder / "a"), Host("B", folder / "b")
        urls = [stack.enter_context(a.web()).url, start_second(a, b, stack)]
        site = stack.enter_context(running_nginx(folder, [urlsplit(url).port or 0 for url in urls]))
        use(sign_up(site, urls), provider, a, b)
    return 0


def stored() -> list[str]:
    from apps.core.storage import media

    return [key.removeprefix(f"{PREFIX}/") for key in keys_in(media())]  # type: ignore[arg-type] # an ObjectStorage


def step(what: str, **added: int) -> None:
    """Print what was done, after a look at the store: it has to have so many objects more in these folders."""
    STORED.update(added)
    found = Counter(name.split("/")[0] if "/" in name else "objects" for name in stored())
    assert found == +STORED, f"{what}: the store has {dict(found)} in place of {dict(+STORED)}"
    sys.stdout.write(f"{what:88}{'  '.join(f'{count} {name}' for name, count in sorted(found.items()))}\n")
    sys.stdout.flush()


def start_second(first: Host, second: Host, stack: ExitStack) -> str:
    with pytest.raises(SystemExit, match="did not start"), second.web():
        pass
    step("A starts; B does not, with a signing key of its own")
    (second.folder / "marks").mkdir(mode=0o700, exist_ok=True)
    shutil.copy(first.folder / "marks/signer.pem", second.folder / "marks/signer.pem")
    url = stack.enter_context(second.web()).url
    step("B starts with A's signing key")
    return url


def sign_up(site: str, urls: list[str]) -> Person:
    person = Person(requests.Session(), site, "", Api(urls[0], ""), Api(urls[1], ""))
    person.fill_in(
        "/accounts/signup/", username="jane", email="jane@example.org", password1=PASSWORD, password2=PASSWORD
    )
    headers = {"X-CSRFToken": person.browser.cookies["csrftoken"]}
    wanted = {"name": "bench", "scopes": ["read", "talk", "voices"]}
    token = person.browser.post(f"{site}/api/v1/tokens", json=wanted, headers=headers, timeout=60).json()["token"]
    person.token, person.a, person.b = token, Api(urls[0], token), Api(urls[1], token)
    step("sign up through nginx, and make a token")
    return person


def use(person: Person, provider: FakeProvider, a: Host, b: Host) -> None:
    voice = clone(person, provider)
    conversation = person.b.post("/api/v1/conversations", json={"voice": voice}).json()["id"]
    turn = talk(person, provider, conversation)
    listen(person, turn)
    stop(person, provider, conversation)
    hold_live_conversations(person, conversation)
    export(person, b)
    withdraw(person, provider, conversation, b)
    erase(person, a)
    left = [path for host in (a, b) for path in (host.folder / "media").rglob("*") if path.is_file()]
    assert not left, left


def clone(person: Person, provider: FakeProvider) -> str:
    """Give a consent and clone a voice; return its id."""
    asked = person.a.post("/api/v1/consents/challenges", json={}).json()
    heard, provider.behaviour.transcript = provider.behaviour.transcript, asked["statement"]
    read = {"data": {"challenge": asked["id"]}, "files": {"audio": ("statement.wav", QUESTION)}}
    expect(person.b.post("/api/v1/consents", **read), 201)
    provider.behaviour.transcript = heard
    step("ask A for a statement, and read it to B", consents=1)
    expect(person.a.clone_voice(), 201)
    (voice,) = expect(person.b.get("/api/v1/voices"), 200).json()["results"]
    for sample in voice["samples"]:
        expect(person.b.get(f"/api/v1/voices/{voice['id']}/samples/{sample['id']}/audio"), 200)
    step("clone a voice on A, and play its samples on B", samples=2)
    return str(voice["id"])


def talk(person: Person, provider: FakeProvider, conversation: str) -> str:
    """Talk, also while a service fails; return the id of the turn that was answered at once."""
    turn = expect(person.b.ask(conversation), 201).json()
    assert turn["status"] == "spoken", turn
    step("talk on B", **TURN)
    provider.fail_next(SPEECH, status=500, times=100)
    failed = person.b.ask(conversation).json()["error"]
    assert failed is not None
    assert failed["stage"] == "speak", failed
    provider.faults.clear()
    (last,) = person.a.get(f"/api/v1/conversations/{conversation}/turns?limit=1").json()["results"]
    step("ask B while no voice speaks, which fails", questions=1)
    assert person.a.events_of(f"/api/v1/turns/{last['id']}/retry")[-1].name == "done"
    step("retry on A", answers=1)
    return str(turn["id"])


def listen(person: Person, turn: str) -> None:
    """Play both sounds of a turn of B's on A, share the answer, and have it verified."""
    for path in (f"/api/v1/turns/{turn}/question", f"/api/v1/turns/{turn}/audio"):
        whole = expect(person.a.get(path), 200).content
        part = expect(person.a.get(path, headers={"Range": "bytes=1000-1999"}), 206)
        assert part.content == whole[1000:2000]
        assert expect(person.b.get(path), 200).content == whole
    step("play question and answer on A, whole and by Range")
    shared = expect(person.b.post(f"/api/v1/turns/{turn}/shares", json={}), 201).json()["url"]
    page = urlsplit(shared).path
    expect(requests.get(person.a.url + page, timeout=60), 200)
    step("share the answer as an MP3 on B, and open the link on A", answers=1)
    for here, there in ((person.a, person.b), (person.b, person.a)):
        sound = expect(here.get(f"/api/v1/turns/{turn}/audio?as=mp3"), 200).content
        spoken = {"text": "Good morning.", "voice": "Jane", "format": "mp3"}
        expect(here.post("/api/v1/speech", json=spoken), 200)
        verified = expect(there.post("/api/v1/verify", files={"file": ("answer.mp3", sound)}), 200).json()
        assert verified["verdict"] == "made_here", verified
    step("/verify on each machine knows what the other one has signed")


def stop(person: Person, provider: FakeProvider, conversation: str) -> None:
    provider.behaviour.audio_speed, reply, provider.behaviour.reply = 1, provider.behaviour.reply, LONG_REPLY
    headers = {"Accept": "text/event-stream"}
    with person.a.post(turns_path(conversation), json={"text": "And?"}, headers=headers, stream=True) as stream:
        events = read_events(stream)
        assert any(event.name == "spoken" for event in events)
        expect(person.b.post(f"/api/v1/turns/{stream.headers['X-Turn-Id']}/stop"), 202)
        assert list(events)[-1].name == "done"
        ended = person.b.get(f"/api/v1/turns/{stream.headers['X-Turn-Id']}").json()
    assert ended["status"] == "interrupted", ended
    provider.behaviour.audio_speed, provider.behaviour.reply = 0, reply
    step("stop on B an answer that A speaks", answers=1)


def hold_live_conversations(person: Person, conversation: str) -> None:
    """Ask something live on each machine, in the same conversation."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And then?"}]}
    for name, api in (("A", person.a), ("B", person.b)):
        address = f"{api.url.replace('http', 'ws', 1)}/v1/realtime?voice=Jane&conversation={conversation}"
        with connect(address, additional_headers={"Authorization": f"Bearer {person.token}"}) as socket:
            socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
            socket.send(json.dumps({"type": "response.create"}))
            done = _response(socket)
        assert done["response"]["status"] == "completed", done
        step(f"hold a live conversation on {name}", answers=1)


def _response(socket: Any) -> dict[str, Any]:
    while (event := json.loads(socket.recv(timeout=60)))["type"] != "response.done":
        assert event["type"] != "error", event
    return dict(event)


def export(person: Person, b: Host) -> None:
    expect(person.a.post("/api/v1/exports"), 201)
    with b.worker():
        wait_until(lambda: person.a.get("/api/v1/exports").json()["results"][0]["state"] in {"ready", "failed"})
    (made,) = person.a.get("/api/v1/exports").json()["results"]
    assert (made["state"], made["missing"]) == ("ready", 0), made
    recordings = sum(name.endswith(".flac") for name in stored())
    with ZipFile(io.BytesIO(expect(person.a.get(f"/api/v1/exports/{made['id']}/download"), 200).content)) as file:
        assert file.testzip() is None
        kept = [name for name in file.namelist() if name.endswith(".flac")]
    assert len(kept) == recordings, (kept, recordings)
    step(f"export on A, made by B's worker: all {recordings} recordings", exports=1)


def withdraw(person: Person, provider: FakeProvider, conversation: str, b: Host) -> None:
    (consent,) = person.a.get("/api/v1/consents").json()["results"]
    expect(person.a.post(f"/api/v1/consents/{consent['id']}/withdraw"), 200)
    refused = person.b.ask(conversation)
    assert refused.status_code in {403, 409}, refused.text
    with b.worker():
        wait_until(lambda: not person.b.get("/api/v1/voices").json()["results"])
    assert not provider.voices
    code = error_of(refused)["code"]
    step(f"withdraw the consent on A: B answers {code}, and its worker deletes the voice", samples=-2)


def erase(person: Person, a: Host) -> None:
    person.fill_in("/accounts/reauthenticate/", password=PASSWORD)
    page = person.fill_in("/accounts/delete/").url
    assert person.b.get("/api/v1/voices").status_code == 401
    with a.worker():
        wait_until(lambda: requests.get(f"{page}receipt.txt", timeout=60).text.count("Account, with its name"))
    folders = [name for name in STORED if name != "objects"]
    step("delete the account, which A's worker does: nothing is left", **{name: -STORED[name] for name in folders})


def expect(response: requests.Response, status: int) -> requests.Response:
    assert response.status_code == status, f"{response.url}: {response.status_code} {response.text[:300]}"
    return response


if __name__ == "__main__":
    sys.exit(main())
