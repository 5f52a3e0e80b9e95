"""Use the site with every kind of failure, then search the logs for keys, personal data and secrets."""

from __future__ import annotations

import os
import re
import secrets
import socket
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.client import QUESTION, SAMPLES, wait_until
from tests.fakes.behaviour import FAILURES, Fault
from tests.fakes.elevenlabs import SPEECH, VOICES_ADD
from tests.fakes.openai import CHAT, TRANSCRIPTIONS
from tests.processes import OPERATED, Site, manage, running_site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakes.provider import FakeProvider

KEYS = {
    name: f"canary-{name.lower().replace('_', '-')}-{secrets.token_hex(8)}"
    for name in ("OPENAI_API_KEY", "ELEVENLABS_API_KEY", "SECRET_KEY", "METRICS_TOKEN")
}
PRIVATE = "canaryword"
"""Part of all names and of everything that people type, say and upload, and that the model says."""
PASSWORD = f"{PRIVATE} is a long password"


class Person:
    """A person who uses forms in a browser and an API token. `answers` has all responses."""

    def __init__(self, site: Site, name: str) -> None:
        self.site, self.name = site, name
        self.browser, self.program = requests.Session(), requests.Session()
        self.answers: list[requests.Response] = []

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.note(self.browser.get(self.site.url + path, timeout=60, **options))

    def fill_in(self, path: str, files: Any = None, **fields: str) -> requests.Response:
        self.get("/accounts/login/")
        token = {"csrfmiddlewaretoken": self.browser.cookies["csrftoken"]}
        return self.note(self.browser.post(self.site.url + path, data=token | fields, files=files, timeout=60))

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.note(self.program.request(method, self.site.url + path, **{"timeout": 60, **options}))

    def note(self, response: requests.Response) -> requests.Response:
        self.answers.append(response)
        return response

    def sign_up(self) -> None:
        mail = f"{self.name}@{PRIVATE}.example.org"
        self.fill_in("/accounts/signup/", username=self.name, email=mail, password1=PASSWORD, password2=PASSWORD)
        headers = {"X-CSRFToken": self.browser.cookies["csrftoken"], "Referer": self.site.url}
        wanted = {"name": PRIVATE, "scopes": ["read", "talk", "voices", "webhooks"]}
        made = self.browser.post(f"{self.site.url}/api/v1/tokens", json=wanted, headers=headers, timeout=60)
        assert made.status_code == 201, made.text
        self.program.headers["Authorization"] = f"Bearer {made.json()['token']}"

    @property
    def token(self) -> str:
        return str(self.program.headers["Authorization"]).removeprefix("Bearer ")


@pytest.fixture
def site(provider: FakeProvider, tmp_path: Path) -> Iterator[Site]:
    provider.behaviour.key = None
    # Like `make run`: pages need the manifest of the static files.
    manage(os.environ | OPERATED, "collectstatic", "--no-input", "--verbosity", "0")
    with running_site(
        ["voiceclone.run", "--log-level", "info"],
        tmp_path,
        **KEYS,
        OPENAI_BASE_URL=provider.openai_url,
        ELEVENLABS_BASE_URL=provider.url,
        EMAIL_URL=f"filemail:///{tmp_path}/mail",
        AUDIT_LOG=str(tmp_path / "audit.log"),
        CONSENT="attested",
        BREAKER_FAILURES="1000",
        PROVIDER_RETRIES="0",
        FIRST_TOKEN_SECONDS="4",
        FIRST_AUDIO_SECONDS="4",
        HEAR_SECONDS="4",
        CLONE_SECONDS="4",
        TOKEN_IDLE_SECONDS="4",
        WEBHOOK_ALLOW_PRIVATE="on",
        OPERATOR_EMAIL=f"operator@{PRIVATE}.example.org",
        LIMITS="off",
        ERASURE_COOLING_OFF_DAYS="0",
    ) as site:
        yield site


@pytest.mark.timeout(600)
def test_logs_errors_and_metrics_contain_no_keys_and_no_personal_data(
    site: Site, provider: FakeProvider, tmp_path: Path
) -> None:
    person, stranger = Person(site, f"{PRIVATE}-jane"), Person(site, f"{PRIVATE}-joe")
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        webhook = f"http://127.0.0.1:{nobody.getsockname()[1]}/{PRIVATE}"
    sign_up_and_prepare(person, webhook)
    talk(person, provider)
    fail_in_every_way(person, provider)
    act_without_account(stranger, person)
    site.manage("reconcile")
    export_and_delete(person)
    metrics = person.get("/metrics", headers={"Authorization": f"Bearer {KEYS['METRICS_TOKEN']}"})
    assert "voiceclone_provider_errors_total" in metrics.text
    logs = {"site": site.log.read_text(), "audit": (tmp_path / "audit.log").read_text(), "metrics": metrics.text}
    assert "provider_answer_invalid" in logs["site"]
    assert "sign_in_refused" in logs["audit"]
    links = re.findall(r"/accounts/(?:confirm-email|password/reset/key)/([^/\s]+)", mails(tmp_path))
    canaries = [*KEYS.values(), PRIVATE, person.token, *links]
    assert len(links) >= 2
    for where, text in logs.items():
        assert [line for line in text.splitlines() if any(canary in line for canary in canaries)] == [], where
    for answer in (*person.answers, *stranger.answers):
        assert not any(key in answer.text for key in KEYS.values()), answer.url
        if answer.status_code >= 400 and "json" in answer.headers["Content-Type"]:
            assert "repeats" not in answer.text, answer.text


def mails(folder: Path) -> str:
    """Return the decoded text of all mails that were sent."""
    files = [path.read_bytes() for path in (folder / "mail").glob("*")]
    return "".join(str(message_from_bytes(file, policy=default).get_content()) for file in files)


def sign_up_and_prepare(person: Person, webhook: str) -> None:
    person.sign_up()
    for path in ("/accounts/logout/", "/accounts/login/"):
        person.fill_in(path, login=person.name, password=f"wrong {PASSWORD}")
    person.fill_in("/accounts/login/", login=PASSWORD, password=PASSWORD)
    person.fill_in("/accounts/login/", login=person.name, password=PASSWORD)
    person.fill_in("/accounts/profile/", username=f"{person.name}-again")
    person.fill_in("/voices/consent/", name=PRIVATE, attested="on")
    person.send("POST", "/api/v1/webhooks", json={"url": webhook})
    # The requests of a browser that follows the link in the mail.
    for link in re.findall(r"/accounts/confirm-email/\S+", mails(person.site.log.parent)):
        person.get(link)
        person.get(f"{link}x/")


def clone(person: Person) -> requests.Response:
    files = [("audio_file", (f"{PRIVATE}.wav", data)) for data in SAMPLES]
    return person.send("POST", "/clone-voice", data={"voice_name": PRIVATE}, files=files)


def talk(person: Person, provider: FakeProvider) -> None:
    """Use every function of a voice, and open every page."""
    provider.behaviour.transcript = f"Where is the {PRIVATE} buried?"
    provider.behaviour.reply = f"Beneath the {PRIVATE} palm. Dig there."
    voice_id = clone(person).json()["voice_id"]
    voice = person.send("GET", "/api/v1/voices").json()["results"][0]["id"]
    choices = {"voice": voice, "title": PRIVATE, "persona": f"You are {PRIVATE}."}
    conversation = person.send("POST", "/api/v1/conversations", json=choices).json()["id"]
    turns = f"/api/v1/conversations/{conversation}/turns"
    sound = (f"{PRIVATE}.wav", QUESTION)
    assert person.send("POST", turns, files={"audio": sound}).json()["status"] == "spoken"
    assert person.send("POST", turns, json={"text": PRIVATE}).json()["status"] == "spoken"
    person.send("POST", "/full-interaction", data={"voice_id": voice_id}, files={"audio_file": sound})
    person.send("POST", "/api/v1/transcriptions", files={"audio": sound})
    person.send("POST", "/v1/audio/transcriptions", files={"file": sound}, data={"prompt": PRIVATE})
    person.send("POST", "/api/v1/speech", json={"text": PRIVATE, "voice": PRIVATE})
    person.send("POST", "/v1/audio/speech", json={"input": PRIVATE, "voice": PRIVATE, "model": PRIVATE})
    person.send("POST", f"/api/v1/voices/{voice}/preview", json={"text": PRIVATE})
    person.send("PATCH", f"/api/v1/voices/{voice}", json={"name": f"{PRIVATE} again"})
    person.send("GET", f"/api/v1/conversations?search={PRIVATE}")
    person.send("PATCH", f"/api/v1/conversations/{conversation}", json={"model": PRIVATE})
    for path in (f"/history/?q={PRIVATE}", f"/talk/{conversation}/", "/voices/", f"/report/?about={PRIVATE}"):
        assert person.get(path).status_code == 200


def fail_in_every_way(person: Person, provider: FakeProvider) -> None:
    """Let each stage fail with responses that contain keys and private words, and retry it."""
    conversation = person.send("GET", "/api/v1/conversations").json()["results"][0]["id"]
    message = f"It repeats {KEYS['OPENAI_API_KEY']} {KEYS['ELEVENLABS_API_KEY']} {PRIVATE}"
    refused: dict[str, Any] = {
        "error": {"code": "repeats", "message": message},
        "detail": {"code": message, "message": message},
    }
    repeating: list[dict[str, Any]] = [{"status": 401, "body": refused}, {"status": 400, "body": message}]
    paths = [TRANSCRIPTIONS, CHAT, SPEECH, VOICES_ADD]
    faults = [Fault(path, 1, **failure) for path in paths for failure in repeating]
    faults += [Fault(paths[number % len(paths)], 1, **failure) for number, failure in enumerate(FAILURES)]
    for fault in faults:
        provider.faults = [fault]
        if fault.path == VOICES_ADD:
            clone(person)
            continue
        turns = f"/api/v1/conversations/{conversation}/turns"
        turn = person.send("POST", turns, files={"audio": (PRIVATE, QUESTION)}).json()
        if turn["error"]:
            person.send("POST", f"/api/v1/turns/{turn['id']}/retry")
    provider.faults = []
    person.send("POST", "/clone-voice", data={"voice_name": PRIVATE}, files={"audio_file": (PRIVATE, b"no sound")})
    person.send("POST", "/v1/audio/speech", json={"input": PRIVATE, "voice": f"no {PRIVATE}"})
    person.send("POST", "/api/v1/conversations", data=f"{{{PRIVATE}", headers={"Content-Type": "application/json"})


def act_without_account(stranger: Person, person: Person) -> None:
    """Use the functions for people without an account, and guess secrets."""
    stranger.fill_in("/report/", text=f"It is my {PRIVATE}.", contact=f"joe@{PRIVATE}.example.org", about=PRIVATE)
    stranger.fill_in("/verify", files={"file": (f"{PRIVATE}.wav", QUESTION)})
    stranger.fill_in("/accounts/password/reset/", email=f"{person.name}@{PRIVATE}.example.org")
    for link in re.findall(r"/accounts/password/reset/key/\S+", mails(person.site.log.parent)):
        stranger.get(link)
    stranger.send("GET", "/api/v1/voices", headers={"Authorization": f"Bearer vc_{PRIVATE}"})
    stranger.get("/accounts/invitation/x-y-z0123456789012345678901/")


def export_and_delete(person: Person) -> None:
    """Export all data, and delete the account."""
    person.send("POST", "/api/v1/exports")

    def is_ready() -> bool:
        export = person.send("GET", "/api/v1/exports").json()["results"][0]
        return bool(export["state"] == "ready")

    wait_until(is_ready)
    for voice in person.send("GET", "/api/v1/voices").json()["results"]:
        person.send("DELETE", f"/api/v1/voices/{voice['id']}")
    person.fill_in("/accounts/reauthenticate/", password=PASSWORD)
    person.fill_in("/accounts/delete/")
    wait_until(lambda: "Erasure done" in person.site.log.read_text())
