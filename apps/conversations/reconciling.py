"""Ends turns whose process was killed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.conversations.models import RUNNING, Turn
from apps.core.leases import ROW_LEASE, SERVER_STOPPED, has_expired
from apps.core.repairs import Repair
from apps.usage import metering
from apps.usage.models import UsageRecord
from apps.webhooks import services as webhooks
from apps.webhooks.models import WebhookEvent

STAGE_DURING = {
    Turn.Status.RECEIVED: Turn.Stage.HEAR,
    Turn.Status.HEARD: Turn.Stage.THINK,
    Turn.Status.ANSWERED: Turn.Stage.SPEAK,
}
"""The stage that runs while a turn has this status."""


def is_abandoned() -> Q:
    """Return the condition for turns that are unfinished although no process runs them."""
    return Q(status__in=RUNNING) & has_expired()


def repairs() -> Iterator[Repair]:
    for turn in Turn.objects.filter(is_abandoned()):
        status, stage = _end_of(turn)
        action = f"failed in the stage {stage}, ready for a retry" if status == Turn.Status.FAILED else status
        yield Repair(f"Turn {turn.pk}", f"end it as {action}", partial(end_abandoned, turn=turn))


@transaction.atomic
def end_abandoned(*, turn: Turn) -> bool:
    """End a turn that no process runs any more. Return False if the turn is not abandoned.

    The results of its stages are kept, and a retry continues after them.
    """
    status, stage = _end_of(turn)
    code = SERVER_STOPPED if status == Turn.Status.FAILED else ""
    abandoned = Turn.objects.filter(is_abandoned(), pk=turn.pk, status=turn.status)
    if not abandoned.update(status=status, failed_stage=stage, error_code=code):
        return False
    _settle(turn)
    data = {"turn_id": turn.pk, "conversation_id": turn.conversation_id, "status": status}
    webhooks.notify(owner_id=turn.owner_id, event=WebhookEvent.TURN_DONE, data=data)
    return True


def _end_of(turn: Turn) -> tuple[Turn.Status, str]:
    status = Turn.Status.INTERRUPTED if turn.stop_requested else Turn.Status.FAILED
    return status, STAGE_DURING[Turn.Status(turn.status)]


def _settle(turn: Turn) -> None:
    """Settle the turn's reservation with the usage that its stored results show."""
    # A turn that failed before was a retry, which began with the stage that failed.
    first_stage = turn.failed_stage or Turn.Stage.HEAR
    heard_seconds = (turn.question_seconds or 0.0) if first_stage == Turn.Stage.HEAR else 0.0
    used = metering.Used(reference=turn.pk)
    used.hear(heard_seconds, engine=settings.SPEECH_TO_TEXT)
    if turn.reply:
        if first_stage != Turn.Stage.SPEAK:
            used.write(len(turn.reply), engine=settings.LANGUAGE_MODEL)
        used.speak(len(turn.reply), engine=settings.TEXT_TO_SPEECH)
    reservation = metering.Reservation(
        turn.owner_id,
        (turn.lease_until - ROW_LEASE).astimezone(UTC).date(),
        heard_ms=round(heard_seconds * 1000),
        spoken_characters=metering.longest_reply(),
        is_counted=settings.LIMITS,
    )
    metering.settle(reservation, kind=UsageRecord.Kind.TURN, used=used)
