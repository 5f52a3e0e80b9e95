from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apps.conversations.models import Conversation, Turn
from apps.voices.models import VoiceProfile
from tests.client import Api, error_of, names_in_order
from tests.factories import make_turn, make_voice
from tests.fakes.elevenlabs import CHARACTERS_PER_SECOND, SPEECH, elevenlabs_error
from tests.fakes.openai import CHAT, TRANSCRIPTIONS, openai_error

if TYPE_CHECKING:
    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.fakes.provider import FakeProvider


def failed_turn(api: Api, provider: FakeProvider, conversation: Conversation, path: str) -> str:
    """Ask while `path` fails, forget the requests, and return the address of the turn's retry."""
    error = elevenlabs_error if path == SPEECH else openai_error
    provider.fail_next(path, status=401, body=error("invalid_api_key"))
    turn = api.ask(conversation).json()
    assert turn["status"] == "failed"
    provider.requests.clear()
    return f"/api/v1/turns/{turn['id']}/retry"


@pytest.mark.parametrize("path", [TRANSCRIPTIONS, CHAT, SPEECH])
def test_it_resumes_at_the_failed_stage_and_repeats_no_paid_call(
    alice_api: Api, provider: FakeProvider, conversation: Conversation, path: str
) -> None:
    retry = failed_turn(alice_api, provider, conversation, path)
    response = alice_api.post(retry)
    assert response.status_code == 200
    turn = response.json()
    assert (turn["status"], turn["error"]) == ("spoken", None)
    assert (turn["transcript"], turn["reply"]) == (provider.behaviour.transcript, provider.behaviour.reply)
    counts = [len(provider.requests_to(stage)) for stage in (TRANSCRIPTIONS, CHAT)]
    assert counts == {TRANSCRIPTIONS: [1, 1], CHAT: [0, 1], SPEECH: [0, 0]}[path]
    # Two segments are synthesized at once. If the second one failed, the first is kept and not paid for again.
    assert provider.requests_to(SPEECH)
    assert all(request.json["text"] in provider.behaviour.reply for request in provider.requests_to(SPEECH))
    assert turn["answer_seconds"] == pytest.approx(len(provider.behaviour.reply) / CHARACTERS_PER_SECOND, abs=0.2)
    assert Turn.objects.count() == 1


def test_it_streams_the_stored_results_before_the_new_ones(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    events = alice_api.events_of(failed_turn(alice_api, provider, conversation, SPEECH))
    assert names_in_order(events) == ["heard", "said", "spoken", "done"]
    assert events[0].data["text"] == provider.behaviour.transcript
    assert "".join(event.data["delta"] for event in events if event.name == "said") == provider.behaviour.reply
    assert not provider.requests_to(CHAT)


def test_an_incomplete_reply_is_generated_again(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.leave_out_end(CHAT)
    turn = alice_api.ask(conversation, text="Hello?").json()
    provider.behaviour.reply = "Another reply."
    assert alice_api.post(f"/api/v1/turns/{turn['id']}/retry").json()["reply"] == "Another reply."


def test_a_retry_clears_the_times_of_the_earlier_attempt(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    provider.leave_out_end(CHAT)
    turn = alice_api.ask(conversation, text="Hello?").json()
    assert turn["timings"]["first_word_ms"] is not None
    provider.fail_next(CHAT, status=401, body=openai_error("invalid_api_key"))
    assert alice_api.post(f"/api/v1/turns/{turn['id']}/retry").json()["timings"]["first_word_ms"] is None


def test_it_can_fail_again_at_a_later_stage(alice_api: Api, provider: FakeProvider, conversation: Conversation) -> None:
    retry = failed_turn(alice_api, provider, conversation, CHAT)
    provider.fail_next(SPEECH, status=401, body=elevenlabs_error("quota_exceeded"))
    error = alice_api.post(retry).json()["error"]
    assert (error["stage"], error["code"]) == ("speak", "provider_quota_exhausted")
    assert alice_api.post(retry).json()["status"] == "spoken"
    assert len(provider.requests_to(CHAT)) == 1


def test_a_retry_completes_an_answer_that_broke_off_in_a_sentence(
    alice_api: Api, provider: FakeProvider, conversation: Conversation
) -> None:
    whole = alice_api.ask(conversation, text="Hello?").json()["answer_seconds"]
    provider.cut_after(SPEECH, 20_000)
    turn = alice_api.ask(conversation, text="Hello?").json()
    assert turn["status"] == "failed"
    again = alice_api.post(f"/api/v1/turns/{turn['id']}/retry").json()
    assert again["answer_seconds"] == pytest.approx(whole)


def test_it_speaks_only_the_segments_that_were_not_spoken_before_the_failure(
    alice_api: Api, provider: FakeProvider, conversation: Conversation, settings: Settings
) -> None:
    settings.SPEECH_IN_FLIGHT = 1
    whole = alice_api.ask(conversation, text="Hello?").json()["answer_seconds"]
    provider.delay(SPEECH, 0)  # The first segment is spoken,
    provider.fail_next(SPEECH, status=401, body=elevenlabs_error("quota_exceeded"))  # the second fails.
    turn = alice_api.ask(conversation, text="Hello?").json()
    assert turn["status"] == "failed"
    spoken_text = Turn.objects.get(pk=turn["id"]).spoken_text
    provider.requests.clear()
    events = alice_api.events_of(f"/api/v1/turns/{turn['id']}/retry")
    spoken = {event.data["index"]: event.data["text"] for event in events if event.name == "spoken"}
    assert spoken == {0: spoken_text, 1: provider.requests_to(SPEECH)[0].json["text"]}
    assert len(provider.requests_to(SPEECH)) == 1
    assert " ".join(spoken.values()) == provider.behaviour.reply
    assert Turn.objects.get(pk=turn["id"]).answer_seconds == pytest.approx(whole, abs=0.01)


@pytest.mark.parametrize("status", ["received", "heard", "answered", "spoken"])
def test_only_a_failed_turn_can_be_tried_again(
    alice_api: Api, provider: FakeProvider, conversation: Conversation, status: str
) -> None:
    turn = make_turn(conversation, status=status)
    response = alice_api.post(f"/api/v1/turns/{turn.pk}/retry", headers={"Accept": "text/event-stream"})
    assert response.status_code == 409
    assert error_of(response)["code"] == "turn_not_failed"
    turn.refresh_from_db()
    assert turn.status == status
    assert not provider.requests


def test_it_speaks_with_the_current_voice_of_the_conversation(
    alice_api: Api, alice: User, provider: FakeProvider, conversation: Conversation, voice: VoiceProfile
) -> None:
    retry = failed_turn(alice_api, provider, conversation, SPEECH)
    alice_api.delete(f"/api/v1/voices/{voice.pk}")
    refused = alice_api.post(retry)
    assert refused.status_code == 409
    assert error_of(refused)["code"] == "voice_not_found"

    other = make_voice(alice, provider.add_voice("Other"))
    alice_api.patch(f"/api/v1/conversations/{conversation.pk}", json={"voice": str(other.pk)})
    assert alice_api.post(retry).json()["status"] == "spoken"
    assert all(other.voice_id in request.path for request in provider.requests_to(SPEECH))
