"""What can be done with webhooks, and how the rest of the site tells them that something happened."""

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
BOTH_SECRETS_FOR = timedelta(days=1)
KEPT_DELIVERIES = timedelta(days=30)


def create_webhook(*, owner: User, url: str, events: Collection[str] | None = None) -> Webhook:
    """Store a webhook for `owner`; without `events` it is told of all. Its `secret` is to be shown once.

    Raises UserError for an address that is not allowed, and where the owner has MAX_WEBHOOKS already.
    """
    check_url(url)
    if Webhook.objects.for_user(owner).count() >= MAX_WEBHOOKS:
        text = _("You have %(count)d webhooks, and that is the most. Delete one that you no longer need.")
        raise UserError("too_many_webhooks", text % {"count": MAX_WEBHOOKS}, status=409)
    return Webhook.objects.create(owner=owner, url=url, events=_in_order(events))


def change_webhook(
    *, webhook: Webhook, url: str = "", events: Collection[str] | None = None, is_active: bool | None = None
) -> None:
    """Change what is given. Switched on again, a webhook has all the time to fail anew."""
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
    """Give the webhook a new `secret`, to be shown once. For BOTH_SECRETS_FOR messages carry the old signature too."""
    webhook.previous_salt, webhook.salt = webhook.salt, new_webhook_salt()
    webhook.previous_ends_at = timezone.now() + BOTH_SECRETS_FOR
    webhook.save(update_fields=["salt", "previous_salt", "previous_ends_at"])


def _in_order(events: Collection[str] | None) -> list[str]:
    return [event for event in all_webhook_events() if events is None or event in events]


def check_url(url: str) -> None:
    """Raise UserError unless webhooks may go to `url`. What its name stands for is checked with each message."""
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
    """Tell the owner's webhooks that `event` happened. One query where there are none; sending is the worker's.

    `data` holds ids and states only: what people said stays here.
    """
    told = [webhook for webhook in Webhook.objects.filter(owner_id=owner_id, is_active=True) if event in webhook.events]
    if not told:
        return
    body = json.dumps({"type": event, "timestamp": timezone.now().isoformat(), "data": data}, default=str)
    for webhook in told:
        _plan(WebhookDelivery(owner_id=owner_id, webhook=webhook, event=event, body=body))


def redeliver(*, delivery: WebhookDelivery) -> None:
    """Send a message once more, with its id: a receiver that has it already can tell."""
    if not delivery.webhook.is_active:
        raise UserError("webhook_off", _("This webhook is switched off. Switch it on first."), status=409)
    if delivery.status == WebhookDelivery.Status.PENDING:
        raise UserError("delivery_pending", _("This message is still waiting to be sent."), status=409)
    delivery.status = WebhookDelivery.Status.PENDING
    delivery.tries = 0
    _plan(delivery)


@transaction.atomic
def _plan(delivery: WebhookDelivery) -> None:
    """Store a delivery together with the work that it is: neither is without the other."""
    delivery.next_try_at = timezone.now()
    delivery.save()
    deliver_webhook.enqueue(str(delivery.pk))


def delete_old_deliveries() -> None:
    """Delete deliveries that are over, delivered or failed, after KEPT_DELIVERIES."""
    over = WebhookDelivery.objects.exclude(status=WebhookDelivery.Status.PENDING)
    over.filter(created_at__lt=timezone.now() - KEPT_DELIVERIES).delete()
