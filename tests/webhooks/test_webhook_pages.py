"""The pages about webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import responses
from django.urls import reverse

from apps.webhooks.models import Webhook, WebhookDelivery
from tests.webhooks.conftest import PUBLIC, notify
from tests.worker import work

if TYPE_CHECKING:
    from django.test import Client

    from apps.accounts.models import User

pytestmark = pytest.mark.usefixtures("real_transactions")


class TestPages:
    @pytest.fixture
    def signed_in(self, client: Client, alice: User) -> Client:
        client.force_login(alice)
        return client

    def test_one_is_created_and_its_secret_shown_once(self, signed_in: Client) -> None:
        path = reverse("webhooks:webhooks")
        page = signed_in.post(path, {"url": PUBLIC, "events": ["turn.done"]})
        assert Webhook.objects.get().secret in page.content.decode()
        assert "no-store" in page["Cache-Control"]
        again = signed_in.get(path).content.decode()
        assert PUBLIC in again
        assert "whsec_" not in again

    @pytest.mark.parametrize("form", [{"url": "x"}, {"url": "https://10.0.0.1/"}, {"url": PUBLIC, "events": ["x"]}])
    def test_an_invalid_form_is_refused(self, signed_in: Client, form: dict[str, Any]) -> None:
        page = signed_in.post(reverse("webhooks:webhooks"), {"events": ["turn.done"], **form})
        assert page.status_code == 422
        assert not Webhook.objects.exists()

    @responses.activate
    def test_deliveries_are_shown_and_can_be_sent_again(self, signed_in: Client, webhook: Webhook) -> None:
        responses.post(PUBLIC, status=200, body="<script>alert(1)</script>")
        delivery = notify(webhook)
        work()
        path = reverse("webhooks:webhook", args=[webhook.pk])
        html = signed_in.get(path).content.decode()
        assert "turn.done" in html
        assert "<script>alert" not in html
        signed_in.post(reverse("webhooks:redeliver", args=[webhook.pk, delivery.pk]))
        assert WebhookDelivery.objects.get().status == "pending"

    @responses.activate
    def test_it_says_that_messages_wait_for_a_server_that_failed(self, signed_in: Client, webhook: Webhook) -> None:
        path = reverse("webhooks:webhook", args=[webhook.pk])
        assert "messages wait until" not in signed_in.get(path).content.decode()
        responses.post(PUBLIC, status=500)
        notify(webhook)
        work()
        assert "messages wait until" in signed_in.get(path).content.decode()

    def test_it_is_changed_switched_and_deleted(self, signed_in: Client, webhook: Webhook) -> None:
        signed_in.post(reverse("webhooks:webhook", args=[webhook.pk]), {"url": PUBLIC + "2", "events": ["voice.ready"]})
        signed_in.post(reverse("webhooks:switch", args=[webhook.pk]))
        webhook.refresh_from_db()
        assert (webhook.url, webhook.events, webhook.is_active) == (PUBLIC + "2", ["voice.ready"], False)
        path = reverse("webhooks:delete", args=[webhook.pk])
        assert signed_in.get(path).status_code == 200
        signed_in.post(path)
        assert not Webhook.objects.exists()

    def test_its_secret_is_changed_and_shown_once(self, signed_in: Client, webhook: Webhook) -> None:
        path = reverse("webhooks:secret", args=[webhook.pk])
        before = webhook.secret
        assert "whsec_" not in signed_in.get(path).content.decode()
        page = signed_in.post(path)
        webhook.refresh_from_db()
        assert webhook.secret != before
        assert webhook.secret in page.content.decode()
        assert "no-store" in page["Cache-Control"]
        assert "whsec_" not in signed_in.get(path).content.decode()

    def test_webhooks_of_other_users_are_not_found(self, client: Client, bob: User, webhook: Webhook) -> None:
        delivery = notify(webhook)
        client.force_login(bob)
        for name in ("webhook", "delete", "switch"):
            assert client.post(reverse(f"webhooks:{name}", args=[webhook.pk])).status_code == 404
        assert client.post(reverse("webhooks:redeliver", args=[webhook.pk, delivery.pk])).status_code == 404
        assert Webhook.objects.get().is_active
