"""The events that webhooks get."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from apps.conversations.models import Conversation, Turn
from apps.voices.models import VoiceProfile
from apps.webhooks import services as webhooks
from apps.webhooks.models import Webhook, WebhookDelivery
from tests.fakes.elevenlabs import VOICES_ADD
from tests.fakes.openai import CHAT
from tests.fakes.provider import FakeProvider
from tests.webhooks.conftest import EVENT, PUBLIC

if TYPE_CHECKING:
    from apps.accounts.models import User
    from tests.client import Api

pytestmark = pytest.mark.usefixtures("real_transactions")


class TestEvents:
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(delivery.body) for delivery in WebhookDelivery.objects.order_by("created_at")]

    def test_the_end_of_a_turn_is_sent_without_its_words(
        self, alice_api: Api, webhook: Webhook, conversation: Conversation, provider: FakeProvider
    ) -> None:
        alice_api.ask(conversation)
        turn = Turn.objects.get()
        (body,) = self.bodies()
        assert body["type"] == "turn.done"
        assert body["data"] == {"turn_id": str(turn.pk), "conversation_id": str(conversation.pk), "status": "spoken"}

    def test_streamed_and_failed_turns_send_their_end(
        self, alice_api: Api, webhook: Webhook, conversation: Conversation, provider: FakeProvider
    ) -> None:
        alice_api.events_of_turn(conversation)
        provider.fail_next(CHAT, status=400)
        alice_api.ask(conversation)
        assert [body["data"]["status"] for body in self.bodies()] == ["spoken", "failed"]

    @pytest.mark.usefixtures("consent")
    def test_voices_send_whether_they_are_ready(self, alice_api: Api, webhook: Webhook, provider: FakeProvider) -> None:
        provider.fail_next(VOICES_ADD, status=400)
        alice_api.clone_voice()
        alice_api.clone_voice()
        assert [body["type"] for body in self.bodies()] == ["voice.failed", "voice.ready"]
        ready = VoiceProfile.objects.get(status="ready")
        assert self.bodies()[1]["data"] == {"id": str(ready.pk), "voice_id": ready.voice_id, "status": "ready"}

    def test_a_webhook_gets_only_its_events(self, alice: User) -> None:
        webhooks.create_webhook(owner=alice, url=PUBLIC, events=["voice.ready"])
        webhooks.notify(owner_id=alice.pk, event=EVENT, data={})
        assert not WebhookDelivery.objects.exists()

    def test_other_users_webhooks_get_nothing(self, webhook: Webhook, bob: User) -> None:
        webhooks.notify(owner_id=bob.pk, event=EVENT, data={})
        assert not WebhookDelivery.objects.exists()

    def test_without_a_webhook_it_takes_one_query(self, alice: User, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(1):
            webhooks.notify(owner_id=alice.pk, event=EVENT, data={})
