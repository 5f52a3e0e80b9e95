"""Stores the results of a turn: transcript, reply, sound, failure or interruption."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from asgiref.sync import sync_to_async

from apps.conversations.marking import answer_as_flac
from apps.conversations.models import RUNNING, Turn
from apps.conversations.pipeline.spoken_answer import SpokenAnswer, text_within
from apps.conversations.pipeline.state import TurnProgress
from apps.conversations.pipeline.writer import STORAGE_ERRORS
from apps.conversations.turn_events import Failed
from apps.core import recordings
from apps.speech.base import Transcript

logger = logging.getLogger(__name__)


def store_transcript(progress: TurnProgress, transcript: Transcript) -> None:
    """Set the transcript and start storing it."""
    progress.writer.store_soon(
        is_awaited_by_listener=True,
        transcript=transcript.text,
        language=transcript.language,
        heard_by=progress.used.heard_by,
        heard_ms=progress.elapsed_ms(),
        status=Turn.Status.HEARD,
    )


def store_reply(progress: TurnProgress) -> None:
    """Set the whole reply and start storing it."""
    progress.writer.store_soon(
        first_word_ms=progress.turn.first_word_ms, reply=progress.reply.strip(), status=Turn.Status.ANSWERED
    )


async def store_answer(progress: TurnProgress) -> None:
    """Store the sound of a complete turn. Raises STORAGE_ERRORS."""
    await progress.writer.store(
        status=Turn.Status.SPOKEN,
        failed_stage="",
        error_code="",
        spoken_text="",
        heard_seconds=None,
        **progress.measured(),
        **await _encoded(progress.turn, progress.answer),
    )


async def store_failure(progress: TurnProgress, failure: Failed) -> None:
    """Store a failure. If the voice failed, keep the segments that are complete: a retry continues after them."""
    kept = progress.answer.complete_segments() if failure.stage == Turn.Stage.SPEAK else []
    values: dict[str, Any] = {
        "status": Turn.Status.FAILED,
        "failed_stage": failure.stage,
        "error_code": failure.code,
        "heard_seconds": None,
        **progress.measured(),
    }
    try:
        spoken_text = " ".join(segment.text for segment in kept)
        sound = await _encoded(progress.turn, progress.answer, seconds=sum(segment.seconds for segment in kept))
        await progress.writer.store(spoken_text=spoken_text, **values, **sound)
    except STORAGE_ERRORS:
        logger.exception("A failed turn could not be stored with its sound")
        await _store_without_sound(progress, values)


async def _store_without_sound(progress: TurnProgress, values: dict[str, Any]) -> None:
    """Store an ending without sound, which takes the least space. If that fails, the row has the last stored stage."""
    silent = {"answer": "", "answer_seconds": None, "heard_seconds": None, "spoken_text": ""}
    try:
        await progress.writer.store(**silent | values)
    except STORAGE_ERRORS:
        logger.exception("An unfinished turn could not be stored")


async def store_interruption(progress: TurnProgress) -> None:
    """Store the reply and the sound so far, if the turn was stopped, or its client left, before its end.

    If the reply is whole, it can go on where it was heard to; otherwise it would be written anew. No listener is left
    who could be told that the sound cannot be stored.
    """
    turn, answer = progress.turn, progress.answer
    if turn.status not in RUNNING:
        return
    values: dict[str, Any] = {
        "status": Turn.Status.INTERRUPTED,
        "failed_stage": progress.stage,
        "error_code": "",
        "reply": turn.reply or progress.reply.strip(),
        **progress.measured(),
    }
    try:
        reported = await sync_to_async(_reported_seconds)(turn)
        heard_seconds = min(progress.heard_seconds() if reported is None else reported, answer.seconds)
        values["spoken_text"] = text_within(answer.segments, heard_seconds)
        sound = await _encoded(turn, answer, seconds=heard_seconds)
        resumed_at = heard_seconds if progress.stage == Turn.Stage.SPEAK else None
        await progress.writer.store(heard_seconds=resumed_at, **values, **sound)
    except STORAGE_ERRORS:
        logger.exception("An interrupted turn could not be stored with its sound")
        await _store_without_sound(progress, values)


def _reported_seconds(turn: Turn) -> float | None:
    """Return how much its listener says to have heard, if that was told with the request to stop."""
    requested = Turn.objects.filter(pk=turn.pk, stop_requested=True)
    return requested.values_list("heard_seconds", flat=True).first()


async def _encoded(turn: Turn, answer: SpokenAnswer, *, seconds: float | None = None) -> dict[str, Any]:
    """Encode the answer, or its first `seconds`, in a thread; return the values for the row. Raises OSError."""
    encoded = await asyncio.to_thread(_encode, turn, answer, seconds) if answer.chunks and seconds != 0 else None
    if encoded is None:
        return {}
    flac, length = encoded
    return {"answer": await recordings.kept(turn.answer, flac), "answer_seconds": length}


def _encode(turn: Turn, answer: SpokenAnswer, seconds: float | None) -> tuple[bytes, float] | None:
    """Return the sound and its length in seconds, if there is any."""
    recording = answer.recording(seconds=seconds)
    return None if recording is None else (answer_as_flac(turn=turn, recording=recording), recording.seconds)
