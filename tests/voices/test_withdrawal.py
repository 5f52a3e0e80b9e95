from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from apps.conversations.models import Conversation, Turn
from apps.voices.deletion import finish_deletion
from apps.voices.models import Consent, VoiceProfile
from tests.client import Api, error_of, read_events, turns_path
from tests.factories import make_consent, make_voice
from tests.fakes.elevenlabs import VOICES, elevenlabs_error

if TYPE_CHECKING:
    from apps.accounts.models import User
    from tests.fakes.provider import FakeProvider


def withdraw(api: Api, consent: Consent) -> dict[str, object]:
    response = api.post(f"/api/v1/consents/{consent.pk}/withdraw")
    assert response.status_code == 200
    body: dict[str, object] = response.json()
    return body


def queued() -> list[DBTaskResult[..., Any]]:
    return list(DBTaskResult.objects.filter(task_path="apps.voices.deletion.finish_deletion").order_by("enqueued_at"))


def run(task: DBTaskResult[..., Any]) -> None:
    finish_deletion.call(*task.args_kwargs["args"], **task.args_kwargs["kwargs"])


def test_no_voice_can_speak_afterwards(
    alice_api: Api, alice: User, voice: VoiceProfile, conversation: Conversation, provider: FakeProvider
) -> None:
    other = make_voice(alice, provider.add_voice("Other"), name="Other", consent=make_consent(alice))
    shown = withdraw(alice_api, voice.consent)
    assert shown["is_valid"] is False
    assert shown["withdrawn_at"]
    for each in (voice, other):
        for response in (
            alice_api.full_interaction(each.voice_id),
            alice_api.post(f"/api/v1/voices/{each.pk}/preview", json={"text": "Hello."}),
            alice_api.post("/api/v1/speech", json={"text": "Hello.", "voice": each.name}),
        ):
            assert response.status_code == 409
            assert error_of(response)["code"] == "voice_not_ready"
    assert alice_api.post(turns_path(conversation), json={"text": "Hello?"}).status_code == 409
    assert error_of(alice_api.clone_voice())["code"] == "consent_required"
    assert not provider.requests


def test_a_turn_that_is_being_spoken_ends(
    alice_api: Api, voice: VoiceProfile, conversation: Conversation, provider: FakeProvider
) -> None:
    provider.behaviour.reply = "A very long sentence that goes on and on. " * 40
    provider.behaviour.audio_speed = 1
    names = []
    path, options = turns_path(conversation), {"headers": {"Accept": "text/event-stream"}, "stream": True}
    with alice_api.post(path, json={"text": "Tell me a story."}, **options) as response:
        for event in read_events(response):
            names.append(event.name)
            if names.count("spoken") == 1 and names[-1] == "spoken":
                withdraw(alice_api, voice.consent)
    assert names[-1] == "done"
    assert Turn.objects.get().status == Turn.Status.INTERRUPTED


def test_the_voices_are_deleted_here_and_at_their_provider(
    alice_api: Api, voice: VoiceProfile, provider: FakeProvider
) -> None:
    withdraw(alice_api, voice.consent)
    (task,) = queued()
    assert voice.voice_id in provider.voices
    run(task)
    assert not provider.voices
    assert not VoiceProfile.objects.exists()
    assert Consent.objects.get().withdrawn_at


def test_deletion_is_retried_until_it_succeeds(alice_api: Api, voice: VoiceProfile, provider: FakeProvider) -> None:
    withdraw(alice_api, voice.consent)
    provider.fail_next(VOICES, status=401, body=elevenlabs_error("invalid_api_key"), times=7)
    for number in range(7):
        before = timezone.now()
        run(queued()[-1])
        assert len(queued()) == number + 2
        wait = queued()[-1].run_after - before
        assert timedelta(seconds=4) < wait < timedelta(hours=7)
        assert VoiceProfile.objects.get().status == "deleting"
    provider.voices.clear()  # A voice that is missing at the provider counts as deleted.
    run(queued()[-1])
    assert not VoiceProfile.objects.exists()
    run(queued()[-1])


def test_withdrawing_again_does_not_affect_a_new_consent(alice_api: Api, alice: User, voice: VoiceProfile) -> None:
    withdraw(alice_api, voice.consent)
    new = make_consent(alice)
    withdraw(alice_api, voice.consent)
    new.refresh_from_db()
    assert new.is_valid


def test_only_the_owner_can_withdraw(bob_api: Api, bob: User, voice: VoiceProfile) -> None:
    mine = make_voice(bob, "bobs")
    assert bob_api.post(f"/api/v1/consents/{voice.consent.pk}/withdraw").status_code == 404
    withdraw(bob_api, mine.consent)
    voice.refresh_from_db()
    assert voice.can_speak
