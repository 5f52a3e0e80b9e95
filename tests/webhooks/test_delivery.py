"""Webhooks: messages, signatures and retries, and when a webhook is switched off."""

from __future__ import annotations

import json
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import requests
import responses
from django.core import mail
from django.db import connection
from django.utils import timezone
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from apps.webhooks import deliveries, sender
from apps.webhooks import services as webhooks
from apps.webhooks.models import Webhook, WebhookDelivery, WebhookEvent
from tests.fakes.receivers import SlowReceiver, slow_receiver
from tests.webhooks.conftest import EVENT, PUBLIC, Receiver, notify
from tests.worker import make_due, work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from apps.accounts.models import User

pytestmark = pytest.mark.usefixtures("real_transactions")


class TestMessage:
    def test_it_is_signed_as_the_standard_says(self, alice: User, receiver: Receiver) -> None:
        webhook = webhooks.create_webhook(owner=alice, url=receiver.url)
        delivery = notify(webhook)
        work()
        ((headers, body),) = receiver.received
        message = Verifier(webhook.secret).verify(body.decode(), {k.lower(): v for k, v in headers.items()})
        assert message.keys() == {"type", "timestamp", "data"}
        assert (message["type"], message["data"]) == ("turn.done", {"turn_id": "1", "status": "spoken"})
        assert headers["Webhook-Id" if "Webhook-Id" in headers else "webhook-id"] == f"msg_{delivery.pk.hex}"
        delivery.refresh_from_db()
        assert (delivery.status, delivery.tries, delivery.response_status) == ("delivered", 1, 204)
        assert delivery.next_try_at is None

    def test_for_a_day_after_a_change_both_secrets_verify_it(self, alice: User, receiver: Receiver) -> None:
        webhook = webhooks.create_webhook(owner=alice, url=receiver.url)
        before = webhook.secret
        webhooks.change_secret(webhook=webhook)
        assert webhook.secret != before
        notify(webhook)
        work()
        ((headers, body),) = receiver.received
        headers = {name.lower(): value for name, value in headers.items()}
        for secret in (before, webhook.secret):
            assert Verifier(secret).verify(body.decode(), headers)["type"] == "turn.done"
        Webhook.objects.update(previous_ends_at=timezone.now())
        webhook.refresh_from_db()
        headers = sender.signature_headers(message_id="msg_1", body="{}", keys=webhook.signing_keys)
        Verifier(webhook.secret).verify("{}", headers)
        with pytest.raises(WebhookVerificationError):
            Verifier(before).verify("{}", headers)

    def test_another_secret_does_not_verify_it(self, alice: User, receiver: Receiver) -> None:
        mine, other = [webhooks.create_webhook(owner=alice, url=receiver.url) for _number in range(2)]
        assert mine.secret != other.secret
        headers = sender.signature_headers(message_id="msg_1", body="{}", keys=mine.signing_keys)
        Verifier(mine.secret).verify("{}", headers)
        with pytest.raises(WebhookVerificationError):
            Verifier(other.secret).verify("{}", headers)

    def test_the_database_holds_no_secret(self, webhook: Webhook, settings: Settings) -> None:
        stored = json.dumps(list(Webhook.objects.values()), default=str)
        assert webhook.secret.removeprefix("whsec_") not in stored
        before = webhook.secret
        settings.SECRET_KEY = "another"
        assert webhook.secret != before

    def test_during_a_change_of_the_secret_key_both_secrets_verify_it(
        self, webhook: Webhook, settings: Settings
    ) -> None:
        before = webhook.secret
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another"
        headers = sender.signature_headers(message_id="msg_1", body="{}", keys=webhook.signing_keys)
        for secret in (before, webhook.secret):
            Verifier(secret).verify("{}", headers)
        settings.SECRET_KEY_FALLBACKS = []
        headers = sender.signature_headers(message_id="msg_1", body="{}", keys=webhook.signing_keys)
        with pytest.raises(WebhookVerificationError):
            Verifier(before).verify("{}", headers)

    def test_one_kilobyte_of_the_answer_is_kept(self, alice: User, receiver: Receiver) -> None:
        receiver.status, receiver.body = 200, b"\x00\xff" + b"x" * 5000
        delivery = notify(webhooks.create_webhook(owner=alice, url=receiver.url))
        work()
        delivery.refresh_from_db()
        assert 1000 < len(delivery.response_body.encode()) <= 1100
        assert delivery.response_body.endswith("xx")

    def test_a_redirect_is_not_followed(self, alice: User, receiver: Receiver) -> None:
        receiver.status, receiver.headers = 307, {"Location": receiver.url}
        delivery = notify(webhooks.create_webhook(owner=alice, url=receiver.url))
        work()
        delivery.refresh_from_db()
        assert len(receiver.received) == 1
        assert (delivery.status, delivery.error_code, delivery.response_status) == ("pending", "refused", 307)


class TestTries:
    @responses.activate
    def test_they_repeat_with_growing_delays_until_one_succeeds(self, webhook: Webhook) -> None:
        responses.post(PUBLIC, status=500)
        delivery = notify(webhook)
        for number, delay in enumerate(deliveries.DELIVERY_RETRY_DELAYS[:3], 1):
            make_due()
            work()
            delivery.refresh_from_db()
            assert (delivery.status, delivery.tries) == ("pending", number)
            assert delivery.next_try_at
            assert delivery.last_try_at
            assert delivery.next_try_at - delivery.last_try_at == pytest.approx(delay, abs=timedelta(seconds=1))
        webhook.refresh_from_db()
        assert webhook.failing_since
        responses.replace("POST", PUBLIC, status=200)
        make_due()
        work()
        delivery.refresh_from_db()
        assert (delivery.status, delivery.tries) == ("delivered", 4)
        assert Webhook.objects.get().failing_since is None
        ids = {call.request.headers["webhook-id"] for call in responses.calls}
        assert ids == {f"msg_{delivery.pk.hex}"}

    @responses.activate
    def test_they_end_after_the_last_delay(self, webhook: Webhook) -> None:
        responses.post(PUBLIC, status=500)
        delivery = notify(webhook)
        for _number in range(8):
            make_due()
            work()
        delivery.refresh_from_db()
        assert (delivery.status, delivery.tries) == ("failed", 1 + len(deliveries.DELIVERY_RETRY_DELAYS))
        assert len(responses.calls) == delivery.tries

    @responses.activate
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (requests.ConnectionError(), "not_reached"),
            (requests.ConnectTimeout(), "not_reached"),
            (requests.ReadTimeout(), "timeout"),
            (requests.exceptions.SSLError(), "certificate_invalid"),
        ],
    )
    def test_the_delivery_says_why_it_failed(self, webhook: Webhook, error: Exception, code: str) -> None:
        responses.post(PUBLIC, body=error)
        delivery = notify(webhook)
        work()
        delivery.refresh_from_db()
        assert (delivery.error_code, delivery.response_status) == (code, None)

    def test_a_slow_server_is_abandoned(self, alice: User, settings: Settings) -> None:
        settings.WEBHOOK_ALLOW_PRIVATE = True
        settings.WEBHOOK_SECONDS = 0.3
        with socket.create_server(("127.0.0.1", 0)) as silent:
            answer = sender.send(
                url=f"http://127.0.0.1:{silent.getsockname()[1]}/", message_id="msg_1", body="{}", keys=[b"x"]
            )
        assert answer.error_code == "timeout"

    @responses.activate
    def test_a_message_that_another_worker_sends_is_left_to_it_for_a_while(self, webhook: Webhook) -> None:
        responses.post(PUBLIC, status=200)
        notify(webhook)
        WebhookDelivery.objects.update(lease_until=timezone.now() + deliveries.LEASE_MARGIN)  # Its worker is killed.
        work()
        assert not responses.calls
        WebhookDelivery.objects.update(lease_until=timezone.now())
        work()
        work()
        assert len(responses.calls) == 1


class TestSlowReceivers:
    """One message shows that a receiver is slow: the others wait, and need no worker."""

    @pytest.fixture
    def slow(self, settings: Settings) -> Iterator[SlowReceiver]:
        settings.WEBHOOK_ALLOW_PRIVATE = True
        settings.WEBHOOK_SECONDS = 0.3
        with slow_receiver() as receiver:
            yield receiver

    @staticmethod
    def states() -> Counter[str]:
        return Counter(WebhookDelivery.objects.values_list("status", flat=True))

    def test_all_messages_to_its_server_wait_and_go_when_it_is_quick_again(
        self, alice: User, slow: SlowReceiver
    ) -> None:
        for path in ("/a", "/b"):
            webhooks.create_webhook(owner=alice, url=slow.url + path)
        for _turn in range(3):
            webhooks.notify(owner_id=alice.pk, event=EVENT, data={})
        work()
        assert (slow.count, self.states()) == (1, {"pending": 6})
        assert {webhook.failures for webhook in Webhook.objects.all()} == {1}
        make_due()
        work()
        assert slow.count == 2
        paused_until = {webhook.paused_until for webhook in Webhook.objects.all()}
        assert paused_until.pop() == pytest.approx(timezone.now() + deliveries.PAUSES[1], abs=timedelta(seconds=5))
        assert not paused_until
        slow.cured.set()
        make_due()
        work()
        assert (slow.count, self.states()) == (8, {"delivered": 6})
        assert {(webhook.failures, webhook.paused_until) for webhook in Webhook.objects.all()} == {(0, None)}

    def test_a_receiver_that_accepts_slowly_rests(
        self, alice: User, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(deliveries, "SLOW_SECONDS", 0)
        webhook = webhooks.create_webhook(owner=alice, url=receiver.url)
        for _turn in range(2):
            webhooks.notify(owner_id=alice.pk, event=EVENT, data={})
        monkeypatch.setattr(deliveries, "SLOW_REST", 10**6)
        work()
        assert self.states() == {"delivered": 1, "pending": 1}
        webhook.refresh_from_db()
        assert webhook.failing_since is None
        assert webhook.paused_until
        assert webhook.paused_until > timezone.now()

    def test_other_people_with_the_same_server_do_not_wait(self, alice: User, bob: User, slow: SlowReceiver) -> None:
        for owner in (alice, bob):
            webhooks.create_webhook(owner=owner, url=slow.url)
            webhooks.notify(owner_id=owner.pk, event=EVENT, data={})
        work()
        assert slow.count == 2

    def test_a_quick_refusal_stops_no_other_webhook(self, alice: User, receiver: Receiver) -> None:
        receiver.status = 500
        refused, other = [webhooks.create_webhook(owner=alice, url=receiver.url) for _number in range(2)]
        webhooks.change_webhook(webhook=other, events=[WebhookEvent.VOICE_READY])
        notify(refused)
        work()
        for webhook in (refused, other):
            webhook.refresh_from_db()
        assert (refused.failures, other.failures) == (1, 0)
        webhooks.change_webhook(webhook=refused, url=receiver.url + "/new")
        assert (refused.failures, refused.paused_until) == (0, None)

    def test_a_person_has_one_message_on_its_way_and_another_person_another(
        self, alice: User, bob: User, receiver: Receiver
    ) -> None:
        for owner in (alice, bob):
            webhooks.create_webhook(owner=owner, url=receiver.url)
            for _turn in range(2):
                webhooks.notify(owner_id=owner.pk, event=EVENT, data={})
        first = deliveries.waiting().filter(owner=alice)[0]
        WebhookDelivery.objects.filter(pk=first.pk).update(lease_until=timezone.now() + deliveries.LEASE_MARGIN)
        assert {delivery.owner_id for delivery in deliveries.waiting()} == {bob.pk}
        work()
        assert {delivery.owner_id for delivery in WebhookDelivery.objects.filter(status="delivered")} == {bob.pk}

    def test_workers_claim_one_message_of_a_person_together(self, alice: User, slow: SlowReceiver) -> None:
        for path in ("/a", "/b", "/c"):
            webhooks.create_webhook(owner=alice, url=slow.url + path)
        webhooks.notify(owner_id=alice.pk, event=EVENT, data={})

        def deliver(_number: int) -> bool:
            try:
                return deliveries.deliver_next()
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(deliver, range(4))) == [False, False, False, True]
        assert slow.count == 1

    def test_one_sender_is_kept_for_receivers_that_are_well(self, alice: User, receiver: Receiver) -> None:
        webhook = webhooks.create_webhook(owner=alice, url=receiver.url)
        notify(webhook)
        Webhook.objects.update(failures=1)
        assert not deliveries.deliver_next(only_healthy=True)
        assert deliveries.deliver_next()


class TestSwitchingOff:
    @responses.activate
    def test_after_days_of_failures_it_is_off_and_the_owner_gets_one_mail(self, webhook: Webhook) -> None:
        responses.post(PUBLIC, status=500)
        Webhook.objects.update(failing_since=timezone.now() - deliveries.SWITCH_OFF_AFTER)
        delivery = notify(webhook)
        work()
        make_due()
        work()
        webhook.refresh_from_db()
        delivery.refresh_from_db()
        assert not webhook.is_active
        assert (delivery.status, delivery.error_code) == ("failed", "webhook_off")
        assert len(responses.calls) == 1
        (message,) = mail.outbox
        assert message.to == ["alice@example.org"]
        assert PUBLIC in message.body

    @responses.activate
    def test_a_410_switches_it_off_at_once(self, webhook: Webhook) -> None:
        responses.post(PUBLIC, status=410)
        delivery = notify(webhook)
        work()
        webhook.refresh_from_db()
        delivery.refresh_from_db()
        assert (webhook.is_active, delivery.status) == (False, "failed")

    def test_a_webhook_that_is_off_gets_no_messages(self, webhook: Webhook) -> None:
        webhooks.change_webhook(webhook=webhook, is_active=False)
        webhooks.notify(owner_id=webhook.owner_id, event=EVENT, data={})
        assert not WebhookDelivery.objects.exists()

    def test_switching_it_on_resets_the_time_of_failure(self, webhook: Webhook) -> None:
        Webhook.objects.update(failing_since=timezone.now(), is_active=False)
        webhook.refresh_from_db()
        webhooks.change_webhook(webhook=webhook, is_active=True)
        assert Webhook.objects.get().failing_since is None
