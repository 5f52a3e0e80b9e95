"""What the users of the application do, for tests: talk to its server with a token, and look at its pages."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import requests
from django.contrib.messages import get_messages

from tests.audio_samples import clip, to_wav

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from django.test.client import _MonkeyPatchedWSGIResponse

    Page: TypeAlias = _MonkeyPatchedWSGIResponse
    """What Django's test client answers."""

QUESTION = to_wav(clip("austen-0930.wav"))
SAMPLES = [to_wav(clip("austen-0870.wav")), to_wav(clip("austen-0920.wav"))]  # 13.1 seconds together.
SAMPLE_SECONDS = sum(clip(name).seconds for name in ("austen-0870.wav", "austen-0920.wav"))
LONG_REPLY = (
    "The capital of France is Paris, which many people call the most beautiful city of the whole continent. "
    "It lies on the river Seine in the north of the country, and about two million people live there today."
)
NOWHERE = "http://127.0.0.1:9"  # The discard port, where nobody listens.
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Event:
    """A server-sent event."""

    name: str
    data: dict[str, Any]


class Api:
    """A program that acts for a user. Addresses are paths on the server."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._session.close()

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        return self._session.request(method, self.url + path, **{"timeout": PATIENCE_SECONDS, **options})

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.send("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.send("POST", path, **options)

    def patch(self, path: str, **options: Any) -> requests.Response:
        return self.send("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return self.send("DELETE", path, **options)

    def clone_voice(self, *, recordings: Iterable[bytes] = SAMPLES, **fields: str) -> requests.Response:
        """Send the form of `/clone-voice`."""
        files = [("audio_file", (f"{number}.wav", data)) for number, data in enumerate(recordings)]
        return self.post("/clone-voice", data={"voice_name": "Jane"} | fields, files=files)

    def full_interaction(self, voice_id: str, *, recording: bytes = QUESTION, **fields: str) -> requests.Response:
        """Send the form of `/full-interaction`."""
        files = {"audio_file": ("question.wav", recording)}
        return self.post("/full-interaction", data={"voice_id": voice_id} | fields, files=files)

    def ask(self, conversation: object, *, text: str = "", **options: Any) -> requests.Response:
        """Ask `text`, or else the spoken QUESTION."""
        question: dict[str, Any] = {"json": {"text": text}} if text else {"files": {"audio": ("q.wav", QUESTION)}}
        return self.post(turns_path(conversation), **question | options)

    def events_of(self, path: str, **options: Any) -> list[Event]:
        """Post to `path` and return the events of the answer, which has to be a stream."""
        with self.post(path, headers={"Accept": "text/event-stream"}, stream=True, **options) as response:
            assert response.status_code == 200, response.text
            assert response.headers["Content-Type"] == "text/event-stream"
            return list(read_events(response))

    def events_of_turn(self, conversation: object, *, text: str = "") -> list[Event]:
        """Ask as `ask` does, and return the events of the answer."""
        question: dict[str, Any] = {"json": {"text": text}} if text else {"files": {"audio": ("q.wav", QUESTION)}}
        return self.events_of(turns_path(conversation), **question)


def turns_path(conversation: object) -> str:
    """Return the address of the turns of a conversation, given as a row or by its id."""
    return f"/api/v1/conversations/{getattr(conversation, 'pk', conversation)}/turns"


def read_events(response: requests.Response) -> Iterator[Event]:
    """Take a stream of server-sent events apart while it comes."""
    name = ""
    for line in response.raw:  # Unlike `iter_lines`, it does not wait for a buffer to be full.
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield Event(name, json.loads(value))


def names_in_order(events: Iterable[Event]) -> list[str]:
    """Return the names of `events`, each run of equal ones as one."""
    names = [event.name for event in events]
    return [name for number, name in enumerate(names) if number == 0 or name != names[number - 1]]


def wait_until(is_so: Callable[[], object]) -> None:
    """Wait for a condition that another thread or process makes true. Fails after PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def bearer(token: str) -> dict[str, str]:
    """Return the header that a token comes in."""
    return {"Authorization": f"Bearer {token}"}


def error_of(response: requests.Response | Page) -> dict[str, Any]:
    """Return the error in an answer of the API, after a look at its shape."""
    assert response.headers["Content-Type"] == "application/json", response.headers
    body = json.loads(response.content)
    assert body.keys() == {"error"}, body
    error: dict[str, Any] = body["error"]
    assert error.keys() - {"fields", "details"} == {"code", "message"}, error
    assert error["code"]
    assert error["message"]
    return error


def messages_of(page: Page) -> list[str]:
    """Return the levels of the messages that the next page will show."""
    return [message.level_tag for message in get_messages(page.wsgi_request)]
