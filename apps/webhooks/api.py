"""The API of the caller's webhooks."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.authentication import signed_in_user
from apps.core.api import StrictSerializer
from apps.core.owned import OwnedQuerySet
from apps.webhooks import services as webhooks
from apps.webhooks.models import Webhook, WebhookDelivery, WebhookEvent


class WebhookSerializer(serializers.ModelSerializer[Webhook]):
    """A webhook as the API shows it, without its secret."""

    class Meta:
        model = Webhook
        fields = [
            "id",
            "url",
            "events",
            "is_active",
            "failing_since",
            "paused_until",
            "previous_ends_at",
            "created_at",
        ]


class DeliverySerializer(serializers.ModelSerializer[WebhookDelivery]):
    """A message to a webhook, and the result of its latest try."""

    class Meta:
        model = WebhookDelivery
        fields = [
            "id",
            "event",
            "body",
            "status",
            "tries",
            "next_try_at",
            "last_try_at",
            "response_status",
            "response_body",
            "error_code",
            "created_at",
        ]


class WebhookList(ListAPIView[Webhook]):
    """List the caller's webhooks, or create one. Only the answer to its creation holds its secret."""

    token_scope = "webhooks"
    serializer_class = WebhookSerializer

    class CreateInput(StrictSerializer):
        url = serializers.CharField(max_length=500)
        events = serializers.MultipleChoiceField(
            choices=WebhookEvent.choices, allow_empty=False, default=set(WebhookEvent.values)
        )

    def get_queryset(self) -> OwnedQuerySet[Webhook]:
        return Webhook.objects.for_user(self.request.user)

    def post(self, request: Request) -> Response:
        values = self.CreateInput(data=request.data)
        values.is_valid(raise_exception=True)
        webhook = webhooks.create_webhook(owner=signed_in_user(request), **values.validated_data)
        return Response(_with_secret(webhook), status=status.HTTP_201_CREATED)


class WebhookDetail(APIView):
    """Read, change or delete one webhook."""

    token_scope = "webhooks"

    class ChangeInput(StrictSerializer):
        url = serializers.CharField(max_length=500, required=False)
        events = serializers.MultipleChoiceField(choices=WebhookEvent.choices, allow_empty=False, required=False)
        is_active = serializers.BooleanField(required=False)

    def get(self, request: Request, webhook_pk: UUID) -> Response:
        return Response(WebhookSerializer(_own_webhook(request, webhook_pk)).data)

    def patch(self, request: Request, webhook_pk: UUID) -> Response:
        webhook = _own_webhook(request, webhook_pk)
        values = self.ChangeInput(data=request.data)
        values.is_valid(raise_exception=True)
        webhooks.change_webhook(webhook=webhook, **values.validated_data)
        return Response(WebhookSerializer(webhook).data)

    def delete(self, request: Request, webhook_pk: UUID) -> Response:
        _own_webhook(request, webhook_pk).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class WebhookSecret(APIView):
    """Give a webhook a new secret, which only this answer holds. For a day, the old one signs messages too."""

    token_scope = "webhooks"

    def post(self, request: Request, webhook_pk: UUID) -> Response:
        webhook = _own_webhook(request, webhook_pk)
        webhooks.change_secret(webhook=webhook)
        return Response(_with_secret(webhook))


class DeliveryList(ListAPIView[WebhookDelivery]):
    """List the messages to one webhook in the last 30 days."""

    serializer_class = DeliverySerializer

    def get_queryset(self) -> OwnedQuerySet[WebhookDelivery]:
        webhook = _own_webhook(self.request, self.kwargs["webhook_pk"])
        return WebhookDelivery.objects.for_user(self.request.user).filter(webhook=webhook)


class DeliveryRetry(APIView):
    """Send a message again."""

    token_scope = "webhooks"

    def post(self, request: Request, webhook_pk: UUID, delivery_pk: UUID) -> Response:
        deliveries = WebhookDelivery.objects.for_user(request.user).select_related("webhook")
        delivery = get_object_or_404(deliveries, pk=delivery_pk, webhook=webhook_pk)
        webhooks.redeliver(delivery=delivery)
        return Response(DeliverySerializer(delivery).data, status=status.HTTP_202_ACCEPTED)


def _with_secret(webhook: Webhook) -> dict[str, Any]:
    return {**WebhookSerializer(webhook).data, "secret": webhook.secret}


def _own_webhook(request: Request, webhook_pk: UUID) -> Webhook:
    return get_object_or_404(Webhook.objects.for_user(request.user), pk=webhook_pk)
