"""Actions on webhooks, and notifications to them."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core.errors import UserError
from apps.webhooks.models import Webhook, WebhookDelivery, WebhookEvent, all_webhook_events, new_webhook_salt
from apps.webhooks.sender import is_allowed
from apps.webhooks.tasks import deliver_webhook

MAX_WEBHOOKS = 10
PREVIOUS_SECRET_LIFETIME = timedelta(days=1)
DELIVERY_RETENTION = timedelta(days=30)


def create_webhook(*, owner: User, url: str, events: Collection[str] | None = None) -> Webhook:
    """Store a webhook for `owner`, for all events by default. The caller shows its `secret` once.

    Raises UserError for an address that is not allowed, and if the owner already has MAX_WEBHOOKS.
    """
    check_url(url)
    if Webhook.objects.for_user(owner).count() >= MAX_WEBHOOKS:
        text = _("You have %(count)d webhooks, which is the maximum. Delete one that you no longer need.")
        raise UserError("too_many_webhooks", text % {"count": MAX_WEBHOOKS}, status=409)
    return Webhook.objects.create(owner=owner, url=url, events=_in_order(events))


def change_webhook(
    *, webhook: Webhook, url: str = "", events: Collection[str] | None = None, is_active: bool | None = None
) -> None:
    """Change the given values. Switching a webhook on again restarts the time until it is switched off."""
    if url:
        check_url(url)
        webhook.url = url
    if events is not None:
        webhook.events = _in_order(events)
    if is_active is not None:
        webhook.failing_since = webhook.failing_since if is_active == webhook.is_active else None
        webhook.is_active = is_active
    webhook.save(update_fields=["url", "events", "is_active", "failing_since"])


def change_secret(*, webhook: Webhook) -> None:
    """Give the webhook a new `secret`, to be shown once. The old one also signs for PREVIOUS_SECRET_LIFETIME."""
    webhook.previous_salt, webhook.salt = webhook.salt, new_webhook_salt()
    webhook.previous_ends_at = timezone.now() + PREVIOUS_SECRET_LIFETIME
    webhook.save(update_fields=["salt", "previous_salt", "previous_ends_at"])


def _in_order(events: Collection[str] | None) -> list[str]:
    return [event for event in all_webhook_events() if events is None or event in events]


def check_url(url: str) -> None:
    """Raise UserError unless webhooks may use `url`. The addresses of a host name are checked for each message."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise _bad_url() from None
    schemes = {"https", "http"} if settings.WEBHOOK_ALLOW_PRIVATE else {"https"}
    if parts.scheme not in schemes or not host or "@" in parts.netloc or not parts.netloc.isascii():
        raise _bad_url()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if not settings.WEBHOOK_ALLOW_PRIVATE and f".{host}".endswith(".localhost"):
            raise _bad_url() from None
        return
    if not is_allowed(address):
        raise _bad_url()


def _bad_url() -> UserError:
    text = _("A webhook needs a public address that begins with https://, without a user name in it.")
    return UserError("webhook_address_not_allowed", text)


def notify(*, owner_id: int, event: WebhookEvent, data: Mapping[str, Any]) -> None:
    """Queue a message about `event` to each webhook of the owner that subscribed to it. One query if there is none.

    `data` holds ids and states only, never words of a conversation.
    """
    subscribed = [
        webhook for webhook in Webhook.objects.filter(owner_id=owner_id, is_active=True) if event in webhook.events
    ]
    if not subscribed:
        return
    body = json.dumps({"type": event, "timestamp": timezone.now().isoformat(), "data": data}, default=str)
    for webhook in subscribed:
        _enqueue(WebhookDelivery(owner_id=owner_id, webhook=webhook, event=event, body=body))


def redeliver(*, delivery: WebhookDelivery) -> None:
    """Queue a message again, with the same id, by which the receiver recognises a repetition."""
    if not delivery.webhook.is_active:
        raise UserError("webhook_off", _("This webhook is switched off. Switch it on first."), status=409)
    if delivery.status == WebhookDelivery.Status.PENDING:
        raise UserError("delivery_pending", _("This message is still waiting to be sent."), status=409)
    delivery.status = WebhookDelivery.Status.PENDING
    delivery.tries = 0
    _enqueue(delivery)


@transaction.atomic
def _enqueue(delivery: WebhookDelivery) -> None:
    """Store a delivery and its task in one transaction."""
    delivery.next_try_at = timezone.now()
    delivery.save()
    deliver_webhook.enqueue(str(delivery.pk))


def delete_old_deliveries() -> None:
    """Delete delivered and failed messages after DELIVERY_RETENTION."""
    finished = WebhookDelivery.objects.exclude(status=WebhookDelivery.Status.PENDING)
    finished.filter(created_at__lt=timezone.now() - DELIVERY_RETENTION).delete()
