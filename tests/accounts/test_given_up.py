"""A request with an Idempotency-Key whose client gives up is finished; the next with the key gets its answer."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from apps.accounts.idempotency import REPLAYED
from apps.accounts.models import IdempotencyKey
from apps.conversations.models import Turn
from apps.speech.audio.decoding import decode
from apps.usage.models import UsageDay, UsageRecord
from apps.voices.models import VoiceProfile
from tests.client import LONG_REPLY, QUESTION, SAMPLES, Api, read_events, turns_path, wait_until
from tests.fakes.behaviour import Moment
from tests.fakes.elevenlabs import SPEECH, VOICES_ADD
from tests.fakes.openai import CHAT, TRANSCRIPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from apps.conversations.models import Conversation
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
EVENTS = KEY | {"Accept": "text/event-stream"}
PATIENCE_SECONDS = (30, 0.3)  # To connect, and for each piece of the answer.


class Sender:
    """A program with a key that loses its patience, and a service that answers when it is told to."""

    def __init__(self, server: Server, api: Api, provider: FakeProvider) -> None:
        self.server = server
        self.api = api
        self.provider = provider
        self.may_answer = threading.Event()

    def hold(self, service: str) -> None:
        """Let the next call to `service` wait for `repeat`."""
        self.provider.at("POST", service, Moment.RECEIVED, self.may_answer.wait)

    def give_up(self, path: str, **options: Any) -> None:
        """Send a request, and leave before its answer is there."""
        with pytest.raises((requests.Timeout, requests.ConnectionError)):
            self.api.post(path, **{"headers": KEY, **options, "timeout": PATIENCE_SECONDS})
        wait_until(IdempotencyKey.objects.exists)

    def repeat(self, path: str, **options: Any) -> requests.Response:
        """Send the same request while the first still runs, and again when it is over; return the second answer."""
        early = self.api.post(path, **{"headers": KEY, **options})
        assert (early.status_code, early.json()["error"]["code"]) == (409, "idempotency_key_in_use")
        assert int(early.headers["Retry-After"]) > 0
        self.may_answer.set()
        self.provider.behaviour.audio_speed = 0
        wait_until(self.server.is_idle)
        return self.api.post(path, **{"headers": KEY, **options})


@pytest.fixture
def sender(server: Server, alice_token: str, provider: FakeProvider) -> Iterator[Sender]:
    with Api(server.url, alice_token) as api:
        sender = Sender(server, api, provider)
        yield sender
        sender.may_answer.set()


def calls(provider: FakeProvider) -> dict[str, int]:
    """Return how often each service was called."""
    paths = {"hear": TRANSCRIPTIONS, "think": CHAT, "speak": SPEECH, "clone": VOICES_ADD}
    return {name: len(provider.requests_to(path)) for name, path in paths.items() if provider.requests_to(path)}


class TestBeforeTheAnswer:
    @pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
    def test_a_spoken_question(
        self, sender: Sender, provider: FakeProvider, conversation: Conversation, accept: str
    ) -> None:
        sender.hold(TRANSCRIPTIONS)
        options: dict[str, Any] = {"files": {"audio": QUESTION}, "headers": KEY | {"Accept": accept}}
        sender.give_up(turns_path(conversation), **options)
        again = sender.repeat(turns_path(conversation), **options)
        assert again.headers[REPLAYED] == "true"
        assert provider.behaviour.reply in again.text
        assert calls(provider) == {"hear": 1, "think": 1, "speak": 2}
        assert Turn.objects.get().status == "spoken"

    def test_a_full_interaction(
        self, sender: Sender, provider: FakeProvider, voice: VoiceProfile, settings: Settings
    ) -> None:
        settings.LIMITS = True
        sender.hold(TRANSCRIPTIONS)
        form: dict[str, Any] = {"data": {"voice_id": voice.voice_id}, "files": {"audio_file": QUESTION}}
        sender.give_up("/full-interaction", **form)
        again = sender.repeat("/full-interaction", **form)
        assert again.headers["X-Response-Text"] == provider.behaviour.reply
        assert decode(again.content, sample_rate=24_000, max_seconds=60).seconds > 1
        assert calls(provider) == {"hear": 1, "think": 1, "speak": 2}
        assert UsageRecord.objects.count() == 1
        day = UsageDay.objects.get()
        assert (day.running, day.reserved_characters) == (0, 0)

    @pytest.mark.parametrize(
        ("path", "name"), [("/api/v1/transcriptions", "audio"), ("/v1/audio/transcriptions", "file")]
    )
    def test_a_transcription(self, sender: Sender, provider: FakeProvider, path: str, name: str) -> None:
        sender.hold(TRANSCRIPTIONS)
        sender.give_up(path, files={name: QUESTION})
        assert sender.repeat(path, files={name: QUESTION}).json()["text"] == provider.behaviour.transcript
        assert calls(provider) == {"hear": 1}

    def test_a_preview(self, sender: Sender, provider: FakeProvider, voice: VoiceProfile) -> None:
        sender.hold(SPEECH)
        path, text = f"/api/v1/voices/{voice.pk}/preview", {"text": "Good morning."}
        sender.give_up(path, json=text)
        assert sender.repeat(path, json=text).headers["Content-Type"] == "audio/mpeg"
        assert calls(provider) == {"speak": 1}

    def test_a_retried_turn(self, sender: Sender, provider: FakeProvider, conversation: Conversation) -> None:
        provider.fail_next(CHAT, status=400)
        path = f"/api/v1/turns/{sender.api.ask(conversation, text='Hello?').json()['id']}/retry"
        sender.hold(CHAT)
        sender.give_up(path)
        assert sender.repeat(path).json()["status"] == "spoken"
        assert calls(provider) == {"think": 2, "speak": 2}

    def test_a_turn_that_fails(self, sender: Sender, provider: FakeProvider, conversation: Conversation) -> None:
        sender.hold(TRANSCRIPTIONS)
        provider.fail_next(CHAT, status=400)
        sender.give_up(turns_path(conversation), files={"audio": QUESTION})
        assert sender.repeat(turns_path(conversation), files={"audio": QUESTION}).json()["status"] == "failed"
        assert calls(provider) == {"hear": 1, "think": 1}

    def test_what_fails_frees_the_key(self, sender: Sender, provider: FakeProvider) -> None:
        sender.hold(TRANSCRIPTIONS)
        provider.fail_next(TRANSCRIPTIONS, status=400)
        sender.give_up("/api/v1/transcriptions", files={"audio": QUESTION})
        again = sender.repeat("/api/v1/transcriptions", files={"audio": QUESTION})
        assert (again.status_code, REPLAYED in again.headers) == (200, False)


@pytest.mark.usefixtures("consent")
@pytest.mark.parametrize("path", ["/clone-voice", "/api/v1/voices"])
def test_a_voice(sender: Sender, provider: FakeProvider, path: str) -> None:
    files = [(name, ("a.wav", data)) for data in SAMPLES for name in ("audio", "audio_file")]
    form: dict[str, Any] = {"data": {"name": "Jane", "voice_name": "Jane"}, "files": files}
    sender.hold(VOICES_ADD)
    sender.give_up(path, **form)
    assert sender.repeat(path, **form).status_code == 201
    assert calls(provider) == {"clone": 1}
    assert VoiceProfile.objects.get().status == "ready"


class TestInTheMiddle:
    """The client leaves while it hears the answer."""

    @pytest.fixture(autouse=True)
    def pace(self, provider: FakeProvider) -> None:
        provider.behaviour.reply, provider.behaviour.audio_speed = LONG_REPLY, 2  # Until `repeat` makes it faster.

    @pytest.mark.parametrize("path", ["/api/v1/speech", "/v1/audio/speech"])
    def test_speech(self, sender: Sender, provider: FakeProvider, voice: VoiceProfile, path: str) -> None:
        text = {"text": LONG_REPLY, "input": LONG_REPLY, "voice": "Jane"}
        with sender.api.post(path, json=text, headers=KEY, stream=True) as response:
            assert next(response.iter_content(1000))
        again = sender.repeat(path, json=text)
        assert decode(again.content, sample_rate=24_000, max_seconds=60).seconds > 10
        assert again.headers[REPLAYED] == "true"
        assert not any(call.left_early for call in provider.requests_to(SPEECH))

    def test_a_stream_of_events(self, sender: Sender, provider: FakeProvider, conversation: Conversation) -> None:
        url, question = turns_path(conversation), {"text": "Hello?"}
        with sender.api.post(url, json=question, headers=EVENTS, stream=True) as response:
            assert any(event.name == "spoken" for event in read_events(response))
        again = sender.repeat(url, json=question)
        assert (again.json()["status"], again.json()["reply"]) == ("spoken", LONG_REPLY)
        assert calls(provider)["think"] == 1

    def test_a_full_interaction(self, sender: Sender, provider: FakeProvider, voice: VoiceProfile) -> None:
        form: dict[str, Any] = {"data": {"voice_id": voice.voice_id}, "files": {"audio_file": QUESTION}}
        with sender.api.post("/full-interaction", headers=KEY, stream=True, **form) as response:
            assert next(response.iter_content(1000))
        again = sender.repeat("/full-interaction", **form)
        assert decode(again.content, sample_rate=24_000, max_seconds=60).seconds > 10
        assert calls(provider)["hear"] == calls(provider)["think"] == 1


def test_a_body_that_did_not_arrive_whole_is_no_request(sender: Sender, provider: FakeProvider) -> None:
    def half() -> Any:
        yield b"--x\r\n"
        raise InterruptedError

    headers = KEY | {"Content-Type": "multipart/form-data; boundary=x"}
    with pytest.raises(requests.ConnectionError):
        sender.api.post("/api/v1/transcriptions", data=half(), headers=headers)
    wait_until(sender.server.is_idle)
    assert not IdempotencyKey.objects.exists()
    assert not provider.requests


def test_without_a_key_the_turn_ends(sender: Sender, provider: FakeProvider, conversation: Conversation) -> None:
    provider.behaviour.hear_seconds = 60
    started = time.monotonic()
    with pytest.raises(requests.Timeout):
        sender.api.ask(conversation, timeout=PATIENCE_SECONDS)
    wait_until(sender.server.is_idle)
    assert time.monotonic() - started < 10
    assert Turn.objects.get().status == "interrupted"
