"""Ends a turn: stores an interruption, settles its usage, notifies webhooks, and updates its conversation."""

from __future__ import annotations

import asyncio
import logging

from asgiref.sync import sync_to_async
from django.db import Error as DatabaseFailure
from django.utils import timezone
from django.utils.text import Truncator

from apps.conversations.models import RUNNING, Conversation, Turn
from apps.conversations.pipeline.state import TurnProgress
from apps.conversations.pipeline.store import store_interruption
from apps.core import leases
from apps.usage import metering
from apps.usage.models import UsageRecord
from apps.voices.services import note_use
from apps.webhooks import services as webhooks
from apps.webhooks.models import WebhookEvent

logger = logging.getLogger(__name__)

TITLE_CHARACTERS = 60


async def end_turn(progress: TurnProgress, reservation: metering.Reservation, *tasks: asyncio.Task[None]) -> None:
    """Wait for the cancelled tasks of the turn, store an interruption if it is unfinished, and settle its usage.

    A lost turn is stored and settled by the process that took it over. One whose question never became certain is
    neither stored nor settled: its usage belongs to the question that went on.
    """
    await asyncio.gather(*tasks, return_exceptions=True)
    if not progress.is_certain:
        progress.writer.forget()
    elif not progress.is_lost:
        await store_interruption(progress)
        await _settle_and_log(progress, reservation)


async def fail_when_lost(progress: TurnProgress, work: asyncio.Task[None]) -> None:
    """Renew the turn's lease. Fail the turn if another process has taken it over because this one was stalled."""
    turn = progress.turn
    await leases.keep(turn)
    if turn.status in RUNNING and await Turn.objects.filter(pk=turn.pk).aexists():
        progress.is_lost = True
        turn.status, turn.failed_stage, turn.error_code = Turn.Status.FAILED, progress.stage, leases.SERVER_STOPPED
        work.cancel()


def update_conversation(progress: TurnProgress) -> None:
    """Use the question as the title of an untitled conversation; record when it and its voice were last used."""
    turn = progress.turn
    title = Truncator(turn.transcript).chars(TITLE_CHARACTERS)
    conversation = Conversation.objects.filter(pk=turn.conversation_id)
    conversation.filter(title="").update(title=title)
    conversation.update(updated_at=timezone.now())
    if progress.answer.chunks and turn.voice is not None:
        note_use(voice=turn.voice, characters=progress.used.spoken_characters)


async def _settle_and_log(progress: TurnProgress, reservation: metering.Reservation) -> None:
    try:
        await sync_to_async(_settle)(progress, reservation)
    except DatabaseFailure:  # The turn itself is stored, which matters more.
        logger.exception("The usage of a turn was not recorded")


def _settle(progress: TurnProgress, reservation: metering.Reservation) -> None:
    """Settle the turn's usage and notify the owner's webhooks; update the conversation of an unfinished turn."""
    turn = progress.turn
    progress.used.reference = turn.pk
    metering.settle(reservation, kind=UsageRecord.Kind.TURN, used=progress.used)
    data = {"turn_id": turn.pk, "conversation_id": turn.conversation_id, "status": turn.status}
    webhooks.notify(owner_id=turn.owner_id, event=WebhookEvent.TURN_DONE, data=data)
    if turn.status != Turn.Status.SPOKEN and turn.transcript:
        update_conversation(progress)
