"""The real worker, for tests: it does what is due and ends."""

from __future__ import annotations

from django.utils import timezone
from django_tasks_db.management.commands.db_worker import Worker
from django_tasks_db.models import DBTaskResult

from apps.webhooks.deliveries import deliver_next
from apps.webhooks.models import Webhook, WebhookDelivery


def work() -> None:
    """Do what is due. It closes its connections and opens others, which no transaction around a test survives."""
    Worker(
        queue_names=["*"],
        interval=0,
        batch=True,
        backend_name="default",
        startup_delay=False,
        max_tasks=None,
        worker_id="tests",
        excluded_queue_names=[],
    ).run()
    while deliver_next():
        pass


def make_due() -> None:
    """Let the time pass until what waits is due."""
    DBTaskResult.objects.filter(status="READY").update(run_after=timezone.now())
    WebhookDelivery.objects.filter(status="pending").update(next_try_at=timezone.now())
    Webhook.objects.update(paused_until=None)
