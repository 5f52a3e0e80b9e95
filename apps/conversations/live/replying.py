"""Replies to the questions of a live session: begun on trust, taken back, confirmed, or begun when all is known."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from copy import copy
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings

from apps.conversations import metrics
from apps.conversations.live import ground
from apps.conversations.live.access import Caller
from apps.conversations.live.answer import Answer
from apps.conversations.live.answering import Answering
from apps.conversations.live.config import SessionConfig
from apps.conversations.live.ground import CallerLeftError, OpenedQuestion
from apps.conversations.live.question import Question, same_words
from apps.conversations.live.response import Response
from apps.conversations.models import INTERNAL_ERROR, NOTHING_HEARD, TURN_MESSAGES, Conversation, Turn
from apps.conversations.pipeline.state import PreparedTurn
from apps.conversations.pipeline.trust import Trust
from apps.core.api_errors import known_error
from apps.core.database import shared_thread
from apps.core.errors import UserError
from apps.speech.base import LIVE_SAMPLE_RATE, ProviderError, Recording, Transcript
from apps.speech.registry import Engines
from apps.usage.metering import Reservation, Used

logger = logging.getLogger(__name__)

Run = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Replying:
    """Makes answers. `run` starts work that belongs to the session; `on_left` is called if the caller may not stay."""

    def __init__(
        self,
        caller: Caller,
        conversation: Conversation,
        engines: Engines,
        answering: Answering,
        *,
        run: Run,
        on_left: Callable[[], None],
    ) -> None:
        self.conversation = conversation
        # Once nobody listens, questions are stored without an answer.
        self.is_closed = False
        self._caller, self._engines, self._answering = caller, engines, answering
        self._run, self._on_left = run, on_left
        self._opening = asyncio.Lock()  # The first question stores the conversation.
        # The turns that the next answer remembers, as of a number of changes.
        self._earlier: tuple[int, list[Turn]] = (-1, [])

    def open_question(self, *, is_spoken: bool = True) -> asyncio.Task[OpenedQuestion]:
        """Find out, while a question is asked, whether it may be answered."""
        opened = asyncio.create_task(self._opened(is_spoken=is_spoken))
        opened.add_done_callback(_note_error)
        return opened

    async def _opened(self, *, is_spoken: bool) -> OpenedQuestion:
        changes = self._answering.changes if self._answering.is_settled else -1
        async with self._opening, shared_thread():
            opened = await sync_to_async(ground.open_question)(self._caller, self.conversation, is_spoken=is_spoken)
        self._earlier = (changes, opened.earlier)
        return opened

    def _remembered(self) -> list[Turn] | None:
        """Return what the next answer remembers, if that was read while its question was asked and is still true."""
        changes, turns = self._earlier
        return turns if changes == self._answering.changes else None

    async def begin_on_trust(self, question: Question, config: SessionConfig) -> None:
        """Begin a reply to what was said so far, because the person is silent. It is held until the end is certain."""
        words = question.words_so_far
        if not self._may_begin(question, words):
            return
        await self._answering.until_stored()
        try:
            opened = await asyncio.shield(question.opened)
        except Exception:  # noqa: BLE001 - whoever gives the answer tells it
            return
        if words != question.words_so_far or not self._may_begin(question, words):
            return
        self.distrust(question)
        question.replies += 1
        metrics.REPLIES_ON_TRUST.inc()
        turn = self._new_turn(opened, Transcript(words), config)
        prepared = _prepared(turn, opened, question.used, config, trust=Trust(), earlier=self._remembered())
        question.on_trust = Answer(prepared, config, self._engines)

    def _may_begin(self, question: Question, words: str) -> bool:
        if not words or not question.is_quiet or question.is_settled or self.is_closed:
            return False
        if question.on_trust is not None and same_words(question.on_trust.question, words):
            return False
        return question.replies < settings.LIVE_REPLIES_ON_TRUST

    def distrust(self, question: Question) -> None:
        """Take back the reply that was begun on trust, if there is one."""
        answer, question.on_trust = question.on_trust, None
        if answer is not None:
            self._answering.stop(answer)

    def drop(self, question: Question) -> None:
        """Forget a question. What it cost is settled."""
        self.distrust(question)
        for part in question.parts:
            part.transcript.cancel()
        self._settle_soon(question)

    def reopen(self, question: Question) -> None:
        """Let a question wait for an answer again, as if it had had none."""
        if question.answer is not None:
            self._answering.undo(question.answer)
        if question.answer is not None or question.is_settled:
            question.used, question.opened, question.is_settled = Used(), self.open_question(), False
        question.answer = question.response = question.answering = None
        question.together = [question]

    def _settle_soon(self, question: Question) -> None:
        if not question.is_settled:
            question.is_settled = True
            self._run(self._settle(question.opened, question.used))

    async def _settle(self, opened: asyncio.Task[OpenedQuestion], used: Used) -> None:
        try:
            reservation = (await opened).reservation
        except Exception:  # noqa: BLE001 - then there is nothing to settle, and it was told
            return
        await self._answering.until_stored()
        async with shared_thread():
            await sync_to_async(ground.settle)(reservation, used)

    async def answer(
        self, questions: list[Question], config: SessionConfig, response: Response, *, pay: Callable[[Used], str]
    ) -> None:
        """Give `response` the answer to `questions`, or the reason why there is none.

        `pay` adds to a usage what speech to text was sent, and returns who hears.
        """
        try:
            await self._give_answer(questions, config, response, pay)
        except Exception as error:
            known = known_error(error)
            if known is None:
                logger.exception("A question of a live session could not be answered")
            code, text = (known.code, known.message) if known else (INTERNAL_ERROR, str(TURN_MESSAGES[INTERNAL_ERROR]))
            response.fail(code, text)
            for question in questions:
                self.drop(question)
            if isinstance(error, CallerLeftError):
                self._on_left()

    async def _give_answer(
        self, questions: list[Question], config: SessionConfig, response: Response, pay: Callable[[Used], str]
    ) -> None:
        await self._answering.until_stored()
        first = questions[0]
        opened = await asyncio.shield(first.opened)
        if len(questions) == 1 and first.is_quiet:
            await self.begin_on_trust(first, config)
        transcript = await _transcript_of(questions)
        engine = pay(first.used)
        # It may have been paid with an earlier answer; and a noise beside a typed question is paid, too.
        first.used.heard_by = engine if any(question.typed is None for question in questions) else ""
        if transcript is not None and not transcript.text:
            raise UserError(NOTHING_HEARD, str(TURN_MESSAGES[NOTHING_HEARD]))
        for question in questions[1:]:
            self.distrust(question)
            self._settle_soon(question)
        answer = self._certain_answer(first, opened, transcript, _recording_of(questions), config)
        if answer is None:
            return
        first.answer, self._earlier = answer, (-1, [])
        if response.is_over:
            response.answer = answer
            self._answering.stop(answer)
        else:
            response.begin(answer)

    def _certain_answer(
        self,
        question: Question,
        opened: OpenedQuestion,
        transcript: Transcript | None,
        recording: Recording | None,
        config: SessionConfig,
    ) -> Answer | None:
        """Return the answer that was begun on trust if it fits, or else a new one; None if nobody is there any more.

        In all cases the turn settles the reservation.
        """
        question.is_settled = True
        trusted = question.on_trust
        if trusted is not None and transcript is not None and _fits(trusted, transcript, config) and not self.is_closed:
            question.on_trust = None
            # The reply may be complete by now, and wait to be stored.
            trusted.prepared.turn.heard_by = question.used.heard_by
            trusted.confirm(transcript, recording)
            return trusted
        self.distrust(question)
        turn = self._new_turn(opened, transcript or Transcript(""), config)
        if self.is_closed:
            self._run(self._keep(turn, recording, opened.reservation, question.used))
            return None
        earlier = self._remembered()
        prepared = _prepared(turn, opened, question.used, config, recording=recording, earlier=earlier)
        return Answer(prepared, config, self._engines)

    async def _keep(self, turn: Turn, recording: Recording | None, reservation: Reservation, used: Used) -> None:
        await self._answering.until_stored()
        async with shared_thread():
            await sync_to_async(ground.keep_question)(turn, recording, reservation, used)

    def _new_turn(self, opened: OpenedQuestion, transcript: Transcript, config: SessionConfig) -> Turn:
        conversation = copy(self.conversation)
        conversation.persona = config.instructions
        voice = opened.voice
        if config.speed != (voice.speech_settings.speed or 1.0):
            voice.settings = {**voice.settings, "speed": config.speed}
        return Turn(
            owner_id=conversation.owner_id,
            conversation=conversation,
            voice=voice,
            transcript=transcript.text,
            language=transcript.language,
            status=Turn.Status.HEARD if transcript.text else Turn.Status.RECEIVED,
        )


def _prepared(
    turn: Turn,
    opened: OpenedQuestion,
    used: Used,
    config: SessionConfig,
    *,
    recording: Recording | None = None,
    trust: Trust | None = None,
    earlier: list[Turn] | None,
) -> PreparedTurn:
    return PreparedTurn(
        turn,
        opened.reservation,
        recording,
        used=used,
        trust=trust,
        max_tokens=config.max_output_tokens,
        is_spoken=config.is_spoken,
        earlier=earlier,
    )


def _fits(answer: Answer, transcript: Transcript, config: SessionConfig) -> bool:
    """Whether an answer that was begun on trust is the one to this question, in this configuration."""
    return same_words(answer.question, transcript.text) and answer.config == config


async def _transcript_of(questions: list[Question]) -> Transcript | None:
    """Return the joined words of `questions`; None if they have to be found in the recording."""
    try:
        transcripts = [await question.transcript() for question in questions]
    except ProviderError:
        return None
    texts = [transcript.text for transcript in transcripts if transcript.text]
    return Transcript("\n\n".join(texts), language=transcripts[-1].language)


def _recording_of(questions: list[Question]) -> Recording | None:
    pcm = b"".join(question.pcm for question in questions)
    return Recording(pcm, LIVE_SAMPLE_RATE) if pcm else None


def _note_error(task: asyncio.Task[Any]) -> None:
    """Read the exception of a task that nobody may wait for."""
    if not task.cancelled():
        task.exception()
