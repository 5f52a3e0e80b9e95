"""The background task that sends webhooks. It may run more than once, because a worker can be killed at any time."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django_tasks import task

from apps.core.mail import mail
from apps.webhooks.models import Webhook, WebhookDelivery
from apps.webhooks.sender import Answer, send

logger = logging.getLogger(__name__)

DELIVERY_RETRY_DELAYS = [
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
]
SWITCH_OFF_AFTER = timedelta(days=3)
GONE = 410
RESULT_FIELDS = ["tries", "last_try_at", "response_status", "response_body", "error_code", "status", "next_try_at"]


@task()
def deliver_webhook(delivery_pk: str) -> None:
    """Try a pending delivery. If it fails, schedule the next try or give up."""
    pending = WebhookDelivery.objects.filter(pk=delivery_pk, status=WebhookDelivery.Status.PENDING)
    delivery = pending.select_related("webhook__owner").first()
    if delivery is None:
        return
    webhook = delivery.webhook
    if not webhook.is_active or not webhook.owner.is_active:
        pending.update(status=WebhookDelivery.Status.FAILED, next_try_at=None, error_code="webhook_off")
        return
    answer = send(url=webhook.url, message_id=message_id(delivery), body=delivery.body, keys=webhook.signing_keys)
    delivery.tries += 1
    delivery.last_try_at = timezone.now()
    delivery.response_status = answer.status
    delivery.response_body = answer.body
    delivery.error_code = answer.error_code
    if answer.error_code:
        _note_failure(delivery, answer)
    else:
        delivery.status = WebhookDelivery.Status.DELIVERED
        delivery.next_try_at = None
        Webhook.objects.filter(pk=webhook.pk).update(failing_since=None)
    with transaction.atomic():
        # Not save(): the row may have been deleted meanwhile.
        results = {name: getattr(delivery, name) for name in RESULT_FIELDS}
        stored = WebhookDelivery.objects.filter(pk=delivery.pk).update(**results)
        if stored and delivery.next_try_at is not None:
            deliver_webhook.using(run_after=delivery.next_try_at).enqueue(str(delivery.pk))


def message_id(delivery: WebhookDelivery) -> str:
    """Return the id by which the receiver recognises a message that is sent again."""
    return f"msg_{delivery.pk.hex}"


def _note_failure(delivery: WebhookDelivery, answer: Answer) -> None:
    now = timezone.now()
    reason = {"delivery": str(delivery.pk), "reason": answer.error_code, "status": answer.status}
    logger.warning("A webhook failed", extra=reason)
    if delivery.tries <= len(DELIVERY_RETRY_DELAYS) and answer.status != GONE:
        delivery.next_try_at = now + DELIVERY_RETRY_DELAYS[delivery.tries - 1]
    else:
        delivery.status = WebhookDelivery.Status.FAILED
        delivery.next_try_at = None
    webhook = Webhook.objects.filter(pk=delivery.webhook_id, is_active=True)
    webhook.filter(failing_since=None).update(failing_since=now)
    failing = webhook if answer.status == GONE else webhook.filter(failing_since__lte=now - SWITCH_OFF_AFTER)
    if failing.update(is_active=False):
        _notify_owner(delivery.webhook)


def _notify_owner(webhook: Webhook) -> None:
    """Send a mail. The page of the webhook says the same, in case the mail does not arrive."""
    logger.warning("A webhook was switched off", extra={"webhook": str(webhook.pk), "user": webhook.owner_id})
    subject = _("Your webhook is switched off")
    mail(to=webhook.owner.email, subject=subject, template="webhooks/email/webhook_switched_off.txt", webhook=webhook)
