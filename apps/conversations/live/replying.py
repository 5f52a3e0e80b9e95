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
        # What the next answer remembers, if that was read while its question was asked.
        self._earlier: list[Turn] | None = None

    def open_question(self) -> asyncio.Task[OpenedQuestion]:
        """Find out, while a question is asked, whether it may be answered."""
        opened = asyncio.create_task(self._opened())
        opened.add_done_callback(_note_error)
        return opened

    async def _opened(self) -> OpenedQuestion:
        self._earlier, was_settled = None, self._answering.is_settled
        async with shared_thread():
            opened = await sync_to_async(ground.open_question)(self._caller, self.conversation)
        if was_settled and self._answering.is_settled:
            self._earlier = opened.earlier
        return opened

    async def begin_on_trust(self, question: Question, config: SessionConfig) -> None:
        """Begin a reply to what was said so far, because the person is silent. It is held until the end is certain."""
        words = question.words_so_far
        if not words or (question.on_trust is not None and same_words(question.on_trust.question, words)):
            return
        await self._answering.until_stored()
        try:
            opened = await asyncio.shield(question.opened)
        except (UserError, ProviderError):
            return  # Whoever gives the answer tells it.
        if not question.is_quiet or question.answer is not None or words != question.words_so_far:
            return
        if question.replies >= settings.LIVE_REPLIES_ON_TRUST or self.is_closed:
            return
        self.distrust(question)
        question.replies += 1
        metrics.REPLIES_ON_TRUST.inc()
        turn = self._new_turn(opened, Transcript(words), config)
        prepared = _prepared(turn, opened, question.used, config, trust=Trust(), earlier=self._earlier)
        question.on_trust = Answer(prepared, self._engines)

    def distrust(self, question: Question) -> None:
        """Take back the reply that was begun on trust, if there is one."""
        answer, question.on_trust = question.on_trust, None
        if answer is not None:
            self._answering.stop(answer)

    def drop(self, question: Question) -> None:
        """Forget a question. What it cost is settled."""
        self.distrust(question)
        for part in question.parts:
            part.cancel()
        self._run(self._settle(question))

    async def _settle(self, question: Question) -> None:
        try:
            opened = await question.opened
        except (UserError, ProviderError):
            return
        await self._answering.until_stored()
        async with shared_thread():
            await sync_to_async(ground.settle)(opened.reservation, question.used)

    async def answer(
        self, questions: list[Question], config: SessionConfig, response: Response, *, hearing: str
    ) -> None:
        """Give `response` the answer to `questions`, or the reason why there is none. `hearing` is who heard them."""
        try:
            await self._give_answer(questions, config, response, hearing)
        except (UserError, ProviderError) as error:
            response.fail(error.code, error.message)
            for question in questions:
                self.drop(question)
            if isinstance(error, CallerLeftError):
                self._on_left()
        except Exception as error:
            known = known_error(error)
            if known is None:
                logger.exception("A question of a live session could not be answered")
            code, text = (known.code, known.message) if known else (INTERNAL_ERROR, str(TURN_MESSAGES[INTERNAL_ERROR]))
            response.fail(code, text)

    async def _give_answer(
        self, questions: list[Question], config: SessionConfig, response: Response, hearing: str
    ) -> None:
        await self._answering.until_stored()
        first = questions[0]
        opened = await asyncio.shield(first.opened)
        if len(questions) == 1 and first.is_quiet:
            await self.begin_on_trust(first, config)
        transcript = await _transcript_of(questions)
        if transcript is not None and not transcript.text:
            raise UserError(NOTHING_HEARD, str(TURN_MESSAGES[NOTHING_HEARD]))
        for question in questions:
            if question.typed is None:
                first.used.hear(question.sent_seconds, engine=hearing)
        for question in questions[1:]:
            self.drop(question)
        answer = self._certain_answer(first, opened, transcript, _recording_of(questions), config)
        if answer is None:
            return
        first.answer, self._earlier = answer, None
        if response.is_over:
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
        """Return the answer that was begun on trust if it fits, or else a new one; None if nobody is there any more."""
        trusted = question.on_trust
        if trusted is not None and transcript is not None and same_words(trusted.question, transcript.text):
            question.on_trust = None
            assert trusted.prepared.trust is not None  # noqa: S101 - it was begun on trust
            trusted.prepared.trust.confirm(transcript, recording)
            return trusted
        self.distrust(question)
        turn = self._new_turn(opened, transcript or Transcript(""), config)
        if self.is_closed:
            self._run(_keep(turn, recording, opened.reservation, question.used))
            return None
        prepared = _prepared(turn, opened, question.used, config, recording=recording, earlier=self._earlier)
        return Answer(prepared, self._engines)

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


async def _keep(turn: Turn, recording: Recording | None, reservation: Reservation, used: Used) -> None:
    async with shared_thread():
        await sync_to_async(ground.keep_question)(turn, recording, reservation, used)


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
