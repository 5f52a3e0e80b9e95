"""The regular work of the worker beside its queue: each step runs by itself, so that no failure stops the others."""

from __future__ import annotations

import logging
from collections.abc import Callable

from apps.accounts.idempotency import forget_old_keys
from apps.accounts.second_factors import encrypt_with_current_key
from apps.accounts.services import forget_ended_sessions
from apps.background import queue
from apps.privacy import accesses, erasures, exports, retention
from apps.webhooks.services import delete_old_deliveries

logger = logging.getLogger(__name__)

STEPS: tuple[Callable[[], object], ...] = (
    queue.requeue_abandoned,
    queue.delete_old_tasks,
    delete_old_deliveries,
    forget_old_keys,
    forget_ended_sessions,
    encrypt_with_current_key,
    exports.restart_abandoned,
    exports.delete_expired,
    accesses.delete_old,
    erasures.enqueue_due_tries,
    retention.apply_daily,
)


def run_steps() -> None:
    """Run all steps once. A step that fails is logged and runs again the next time."""
    for step in STEPS:
        try:
            step()
        except Exception:
            logger.exception("A step of the housekeeping failed", extra={"step": f"{step.__module__}.{step.__name__}"})
