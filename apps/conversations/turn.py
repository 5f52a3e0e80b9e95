"""Runs a turn: hear the question, think of a reply, speak it while it is still being written. Independent of HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

from asgiref.sync import sync_to_async

from apps.conversations import metrics
from apps.conversations.models import Turn
from apps.conversations.pipeline.cancellation import run_to_end
from apps.conversations.pipeline.end import end_turn, fail_when_lost, update_conversation
from apps.conversations.pipeline.failures import failure_of
from apps.conversations.pipeline.speaking import Segments
from apps.conversations.pipeline.stages import Emit, hear_question, repeat_reply, speak_reply, think_of_reply
from apps.conversations.pipeline.state import PreparedTurn, TurnProgress
from apps.conversations.pipeline.store import store_answer, store_failure
from apps.conversations.pipeline.thinking import earlier_turns
from apps.conversations.stopping import stoppable
from apps.conversations.tracing import stage_span, turn_span
from apps.conversations.turn_events import Done, Failed, Heard, TurnEvent, Waiting
from apps.core.logs import turn_id
from apps.speech import request_ids
from apps.speech.registry import Engines

HEAD_START_SECONDS = 0.02
WAITING_SECONDS = 10


async def run_turn(prepared: PreparedTurn, engines: Engines) -> AsyncGenerator[TurnEvent, None]:
    """Run the stages that the turn still lacks and yield its events; the last one is Failed or Done.

    A new turn runs all stages. A failed one resumes at the stage that failed, so that nothing is paid for twice. Each
    stage's result is stored when the stage ends. Closing the generator, or `stop_requested` in the row, interrupts the
    turn: calls to the providers end, and the answer so far is kept.
    """
    turn = prepared.turn
    progress = TurnProgress(turn, used=prepared.used, trust=prepared.trust)
    events: asyncio.Queue[TurnEvent | None] = asyncio.Queue()
    count_attempt = metrics.attempt_counter(turn)
    work = asyncio.create_task(_work(progress, engines, prepared, events))
    lease = asyncio.create_task(fail_when_lost(progress, work))
    try:
        with stoppable(turn, work):
            while (event := await _next_event(events)) is not None:
                yield event
    finally:
        tasks = (lease, work)
        for task in tasks:
            task.cancel()
        # A client that disconnects at the last event cancels this task, but the clean-up must finish.
        await run_to_end(end_turn(progress, prepared.reservation, *tasks))
        if progress.is_certain:
            count_attempt()
    if progress.is_lost:
        yield Failed(progress.stage, turn.error_code, turn.error_message, turn.retryable)
    elif turn.status == Turn.Status.INTERRUPTED:
        yield Done(turn.spoken_text, turn.timings)


async def _next_event(events: asyncio.Queue[TurnEvent | None]) -> TurnEvent | None:
    try:
        async with asyncio.timeout(WAITING_SECONDS):
            return await events.get()
    except TimeoutError:
        return Waiting()


async def _work(
    progress: TurnProgress, engines: Engines, prepared: PreparedTurn, events: asyncio.Queue[TurnEvent | None]
) -> None:
    """Run the turn to its end or failure. None follows the last event in the queue."""
    turn_id.set(str(progress.turn.pk))
    request_ids.collect(progress.turn.request_ids)
    emit = events.put_nowait
    try:
        with turn_span(progress.turn) as note:
            failure = await failure_of(_run_stages(progress, engines, prepared, emit), progress)
            if failure is not None:
                note(error_code=failure.code)
                await store_failure(progress, failure)
                emit(replace(failure, retryable=failure.retryable and progress.turn.is_asked))
    finally:
        emit(None)


async def _run_stages(progress: TurnProgress, engines: Engines, prepared: PreparedTurn, emit: Emit) -> None:
    turn = progress.turn
    # Send a spoken question before other work takes the processor; its transcription takes longer than this pause.
    pause = 0 if turn.transcript else HEAD_START_SECONDS
    if turn._state.adding:
        progress.writer.create_soon(prepared.recording, pause=pause)
    earlier = asyncio.create_task(_earlier(prepared, pause=pause))
    try:
        if not turn.transcript:
            with stage_span(turn, Turn.Stage.HEAR):
                await hear_question(progress, engines, prepared.recording)
        emit(Heard(turn.transcript, turn.language))
        await _think_and_speak(progress, engines, prepared, earlier, emit)
        await store_answer(progress)
        await sync_to_async(update_conversation)(progress)
        emit(Done(turn.reply, turn.timings))
    finally:
        earlier.cancel()


async def _earlier(prepared: PreparedTurn, *, pause: float) -> list[Turn]:
    return await earlier_turns(prepared.turn, pause=pause) if prepared.earlier is None else prepared.earlier


async def _think_and_speak(
    progress: TurnProgress,
    engines: Engines,
    prepared: PreparedTurn,
    earlier: asyncio.Task[list[Turn]],
    emit: Emit,
) -> None:
    segments: Segments = asyncio.Queue()
    speaking = asyncio.create_task(
        _speak(progress, engines, segments, emit) if prepared.is_spoken else asyncio.sleep(0)
    )
    try:
        progress.stage = Turn.Stage.THINK
        if progress.turn.status == Turn.Status.ANSWERED:
            repeat_reply(progress.turn, segments, emit)
        else:
            with stage_span(progress.turn, Turn.Stage.THINK):
                await think_of_reply(progress, engines, prepared, await earlier, segments, emit)
        # Raise an error in speaking only now: the rest of the reply is paid for and must not be lost.
        progress.stage = Turn.Stage.SPEAK
        await speaking
    finally:
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)


async def _speak(progress: TurnProgress, engines: Engines, segments: Segments, emit: Emit) -> None:
    with stage_span(progress.turn, Turn.Stage.SPEAK):
        await speak_reply(progress, engines, segments, emit)
