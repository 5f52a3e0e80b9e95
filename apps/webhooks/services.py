"""Actions on webhooks, and notifications to them."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core.errors import UserError
from apps.core.rate_limits import Limit
from apps.webhooks.models import Webhook, WebhookDelivery, WebhookEvent, all_webhook_events, new_webhook_salt
from apps.webhooks.sender import is_allowed

MAX_WEBHOOKS = 10
PREVIOUS_SECRET_LIFETIME = timedelta(days=1)
DELIVERY_RETENTION = timedelta(days=30)
REDELIVERIES = Limit("redeliver", 100, 3600)


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
    """Change the given values. Another address, or switching it on again, ends the pause after failures."""
    if url:
        check_url(url)
        _forget_failures(webhook, when=url != webhook.url)
        webhook.url = url
    if events is not None:
        webhook.events = _in_order(events)
    if is_active is not None:
        _forget_failures(webhook, when=is_active != webhook.is_active)
        webhook.is_active = is_active
    webhook.save(update_fields=["url", "events", "is_active", "failing_since", "failures", "paused_until"])


def _forget_failures(webhook: Webhook, *, when: bool) -> None:
    if when:
        webhook.failing_since, webhook.failures, webhook.paused_until = None, 0, None


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
    return UserError("webhook_address_not_allowed", text, field="url")


def notify(*, owner_id: int, event: WebhookEvent, data: Mapping[str, Any]) -> None:
    """Queue a message about `event` to each webhook of the owner that subscribed to it. One query if there is none.

    `data` holds ids and states only, never words of a conversation.
    """
    subscribed = [
        webhook for webhook in Webhook.objects.filter(owner_id=owner_id, is_active=True) if event in webhook.events
    ]
    if not subscribed:
        return
    now = timezone.now()
    body = json.dumps({"type": event, "timestamp": now.isoformat(), "data": data}, default=str)
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(owner_id=owner_id, webhook=webhook, event=event, body=body, next_try_at=now)
        for webhook in subscribed
    )


def redeliver(*, delivery: WebhookDelivery) -> None:
    """Queue a message again, with the same id, by which the receiver recognises a repetition.

    Raises UserError if it still waits, if its webhook is switched off, and at the limit of an hour (429).
    """
    if not delivery.webhook.is_active:
        raise UserError("webhook_off", _("This webhook is switched off. Switch it on first."), status=409)
    if delivery.status == WebhookDelivery.Status.PENDING:
        raise UserError("delivery_pending", _("This message is still waiting to be sent."), status=409)
    wait = REDELIVERIES.take(str(delivery.owner_id)) if settings.LIMITS else 0
    if wait:
        text = _("You have sent %(count)d messages again in an hour, which is the maximum. Try again later.")
        text %= {"count": REDELIVERIES.attempts}
        raise UserError("too_many_redeliveries", text, status=429, headers={"Retry-After": str(wait)})
    delivery.status = WebhookDelivery.Status.PENDING
    delivery.tries = 0
    delivery.next_try_at = timezone.now()
    delivery.save(update_fields=["status", "tries", "next_try_at"])


def delete_old_deliveries() -> None:
    """Delete delivered and failed messages after DELIVERY_RETENTION."""
    finished = WebhookDelivery.objects.exclude(status=WebhookDelivery.Status.PENDING)
    finished.filter(created_at__lt=timezone.now() - DELIVERY_RETENTION).delete()
