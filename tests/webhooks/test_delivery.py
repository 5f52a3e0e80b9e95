"""Webhooks: messages, signatures and retries, and when a webhook is switched off."""

from __future__ import annotations

import json
import socket
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import requests
import responses
from django.core import mail
from django.utils import timezone
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from apps.webhooks import sender, tasks
from apps.webhooks import services as webhooks
from apps.webhooks.models import Webhook, WebhookDelivery
from tests.webhooks.conftest import EVENT, PUBLIC, Receiver, notify
from tests.worker import make_due, work

if TYPE_CHECKING:
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
        for number, delay in enumerate(tasks.DELIVERY_RETRY_DELAYS[:3], 1):
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
        assert (delivery.status, delivery.tries) == ("failed", 1 + len(tasks.DELIVERY_RETRY_DELAYS))
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
    def test_a_task_that_runs_twice_sends_once(self, webhook: Webhook) -> None:
        responses.post(PUBLIC, status=200)
        delivery = notify(webhook)
        tasks.deliver_webhook.enqueue(str(delivery.pk))
        work()
        assert len(responses.calls) == 1


class TestSwitchingOff:
    @responses.activate
    def test_after_days_of_failures_it_is_off_and_the_owner_gets_one_mail(self, webhook: Webhook) -> None:
        responses.post(PUBLIC, status=500)
        Webhook.objects.update(failing_since=timezone.now() - tasks.SWITCH_OFF_AFTER)
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
