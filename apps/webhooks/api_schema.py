"""The OpenAPI description of the webhooks."""

from __future__ import annotations

from rest_framework import serializers

from apps.core.api_examples import (
    A_DELIVERY,
    A_TIME,
    A_WEBHOOK,
)
from apps.core.api_schema import (
    ACCOUNT,
    DELETED,
    Operation,
    Operations,
    answers_json,
    answers_list,
    sends_json,
)
from apps.webhooks import api

WEBHOOK = {
    "id": A_WEBHOOK,
    "url": "https://example.org/voiceclone",
    "events": ["turn.done"],
    "is_active": True,
    "failing_since": None,
    "paused_until": None,
    "previous_ends_at": None,
    "created_at": A_TIME,
}
DELIVERY = {
    "id": A_DELIVERY,
    "event": "turn.done",
    "body": "{}",
    "status": "delivered",
    "tries": 1,
    "next_try_at": None,
    "last_try_at": A_TIME,
    "response_status": 200,
    "response_body": "",
    "error_code": "",
    "created_at": A_TIME,
}


class NewWebhook(api.WebhookSerializer):
    """A webhook with its signing secret, which is shown only once."""

    secret = serializers.CharField()

    class Meta(api.WebhookSerializer.Meta):
        fields = [*api.WebhookSerializer.Meta.fields, "secret"]


OPERATIONS: Operations = {
    api.WebhookList: {
        "GET": Operation(ACCOUNT, "List your webhooks", **answers_list(api.WebhookSerializer, WEBHOOK)),
        "POST": Operation(
            ACCOUNT,
            "Create a webhook",
            **answers_json(NewWebhook, {**WEBHOOK, "secret": "whsec_…"}),
            **sends_json({"url": WEBHOOK["url"], "events": WEBHOOK["events"]}),
            status=201,
        ),
    },
    api.WebhookDetail: {
        "GET": Operation(ACCOUNT, "Read a webhook", **answers_json(api.WebhookSerializer, WEBHOOK)),
        "PATCH": Operation(
            ACCOUNT,
            "Change a webhook",
            **answers_json(api.WebhookSerializer, WEBHOOK),
            **sends_json({"is_active": True}),
        ),
        "DELETE": Operation(ACCOUNT, "Delete a webhook", **DELETED),
    },
    api.WebhookSecret: {
        "POST": Operation(
            ACCOUNT,
            "Give a webhook a new secret",
            **answers_json(NewWebhook, {**WEBHOOK, "previous_ends_at": "2026-03-03T08:15:30Z", "secret": "whsec_…"}),
            description="For a day, messages are signed with the old secret too.",
        ),
    },
    api.DeliveryList: {
        "GET": Operation(ACCOUNT, "List the messages to a webhook", **answers_list(api.DeliverySerializer, DELIVERY)),
    },
    api.DeliveryRetry: {
        "POST": Operation(
            ACCOUNT, "Send a message again", **answers_json(api.DeliverySerializer, DELIVERY), status=202
        ),
    },
}
