"""Sends the messages to webhooks: the rows of WebhookDelivery are their own queue, which workers share.

A worker claims a message with a lease, so that any number of workers may run on any number of machines, and a message
whose worker was killed is sent by another. A message may arrive twice. A person has one message on its way at a time,
and a receiver that is slow or fails is paused with all its messages: nobody's server can keep all workers busy.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import close_old_connections, transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import User
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
# How long all messages to a receiver wait after its first failure in a row, its second one, and so on.
PAUSES = [timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=5)]
# A receiver that accepts a message, but takes longer than this, rests for SLOW_REST times as long as it took.
SLOW_SECONDS = 5
SLOW_REST = 4
# Added to WEBHOOK_SECONDS: the resolver's own limit, and a locked database.
LEASE_MARGIN = timedelta(minutes=1)
GONE = 410


def sendable() -> QuerySet[Webhook]:
    """Return the webhooks to which a message can be sent now, first those that did not fail lately."""
    now = timezone.now()
    is_reachable = Q(paused_until=None) | Q(paused_until__lte=now)
    busy_owners = _pending().filter(lease_until__gt=now).values("owner")
    oldest = _due().filter(webhook=OuterRef("pk")).order_by("next_try_at").values("next_try_at")[:1]
    webhooks = Webhook.objects.filter(is_reachable).exclude(owner__in=busy_owners).annotate(due_since=Subquery(oldest))
    return webhooks.filter(due_since__isnull=False).order_by("failures", "due_since")


def waiting() -> QuerySet[WebhookDelivery]:
    """Return the messages that could be sent now."""
    return _due().filter(webhook__in=sendable().order_by().values("pk"))


def _pending() -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(status=WebhookDelivery.Status.PENDING)


def _due() -> QuerySet[WebhookDelivery]:
    return _pending().filter(next_try_at__lte=timezone.now())


def deliver_next(*, only_healthy: bool = False) -> bool:
    """Send one message that is due; return whether there was one.

    With `only_healthy`, none to a server that was slow or failed lately.
    """
    while True:
        webhook = (sendable().filter(failures=0) if only_healthy else sendable()).first()
        if webhook is None:
            return False
        delivery = _claim(webhook)
        if delivery is not None:  # Otherwise another worker was faster.
            _deliver(delivery)
            return True


@transaction.atomic
def _claim(webhook: Webhook) -> WebhookDelivery | None:
    """Lease the oldest message to `webhook` and return it, unless its owner has a message on its way by now."""
    # The lock lets workers claim messages of one owner one after the other.
    User.objects.select_for_update(no_key=True).filter(pk=webhook.owner_id).first()
    if not sendable().filter(pk=webhook.pk).exists():
        return None
    due = _due().filter(webhook=webhook).select_related("webhook__owner")
    delivery = due.order_by("next_try_at").first()
    if delivery is not None:
        delivery.lease_until = timezone.now() + timedelta(seconds=settings.WEBHOOK_SECONDS) + LEASE_MARGIN
        delivery.save(update_fields=["lease_until"])
    return delivery


def _deliver(delivery: WebhookDelivery) -> None:
    """Try a claimed delivery. If it fails, note the time of the next try, or give up."""
    webhook = delivery.webhook
    if not webhook.is_active or not webhook.owner.is_active:
        _give_up_all(webhook)
        return
    close_old_connections()  # A receiver that takes its time holds no connection to the database.
    began = time.monotonic()
    answer = send(url=webhook.url, message_id=message_id(delivery), body=delivery.body, keys=webhook.signing_keys)
    seconds = time.monotonic() - began
    with transaction.atomic():
        _store_result(delivery, answer)
        switched_off = _note_failure(webhook, answer, seconds) if answer.error_code else _note_success(webhook, seconds)
    if switched_off:
        _notify_owner(webhook)


def _give_up_all(webhook: Webhook) -> None:
    """Give up all messages that wait for a webhook that is switched off."""
    off = {"status": WebhookDelivery.Status.FAILED, "error_code": "webhook_off"}
    _pending().filter(webhook=webhook).update(**off, next_try_at=None, lease_until=None)


def message_id(delivery: WebhookDelivery) -> str:
    """Return the id by which the receiver recognises a message that is sent again."""
    return f"msg_{delivery.pk.hex}"


def _store_result(delivery: WebhookDelivery, answer: Answer) -> None:
    now = timezone.now()
    result: dict[str, Any] = {
        "tries": delivery.tries + 1,
        "last_try_at": now,
        "response_status": answer.status,
        "response_body": answer.body,
        "error_code": answer.error_code,
        "next_try_at": None,
        "lease_until": None,
    }
    if not answer.error_code:
        result["status"] = WebhookDelivery.Status.DELIVERED
    elif delivery.tries < len(DELIVERY_RETRY_DELAYS) and answer.status != GONE:
        result["next_try_at"] = now + DELIVERY_RETRY_DELAYS[delivery.tries]
    else:
        result["status"] = WebhookDelivery.Status.FAILED
    if answer.error_code:
        reason = {"delivery": str(delivery.pk), "reason": answer.error_code, "status": answer.status}
        logger.warning("A webhook failed", extra=reason)
    # Not save(): the row may have been deleted meanwhile, or another worker may have it after this one's lease.
    WebhookDelivery.objects.filter(pk=delivery.pk, lease_until=delivery.lease_until).update(**result)


def _note_success(webhook: Webhook, seconds: float) -> bool:
    """Resume the messages to the webhook, or let a slow server rest. Returns False: it stays switched on."""
    Webhook.objects.filter(pk=webhook.pk).update(failing_since=None, failures=0, paused_until=None)
    if seconds > SLOW_SECONDS:
        rest = timedelta(seconds=SLOW_REST * seconds)
        _at_same_host(webhook).update(failures=1, paused_until=timezone.now() + rest)
    return False


def _note_failure(webhook: Webhook, answer: Answer, seconds: float) -> bool:
    """Pause the messages to the webhook, and to its server if that was slow or not reached.

    Returns whether the webhook was switched off.
    """
    now = timezone.now()
    active = Webhook.objects.filter(pk=webhook.pk, is_active=True)
    active.filter(failing_since=None).update(failing_since=now)
    was_prompt = answer.status is not None and seconds <= SLOW_SECONDS
    paused = active if was_prompt else _at_same_host(webhook)
    pause = PAUSES[min(webhook.failures, len(PAUSES) - 1)]
    paused.update(failures=F("failures") + 1, paused_until=now + pause)
    failing = active if answer.status == GONE else active.filter(failing_since__lte=now - SWITCH_OFF_AFTER)
    return bool(failing.update(is_active=False))


def _at_same_host(webhook: Webhook) -> QuerySet[Webhook]:
    """Return the owner's webhooks at the server of this one. Other people's are not affected by how theirs behave."""
    host = urlsplit(webhook.url).hostname
    own = Webhook.objects.filter(owner_id=webhook.owner_id)
    return own.filter(pk__in=[each.pk for each in own if urlsplit(each.url).hostname == host])


def _notify_owner(webhook: Webhook) -> None:
    """Send a mail. The page of the webhook says the same, in case the mail does not arrive."""
    logger.warning("A webhook was switched off", extra={"webhook": str(webhook.pk), "user": webhook.owner_id})
    subject = _("Your webhook is switched off")
    mail(to=webhook.owner.email, subject=subject, template="webhooks/email/webhook_switched_off.txt", webhook=webhook)
