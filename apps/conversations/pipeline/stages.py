"""The stages of a running turn. Each one updates its progress, emits events, and stores its result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import aclosing

from apps.conversations.models import Turn
from apps.conversations.pipeline.hearing import NothingHeardError, hear, stored_question
from apps.conversations.pipeline.prompts import build_messages
from apps.conversations.pipeline.sentences import GROWING, GROWING_SLOWLY, SpeechChunker
from apps.conversations.pipeline.speaking import Segments, speak
from apps.conversations.pipeline.state import PreparedTurn, TurnProgress
from apps.conversations.pipeline.store import store_reply, store_transcript
from apps.conversations.pipeline.thinking import write_reply
from apps.conversations.turn_events import Said, TurnEvent
from apps.speech.base import EMBEDDED, Recording
from apps.speech.registry import Engines
from apps.speech.reply_text import CUT, Cut, end_of_sentences

Emit = Callable[[TurnEvent], None]


async def hear_question(progress: TurnProgress, engines: Engines, recording: Recording | None) -> None:
    turn = progress.turn
    if recording is None:
        recording = await asyncio.to_thread(stored_question, turn)
    language = turn.conversation.language
    transcript = await hear(recording, engine=engines.speech_to_text, language=language, used=progress.used)
    store_transcript(progress, transcript)
    if not transcript.text:
        raise NothingHeardError


async def think_of_reply(
    progress: TurnProgress,
    engines: Engines,
    prepared: PreparedTurn,
    earlier: list[Turn],
    segments: Segments,
    emit: Emit,
) -> None:
    turn, conversation = progress.turn, progress.turn.conversation
    messages = build_messages(
        persona=conversation.persona, language=conversation.language, earlier=earlier, transcript=turn.transcript
    )
    model = engines.chosen_language_model(conversation.model)
    await progress.writer.until_stored()
    chunker = _chunker(turn)
    is_cut = False
    async with aclosing(
        write_reply(messages, model=model, used=progress.used, max_tokens=prepared.max_tokens)
    ) as deltas:
        async for delta in deltas:
            if not progress.reply:
                turn.first_word_ms = progress.elapsed_ms()
            is_cut = isinstance(delta, Cut)
            progress.reply = _end_with_sentence(progress.reply) if is_cut else progress.reply + delta
            _enqueue([] if is_cut else chunker.feed(delta), segments)
            emit(Said(delta))
    store_reply(progress)
    await progress.writer.until_stored()
    _enqueue([*chunker.finish(only_sentences=is_cut and end_of_sentences(progress.reply) > 0), None], segments)


def _end_with_sentence(reply: str) -> str:
    """Return `reply`, which was cut in the middle of a sentence, with its whole sentences and CUT.

    A reply that is less than a sentence stays as it is.
    """
    end = end_of_sentences(reply)
    return f"{reply[:end].rstrip()} {CUT}" if end else f"{reply.rstrip()}{CUT}"


def repeat_reply(turn: Turn, segments: Segments, emit: Emit) -> None:
    """Emit the stored reply again, so that the listener of a retry gets all of it."""
    emit(Said(turn.reply))
    chunker = _chunker(turn)
    _enqueue([*chunker.feed(turn.reply), *chunker.finish(), None], segments)


def _chunker(turn: Turn) -> SpeechChunker:
    is_slow = turn.voice is not None and turn.voice.provider in EMBEDDED
    return SpeechChunker(GROWING_SLOWLY if is_slow else GROWING)


def _enqueue(texts: Iterable[str | None], segments: Segments) -> None:
    for text in texts:
        segments.put_nowait(text)


async def speak_reply(progress: TurnProgress, engines: Engines, segments: Segments, emit: Emit) -> None:
    turn = progress.turn
    sound = speak(turn, segments, engines=engines, answer=progress.answer, used=progress.used)
    async with aclosing(sound):
        async for spoken in sound:
            if turn.first_audio_ms is None:
                turn.first_audio_ms = progress.elapsed_ms()
            emit(spoken)
