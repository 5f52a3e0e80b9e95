"""A request that costs money is carried out once, however often it is sent with the same key."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests
from django.utils import timezone

from apps.accounts import idempotency
from apps.accounts.idempotency import REPLAYED
from apps.accounts.models import IdempotencyKey
from apps.conversations.models import RUNNING, Conversation, Turn
from apps.voices.models import VoiceProfile
from tests.client import LONG_REPLY, QUESTION, SAMPLES, Api, error_of, read_events, turns_path, wait_until
from tests.fakes.elevenlabs import SPEECH, VOICES_ADD
from tests.fakes.openai import CHAT, TRANSCRIPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from apps.accounts.models import User
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
EVENTS = KEY | {"Accept": "text/event-stream"}
PATIENCE = 40


def clone(api: Api, name: str = "Jane") -> requests.Response:
    files = [("audio_file", ("a.wav", data)) for data in SAMPLES]
    return api.post("/clone-voice", data={"voice_name": name}, files=files, headers=KEY)


def transcribe(api: Api) -> requests.Response:
    return api.post("/api/v1/transcriptions", files={"audio": ("a.wav", QUESTION)}, headers=KEY)


def speak(api: Api, text: str = "Good morning.") -> requests.Response:
    return api.post("/api/v1/speech", json={"text": text, "voice": "Jane"}, headers=KEY)


def send_until_it_is_over(send: Callable[[], requests.Response]) -> requests.Response:
    """Send until the first request is over, as a client does after a 409."""
    response = send()
    for _attempt in range(PATIENCE):
        if response.status_code != 409:
            break
        assert error_of(response)["code"] == "idempotency_key_in_use"
        assert int(response.headers["Retry-After"]) > 0
        wait_until(is_over)
        response = send()
    return response


def is_over() -> bool:
    """Whether the work of the first request with a key has ended."""
    key = IdempotencyKey.objects.get()
    if not key.made:
        return key.status is not None
    turns = Turn.objects.filter(pk=key.made).exclude(status__in=RUNNING)
    voices = VoiceProfile.objects.filter(pk=key.made).exclude(status=VoiceProfile.Status.PENDING)
    return turns.exists() or voices.exists()


def calls(provider: FakeProvider, path: str) -> int:
    return len(provider.requests_to(path))


class TestOnce:
    @pytest.mark.usefixtures("consent")
    def test_ten_parallel_requests_clone_one_voice(
        self, server: Server, alice_token: str, provider: FakeProvider
    ) -> None:
        def send(_number: int) -> requests.Response:
            with Api(server.url, alice_token) as api:
                return send_until_it_is_over(lambda: clone(api))

        with ThreadPoolExecutor(10) as threads:
            responses = list(threads.map(send, range(10)))
        assert {response.status_code for response in responses} == {201}
        assert len({response.content for response in responses}) == 1
        assert sum("Idempotent-Replayed" in response.headers for response in responses) == 9
        assert calls(provider, VOICES_ADD) == 1
        assert VoiceProfile.objects.count() == 1

    def test_ten_parallel_requests_make_one_turn(
        self, server: Server, alice_token: str, provider: FakeProvider, conversation: Conversation
    ) -> None:
        def send(_number: int) -> requests.Response:
            with Api(server.url, alice_token) as api:
                return send_until_it_is_over(lambda: api.ask(conversation, text="Hello?", headers=KEY))

        with ThreadPoolExecutor(10) as threads:
            responses = list(threads.map(send, range(10)))
        assert {response.status_code for response in responses} == {201}
        assert {response.json()["id"] for response in responses} == {str(Turn.objects.get().pk)}
        assert calls(provider, CHAT) == 1

    def test_a_transcription_is_answered_again(self, alice_api: Api, provider: FakeProvider) -> None:
        first, second = transcribe(alice_api), transcribe(alice_api)
        assert first.json() == second.json()
        assert second.headers["Content-Type"] == "application/json"
        assert second.headers["Cache-Control"] == "no-store"
        assert second.headers["Idempotent-Replayed"] == "true"
        assert calls(provider, TRANSCRIPTIONS) == 1

    @pytest.mark.parametrize("path", ["/api/v1/speech", "/v1/audio/speech"])
    def test_speech_is_answered_again(
        self, alice_api: Api, provider: FakeProvider, voice: VoiceProfile, path: str
    ) -> None:
        body = {"text": LONG_REPLY, "input": LONG_REPLY, "voice": "Jane"}
        first = alice_api.post(path, json=body, headers=KEY)
        spoken = calls(provider, SPEECH)
        wait_until(IdempotencyKey.objects.exclude(status=None).exists)
        second = alice_api.post(path, json=body, headers=KEY)
        assert first.content == second.content
        assert (second.headers["Content-Type"], second.headers["X-AI-Generated"]) == ("audio/mpeg", "true")
        assert calls(provider, SPEECH) == spoken

    def test_a_preview_is_answered_again(self, alice_api: Api, provider: FakeProvider, voice: VoiceProfile) -> None:
        path = f"/api/v1/voices/{voice.pk}/preview"
        first, second = [alice_api.post(path, json={"text": "Good morning."}, headers=KEY) for _ in range(2)]
        assert first.content == second.content
        assert calls(provider, SPEECH) == 1

    @pytest.mark.usefixtures("consent")
    def test_a_voice_is_made_once(self, alice_api: Api, provider: FakeProvider) -> None:
        files = [("audio", ("a.wav", data)) for data in SAMPLES]
        first, second = [
            alice_api.post("/api/v1/voices", data={"name": "Jane"}, files=files, headers=KEY) for _ in range(2)
        ]
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.json() == second.json()
        assert calls(provider, VOICES_ADD) == 1


@pytest.mark.usefixtures("consent")
class TestVoicesThatFail:
    """A failed cloning can be repeated, and creates no second voice."""

    @pytest.mark.parametrize("path", ["/clone-voice", "/api/v1/voices"])
    def test_a_repetition_clones_the_same_voice(self, alice_api: Api, provider: FakeProvider, path: str) -> None:
        def send() -> requests.Response:
            files = [(name, ("a.wav", data)) for data in SAMPLES for name in ("audio", "audio_file")]
            return alice_api.post(path, data={"name": "Jane", "voice_name": "Jane"}, files=files, headers=KEY)

        provider.fail_next(VOICES_ADD, status=400, times=2)
        assert [send().status_code for _number in range(2)] == [422, 422]
        again, answered = send(), send()
        assert (again.status_code, answered.status_code) == (201, 201)
        assert again.json() == answered.json()
        assert [REPLAYED in answer.headers for answer in (again, answered)] == [False, True]
        assert calls(provider, VOICES_ADD) == 3
        assert VoiceProfile.objects.get().status == "ready"

    def test_ten_parallel_repetitions_clone_it_once(
        self, server: Server, alice_api: Api, alice_token: str, provider: FakeProvider
    ) -> None:
        provider.fail_next(VOICES_ADD, status=400)
        assert clone(alice_api).status_code == 422

        def send(_number: int) -> int:
            with Api(server.url, alice_token) as api:
                return clone(api).status_code

        with ThreadPoolExecutor(10) as threads:
            assert set(threads.map(send, range(10))) <= {201, 409, 503}  # 503: too many recordings to be read at once
        assert clone(alice_api).status_code == 201
        assert calls(provider, VOICES_ADD) == 2
        assert VoiceProfile.objects.count() == 1

    def test_a_refused_recording_makes_no_voice_and_frees_the_key(self, alice_api: Api) -> None:
        refused = alice_api.post("/clone-voice", data={"voice_name": "Jane"}, files={"audio_file": b"x"}, headers=KEY)
        assert refused.status_code == 422
        assert not IdempotencyKey.objects.exists()
        assert clone(alice_api).status_code == 201

    def test_a_repetition_after_the_voice_was_deleted_is_a_404(self, alice_api: Api) -> None:
        clone(alice_api)
        alice_api.delete(f"/api/v1/voices/{VoiceProfile.objects.get().pk}")
        assert clone(alice_api).status_code == 404
        assert not VoiceProfile.objects.exists()


class TestTurns:
    def test_a_stream_is_repeated_from_the_stored_turn(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation
    ) -> None:
        def ask() -> list[Any]:
            body: dict[str, Any] = {"json": {"text": "Hello?"}, "headers": EVENTS}
            with alice_api.post(turns_path(conversation), stream=True, **body) as response:
                assert response.status_code == 200
                return list(read_events(response))

        first, second = ask(), ask()
        assert [event.name for event in second] == ["heard", "said", "spoken", "done"]
        assert first[-1] == second[-1]
        assert second[1].data["delta"] == provider.behaviour.reply
        assert calls(provider, CHAT) == 1

    def test_a_repetition_while_the_turn_runs_is_a_409(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation
    ) -> None:
        provider.behaviour.first_token_seconds = 60
        body: dict[str, Any] = {"json": {"text": "Hello?"}, "headers": EVENTS}
        with alice_api.post(turns_path(conversation), stream=True, **body) as response:
            events = read_events(response)
            assert next(events).name == "heard"
            again = alice_api.ask(conversation, text="Hello?", headers=KEY)
            assert again.status_code == 409
            assert error_of(again)["code"] == "idempotency_key_in_use"
        alice_api.post(f"/api/v1/turns/{Turn.objects.get().pk}/stop")
        wait_until(Turn.objects.filter(status="interrupted").exists)
        assert alice_api.ask(conversation, text="Hello?", headers=KEY).json()["status"] == "interrupted"

    def test_a_repetition_of_a_failed_turn_costs_nothing(
        self, alice_api: Api, provider: FakeProvider, conversation: Conversation
    ) -> None:
        provider.fail_next(SPEECH, status=400, times=20)
        first, second = [alice_api.ask(conversation, headers=KEY).json() for _ in range(2)]
        assert first == second
        assert first["status"] == "failed"
        assert calls(provider, TRANSCRIPTIONS) == 1

    def test_a_retry_happens_once(self, alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
        provider.fail_next(CHAT, status=400)
        path = f"/api/v1/turns/{alice_api.ask(conversation, text='Hello?').json()['id']}/retry"
        first, second = [alice_api.post(path, headers=KEY) for _ in range(2)]
        assert (first.status_code, second.status_code) == (200, 200)
        assert first.json() == second.json()
        assert calls(provider, CHAT) == 2

    def test_a_full_interaction_is_answered_again(
        self, alice_api: Api, provider: FakeProvider, voice: VoiceProfile
    ) -> None:
        form: dict[str, Any] = {"data": {"voice_id": voice.voice_id}, "files": {"audio_file": QUESTION}}
        first = alice_api.post("/full-interaction", headers=KEY, **form)
        second = send_until_it_is_over(lambda: alice_api.post("/full-interaction", headers=KEY, **form))
        for name in ("Content-Type", "X-Transcript", "X-Response-Text", "X-Turn-Id", "X-Conversation-Id"):
            assert first.headers[name] == second.headers[name]
        # The stored answer is signed. A streamed answer cannot be.
        assert len(second.content) == pytest.approx(len(first.content), abs=6000)
        assert calls(provider, CHAT) == calls(provider, TRANSCRIPTIONS) == 1
        assert Conversation.objects.count() == 1

    def test_a_repetition_after_the_turn_was_deleted_is_a_404(self, alice_api: Api, conversation: Conversation) -> None:
        alice_api.ask(conversation, text="Hello?", headers=KEY)
        Turn.objects.all().delete()
        IdempotencyKey.objects.update(claimed_at=timezone.now() - timedelta(minutes=1))
        assert alice_api.ask(conversation, text="Hello?", headers=KEY).status_code == 404


class TestReuse:
    @pytest.mark.usefixtures("consent")
    def test_another_request_with_the_same_key_is_refused(
        self, alice_api: Api, provider: FakeProvider, voice: VoiceProfile
    ) -> None:
        speak(alice_api)
        wait_until(IdempotencyKey.objects.exclude(status=None).exists)
        for response in (speak(alice_api, "Good evening."), transcribe(alice_api), clone(alice_api)):
            assert response.status_code == 422
            assert error_of(response)["code"] == "idempotency_key_reused"
        assert calls(provider, SPEECH) == 1

    def test_another_file_is_another_request(self, alice_api: Api) -> None:
        transcribe(alice_api)
        files = {"audio": ("a.wav", SAMPLES[0])}
        response = alice_api.post("/api/v1/transcriptions", files=files, headers=KEY)
        assert error_of(response)["code"] == "idempotency_key_reused"

    def test_another_name_of_the_file_is_the_same_request(self, alice_api: Api) -> None:
        transcribe(alice_api)
        files = {"audio": ("b.mp3", QUESTION)}
        assert alice_api.post("/api/v1/transcriptions", files=files, headers=KEY).status_code == 200

    def test_users_do_not_share_keys(self, alice_api: Api, bob_api: Api, provider: FakeProvider) -> None:
        transcribe(alice_api)
        assert "Idempotent-Replayed" not in transcribe(bob_api).headers
        assert calls(provider, TRANSCRIPTIONS) == 2

    @pytest.mark.parametrize("key", ["", "a b", "x" * 256, "schön"])
    def test_an_invalid_key_is_refused(self, alice_api: Api, provider: FakeProvider, key: str) -> None:
        headers = {"Idempotency-Key": key.encode("latin-1")}
        response = alice_api.post("/api/v1/transcriptions", files={"audio": QUESTION}, headers=headers)
        assert response.status_code == 400
        assert error_of(response)["code"] == "idempotency_key_invalid"
        assert not provider.requests

    def test_openai_endpoints_answer_errors_in_openais_format(self, alice_api: Api, voice: VoiceProfile) -> None:
        speak(alice_api)
        response = alice_api.post("/v1/audio/speech", json={"input": "Hello.", "voice": "Jane"}, headers=KEY)
        assert response.status_code == 422
        assert response.json()["error"]["code"] == "idempotency_key_reused"
        assert response.json()["error"]["type"] == "invalid_request_error"


class TestFreed:
    def test_an_error_frees_the_key(self, alice_api: Api, provider: FakeProvider) -> None:
        provider.fail_next(TRANSCRIPTIONS, status=400)
        assert transcribe(alice_api).status_code == 422
        assert transcribe(alice_api).status_code == 200

    def test_a_request_that_is_refused_frees_the_key(self, alice_api: Api, voice: VoiceProfile) -> None:
        assert speak(alice_api, "").status_code == 400
        assert speak(alice_api).status_code == 200

    def test_after_a_day_a_key_is_forgotten(self, alice_api: Api, provider: FakeProvider) -> None:
        transcribe(alice_api)
        IdempotencyKey.objects.update(claimed_at=timezone.now() - timedelta(hours=24, seconds=1))
        assert "Idempotent-Replayed" not in transcribe(alice_api).headers
        assert calls(provider, TRANSCRIPTIONS) == 2
        assert IdempotencyKey.objects.count() == 1

    def test_the_key_of_a_killed_process_can_be_taken_over(self, alice_api: Api) -> None:
        transcribe(alice_api)
        IdempotencyKey.objects.update(status=None, body=None)
        assert error_of(transcribe(alice_api))["code"] == "idempotency_key_in_use"
        IdempotencyKey.objects.update(
            claimed_at=timezone.now() - idempotency.MAX_REQUEST_DURATION - timedelta(seconds=1)
        )
        assert transcribe(alice_api).status_code == 200

    def test_an_answer_that_is_too_large_is_not_kept_and_not_made_again(
        self, alice_api: Api, provider: FakeProvider, voice: VoiceProfile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(idempotency, "MAX_KEPT_BYTES", 100)
        speak(alice_api)
        wait_until(IdempotencyKey.objects.exclude(status=None).exists)
        assert error_of(speak(alice_api))["code"] == "idempotent_answer_not_kept"
        assert calls(provider, SPEECH) == 1

    def test_keys_are_deleted_with_their_owner(self, alice_api: Api, alice: User) -> None:
        transcribe(alice_api)
        alice.delete()
        assert not IdempotencyKey.objects.exists()
