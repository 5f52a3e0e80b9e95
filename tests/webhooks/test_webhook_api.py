"""Webhooks in the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import responses
from django.urls import reverse

from apps.accounts.services import create_api_token
from apps.core.rate_limits import Limit
from apps.webhooks import services as webhooks
from apps.webhooks.models import Webhook
from tests.client import bearer, error_of
from tests.webhooks.conftest import PUBLIC, notify
from tests.worker import work

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User

pytestmark = pytest.mark.usefixtures("real_transactions")


class TestApi:
    @pytest.fixture
    def api(self, client: Client, alice_token: str) -> Client:
        client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {alice_token}"
        return client

    def test_only_the_answer_to_the_creation_holds_the_secret(self, api: Client) -> None:
        created = api.post(reverse("api:webhooks"), {"url": PUBLIC}, content_type="application/json")
        assert created.status_code == 201
        assert "no-store" in created["Cache-Control"]
        body = created.json()
        assert body["secret"] == Webhook.objects.get().secret
        assert body["events"] == ["voice.ready", "voice.failed", "turn.done"]
        for path in (reverse("api:webhooks"), reverse("api:webhook", args=[body["id"]])):
            assert "whsec_" not in api.get(path).content.decode()

    def test_it_is_changed_and_deleted(self, api: Client, webhook: Webhook) -> None:
        path = reverse("api:webhook", args=[webhook.pk])
        changes = {"url": PUBLIC + "2", "events": ["turn.done"], "is_active": False}
        changed = api.patch(path, changes, content_type="application/json").json()
        assert {name: changed[name] for name in changes} == changes
        assert api.patch(path, {"events": ["x"]}, content_type="application/json").status_code == 400
        assert api.delete(path).status_code == 204
        assert api.get(path).status_code == 404

    def test_changing_its_secret_needs_the_scope(self, api: Client, alice: User, webhook: Webhook) -> None:
        path = reverse("api:webhook-secret", args=[webhook.pk])
        before = webhook.secret
        changed = api.post(path)
        webhook.refresh_from_db()
        assert changed.json()["secret"] == webhook.secret != before
        assert "no-store" in changed["Cache-Control"]
        talks = create_api_token(owner=alice, name="talks", scopes=["read", "talk", "voices"])
        assert error_of(api.post(path, headers=bearer(talks)))["code"] == "insufficient_scope"

    @responses.activate
    def test_a_message_is_sent_again_with_the_same_id(self, api: Client, webhook: Webhook) -> None:
        responses.post(PUBLIC, status=200)
        delivery = notify(webhook)
        path = reverse("api:webhook-redeliver", args=[webhook.pk, delivery.pk])
        assert error_of(api.post(path))["code"] == "delivery_pending"
        work()
        assert api.post(path).status_code == 202
        work()
        first, second = [call.request.headers["webhook-id"] for call in responses.calls]
        assert first == second
        (row,) = api.get(reverse("api:webhook-deliveries", args=[webhook.pk])).json()["results"]
        assert (row["status"], row["event"], row["response_status"]) == ("delivered", "turn.done", 200)
        webhooks.change_webhook(webhook=webhook, is_active=False)
        assert error_of(api.post(path))["code"] == "webhook_off"

    @responses.activate
    def test_sending_again_is_limited(
        self, api: Client, webhook: Webhook, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.LIMITS = True
        monkeypatch.setattr(webhooks, "REDELIVERIES", Limit(f"redeliver {webhook.pk}", 2, 3600))
        responses.post(PUBLIC, status=200)
        delivery = notify(webhook)
        path = reverse("api:webhook-redeliver", args=[webhook.pk, delivery.pk])
        for _number in range(2):
            work()
            assert api.post(path).status_code == 202
        work()
        refused = api.post(path)
        assert (refused.status_code, error_of(refused)["code"]) == (429, "too_many_redeliveries")
        assert 0 < int(refused["Retry-After"]) <= 3600
        settings.LIMITS = False
        assert api.post(path).status_code == 202

    def test_there_is_a_maximum_number(self, api: Client, alice: User) -> None:
        for _number in range(webhooks.MAX_WEBHOOKS):
            webhooks.create_webhook(owner=alice, url=PUBLIC)
        refused = api.post(reverse("api:webhooks"), {"url": PUBLIC}, content_type="application/json")
        assert (refused.status_code, error_of(refused)["code"]) == (409, "too_many_webhooks")
