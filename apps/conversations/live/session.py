"""A live session: what the client sends, what is heard, and what is answered, in order.

All of it runs in one event loop; only `ground` is called in threads. See docs/decisions/0030-live-conversations.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from copy import copy
from dataclasses import replace
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings

from apps.conversations import metrics, services
from apps.conversations.live import config as configuration
from apps.conversations.live import ground
from apps.conversations.live.access import Caller
from apps.conversations.live.answer import Answer
from apps.conversations.live.answering import Answering
from apps.conversations.live.config import SessionConfig
from apps.conversations.live.ground import CallerLeftError, OpenedQuestion
from apps.conversations.live.listening import Listening
from apps.conversations.live.protocol import (
    Event,
    ProtocolError,
    decoded_audio,
    error_event,
    event,
    invalid,
    new_id,
    unsupported,
    user_item,
)
from apps.conversations.live.question import Question, same_words
from apps.conversations.live.response import Response, Send
from apps.conversations.models import INTERNAL_ERROR, NOTHING_HEARD, TURN_MESSAGES, Conversation, Turn
from apps.conversations.pipeline.state import PreparedTurn
from apps.conversations.pipeline.trust import Trust
from apps.core.api_errors import known_error
from apps.core.database import shared_thread
from apps.core.errors import UserError
from apps.speech.audio.turn_ends import TurnEnd
from apps.speech.audio.turn_taking import Ended, FalseStart, MaybeEnded, SpeechResumed, SpeechStarted
from apps.speech.audio.turn_taking import Event as TurnEvent
from apps.speech.base import LIVE_SAMPLE_RATE, LiveTranscription, ProviderError, Recording, Transcript
from apps.speech.registry import Engines
from apps.usage.metering import Reservation, Used

logger = logging.getLogger(__name__)

TRANSCRIPTION = "conversation.item.input_audio_transcription"
POLICY_VIOLATION = 1008
CLOSING_SECONDS = 10
KEPT_ITEMS = 50
PIECE_BYTES = 2 * LIVE_SAMPLE_RATE // 5
MIN_COMMIT_SECONDS = 0.1
MAX_PENDING = 20


class LiveSession:
    """The conversation of one socket. `send` takes events for the client; `leave` closes the socket."""

    def __init__(
        self,
        *,
        caller: Caller,
        conversation: Conversation,
        model: str,
        engines: Engines,
        send: Send,
        leave: Callable[[int], None],
    ) -> None:
        self.id = new_id("sess")
        self._caller, self._conversation, self._model, self._engines = caller, conversation, model, engines
        self._send, self._leave = send, leave
        self._config = SessionConfig(
            instructions=conversation.persona,
            voice=str(conversation.voice_id),
            speed=conversation.voice.speech_settings.speed or 1.0,  # type: ignore[union-attr]
        )
        self._stack = AsyncExitStack()
        self._answering = Answering(
            send,
            str(conversation.pk),
            on_sound=lambda pcm: self._listening.turns.answer_sent(pcm, sample_rate=LIVE_SAMPLE_RATE),
            on_end=lambda: self._listening.turns.answer_heard(),
            on_silence=lambda: self._listening.turns.answer_stopped(),
        )
        self._question: Question | None = None  # Being asked.
        self._ended: Question | None = None  # The last one that turn detection ended.
        self._pending: list[Question] = []  # Asked, but not answered yet.
        self._tasks: set[asyncio.Task[Any]] = set()
        self._items: OrderedDict[str, Event] = OrderedDict()  # Of questions.
        self._has_spoken = False
        self._is_closed = False

    async def open(self, turn_end: TurnEnd | None) -> None:
        """Begin to listen, and tell the client."""
        self._turn_end = turn_end
        self._hear(await self._listen())
        self._send(event("session.created", session=self._as_json()))

    async def close(self) -> None:
        """End everything, as when the listener leaves. What was asked is stored."""
        self._is_closed = True
        if self._question is not None:
            self._drop(self._question)
        await self._answering.close()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=CLOSING_SECONDS)
        self._listening.close()
        await self._stack.aclose()

    @property
    def is_idle(self) -> bool:
        """Whether nobody is asking or being answered."""
        return not (self._answering.is_busy or self._question or self._pending or self._tasks)

    # What the client sends.

    async def handle(self, received: Event) -> None:
        """Do what an event of the client's says, or answer it with an error."""
        kind, event_id = received.get("type"), received.get("event_id")
        handler = HANDLERS.get(kind) if isinstance(kind, str) else None
        try:
            if handler is None:
                raise ProtocolError("unknown_event", "This event is not supported here.", param="type")
            await handler(self, received)
        except ProtocolError as error:
            given = {"param": error.param, "event_id": event_id if isinstance(event_id, str) else ""}
            self._send(error_event(error.code, error.message, **given))

    async def _update(self, received: Event) -> None:
        config = configuration.changed(self._config, received.get("session"))
        if config.voice != self._config.voice:
            await self._change_voice(config.voice)
            config = replace(config, voice=str(self._conversation.voice_id))
        before, self._config = self._config, config
        self._conversation.persona = config.instructions
        if config.language != before.language:
            self._listening.close()
            self._hear(await self._listen())
        elif config.turn_detection != before.turn_detection:
            self._listening.detect(config.turn_detection)
        self._send(event("session.updated", session=self._as_json()))

    async def _change_voice(self, name: str) -> None:
        if self._has_spoken:
            text = "The voice has spoken already, so it stays. Open another session for another voice."
            raise ProtocolError("cannot_update_voice", text, param="session.audio.output.voice")
        async with shared_thread():
            try:
                voice = await sync_to_async(ground.voice_named)(self._caller, name)
            except UserError as error:
                raise ProtocolError(error.code, error.message, param="session.audio.output.voice") from None
        self._conversation.voice = voice

    async def _append(self, received: Event) -> None:
        pcm = decoded_audio(received.get("audio"), "audio")
        for start in range(0, len(pcm), PIECE_BYTES):
            self._hear_piece(pcm[start : start + PIECE_BYTES])
            await asyncio.sleep(0)  # A long recording in one event leaves room for others.

    def _hear_piece(self, pcm: bytes) -> None:
        if self._config.turn_detection is None:
            question = self._question or self._begin_question()
            if len(question.pcm) + len(pcm) > settings.MAX_QUESTION_SECONDS * 2 * LIVE_SAMPLE_RATE:
                text = f"A question has at most {settings.MAX_QUESTION_SECONDS} seconds. Commit or clear this one."
                raise ProtocolError("input_audio_buffer_full", text)
            question.pcm += pcm
        self._listening.hear(pcm, is_asking=self._question is not None)

    async def _commit(self, _received: Event) -> None:
        question = self._question
        if question is None or (not question.pcm and self._config.turn_detection is None):
            raise ProtocolError("input_audio_buffer_commit_empty", "There is no sound to commit.")
        if self._config.turn_detection is None and len(question.pcm) < MIN_COMMIT_SECONDS * 2 * LIVE_SAMPLE_RATE:
            text = f"A question has at least {MIN_COMMIT_SECONDS * 1000:.0f} ms of sound."
            raise ProtocolError("input_audio_buffer_commit_empty", text)
        self._end_question(question)
        self._listening.turns.start_over()

    async def _clear(self, _received: Event) -> None:
        if self._question is not None:
            self._drop(self._question)
            self._listening.forget()
        self._send(event("input_audio_buffer.cleared"))

    async def _create_item(self, received: Event) -> None:
        item = received.get("item")
        if not isinstance(item, dict) or item.get("type") != "message" or item.get("role") != "user":
            raise unsupported("item", "Only messages of the user can be added.")
        content = item.get("content")
        if not isinstance(content, list) or not content or any(each.get("type") != "input_text" for each in content):
            raise unsupported("item.content", "Only input_text can be added. Send sound by input_audio_buffer.append.")
        text = "\n".join(str(each.get("text") or "") for each in content).strip()
        if not text or len(text) > services.MAX_TEXT_CHARACTERS:
            raise invalid("item.content", f"A text has from 1 to {services.MAX_TEXT_CHARACTERS} characters.")
        item_id = item.get("id")
        question = Question(self._open_question(), item_id=item_id if isinstance(item_id, str) else "", text=text)
        self._add_pending(question)

    async def _delete_item(self, received: Event) -> None:
        question = next((each for each in self._pending if each.item_id == received.get("item_id")), None)
        if question is None:
            text = "Only questions that are not answered yet can be deleted. Delete the conversation for the rest."
            raise ProtocolError("item_not_found", text, param="item_id")
        self._pending.remove(question)
        self._drop(question)
        self._send(event("conversation.item.deleted", item_id=question.item_id))

    async def _retrieve_item(self, received: Event) -> None:
        item_id = str(received.get("item_id"))
        item = self._items.get(item_id) or self._answering.item(item_id)
        if item is None:
            raise ProtocolError("item_not_found", "There is no such item in this session.", param="item_id")
        self._send(event("conversation.item.retrieved", item=item))

    async def _truncate_item(self, received: Event) -> None:
        ms = received.get("audio_end_ms")
        if isinstance(ms, bool) or not isinstance(ms, int) or ms < 0:
            raise invalid("audio_end_ms", "Send the milliseconds that were heard, a whole number.")
        self._answering.truncate(str(received.get("item_id")), ms / 1000)

    async def _create_response(self, received: Event) -> None:
        wanted = received.get("response") or {}
        if not isinstance(wanted, dict):
            raise invalid("response", "This has to be an object.")
        if wanted.get("conversation") == "none" or wanted.get("input"):
            raise unsupported("response.conversation", "A response always belongs to the conversation here.")
        if self._answering.is_busy:
            text = "A response is being given. Cancel it, or wait until it is done."
            raise ProtocolError("conversation_already_has_active_response", text)
        if not self._pending:
            raise ProtocolError(
                "nothing_to_answer", "Ask something first: send sound and commit it, or create an item."
            )
        config = replace(self._config, **configuration.common_changes(wanted, "response"))
        self._respond(config, metadata=wanted.get("metadata"))

    async def _cancel_response(self, received: Event) -> None:
        wanted, latest = received.get("response_id"), self._answering.latest
        if latest is None or latest.is_over or wanted not in (None, latest.id):
            raise ProtocolError("response_cancel_not_active", "There is no such response that is being given.")
        self._answering.cancel("client_cancelled")

    async def _refuse_webrtc(self, _received: Event) -> None:
        raise unsupported("type", "This event is for WebRTC. Send response.cancel and conversation.item.truncate.")

    # What turn taking hears.

    def _on_turn(self, turn: TurnEvent) -> None:
        question = self._question
        match turn:
            case SpeechStarted() if self._config.turn_detection is None:
                self._note_quiet(is_quiet=False)
            case SpeechStarted(start_ms, interrupts):
                self._speech_started(start_ms, interrupts=interrupts)
            case MaybeEnded():
                self._note_quiet(is_quiet=True)
                if question is not None and self._config.turn_detection is not None:
                    self._answering.let_go()
                    self._consider(question)
            case SpeechResumed(start_ms, after_end=True) if self._config.turn_detection is not None:
                self._question_goes_on(start_ms)
            case SpeechResumed():
                self._note_quiet(is_quiet=False)
                self._distrust(question)
            case Ended(end_ms) if question is not None:
                self._send(event("input_audio_buffer.speech_stopped", item_id=question.item_id, audio_end_ms=end_ms))
                self._end_question(question)
            case FalseStart(end_ms=end_ms) if question is not None:
                self._send(event("input_audio_buffer.speech_stopped", item_id=question.item_id, audio_end_ms=end_ms))
                self._drop(question)
                self._listening.transcription.clear()
                self._answering.resume()

    def _note_quiet(self, *, is_quiet: bool) -> None:
        if self._question is not None:
            self._question.is_quiet = is_quiet

    def _speech_started(self, start_ms: int, *, interrupts: bool) -> None:
        detection = self._config.turn_detection
        if interrupts and detection is not None and detection.interrupt_response:
            self._answering.hold()
        question = self._begin_question()
        self._send(event("input_audio_buffer.speech_started", item_id=question.item_id, audio_start_ms=start_ms))

    def _question_goes_on(self, start_ms: int) -> None:
        """The last question had not ended. Take its answer back, of which next to nothing was heard."""
        question, self._ended = self._ended, None
        if question is None:
            self._speech_started(start_ms, interrupts=False)
            return
        self._distrust(question)
        if question.answering is not None:
            question.answering.cancel()
        if question in self._pending:
            self._pending.remove(question)
        if self._answering.latest is not None:
            self._answering.latest.end("cancelled", reason="turn_detected")
        self._listening.turns.answer_stopped()
        if question.answer is not None:
            self._answering.undo(question.answer)
            question.answer, question.used, question.opened = None, Used(), self._open_question()
        self._send(event("conversation.item.deleted", item_id=question.item_id))
        question.item_id, question.is_quiet, question.shown = new_id("item"), False, ""
        self._question = question
        self._send(event("input_audio_buffer.speech_started", item_id=question.item_id, audio_start_ms=start_ms))

    def _on_partial(self, text: str) -> None:
        question = self._question
        if question is None:
            return
        question.partial = text
        if not text.strip():
            return
        self._listening.turns.words_heard()
        if self._config.turn_detection is not None:
            self._answering.let_go()
            if question.is_quiet:
                self._consider(question)
        self._show_partial(question)

    def _show_partial(self, question: Question) -> None:
        """Tell the client the words so far. It can only be told more of them: what was changed comes at the end."""
        words = question.words_so_far
        if words.startswith(question.shown) and len(words) > len(question.shown):
            delta, question.shown = words[len(question.shown) :], words
            self._send(event(f"{TRANSCRIPTION}.delta", item_id=question.item_id, content_index=0, delta=delta))

    # Questions.

    def _begin_question(self) -> Question:
        self._question = Question(self._open_question())
        self._question.sent_seconds = -self._listening.transcription.sent_seconds
        return self._question

    def _open_question(self) -> asyncio.Task[OpenedQuestion]:
        opened = asyncio.create_task(self._opened())
        opened.add_done_callback(_note_error)
        return opened

    async def _opened(self) -> OpenedQuestion:
        async with shared_thread():
            return await sync_to_async(ground.open_question)(self._caller, self._conversation)

    def _end_question(self, question: Question) -> None:
        """The question is asked: by the client's commit, or because the person is silent."""
        if self._config.turn_detection is not None:
            question.pcm = self._listening.question_pcm()
            self._ended = question
        self._question = None
        question.parts.append(self._listening.commit())
        question.partial = ""
        self._send(event("input_audio_buffer.committed", item_id=question.item_id))
        self._add_pending(question)
        self._run(self._show_transcript(question))
        detection = self._config.turn_detection
        if detection is not None and detection.create_response:
            question.answering = self._run(self._respond_when_heard(question))

    def _add_pending(self, question: Question) -> None:
        if len(self._pending) >= MAX_PENDING:
            raise ProtocolError("too_many_items", "There are many questions without an answer. Create a response.")
        self._pending.append(question)
        item = self._items[question.item_id] = user_item(question.item_id, text=question.typed)
        while len(self._items) > KEPT_ITEMS:
            self._items.popitem(last=False)
        self._send(event("conversation.item.added", item=item))
        self._send(event("conversation.item.done", item=item))

    async def _show_transcript(self, question: Question) -> None:
        """Tell the client the final words of a question, or why there are none."""
        item_id = question.item_id
        try:
            transcript = await question.transcript()
        except ProviderError as error:
            failure = {"type": "server_error", "code": error.code, "message": error.message}
            self._send(event(f"{TRANSCRIPTION}.failed", item_id=item_id, content_index=0, error=failure))
            return
        finally:
            question.sent_seconds += self._listening.transcription.sent_seconds
        if question.item_id == item_id:
            self._items[item_id] = user_item(item_id, transcript=transcript.text)
            usage = {"type": "duration", "seconds": round(len(question.pcm) / 2 / LIVE_SAMPLE_RATE, 3)}
            fields = {"content_index": 0, "transcript": transcript.text, "usage": usage}
            self._send(event(f"{TRANSCRIPTION}.completed", item_id=item_id, **fields))

    def _drop(self, question: Question) -> None:
        """Forget a question. What it cost is settled."""
        if self._question is question:
            self._question = None
        self._distrust(question)
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

    # Answers.

    def _consider(self, question: Question) -> None:
        """Begin a reply on trust: the question may have ended."""
        detection = self._config.turn_detection
        if detection is not None and detection.create_response:
            self._run(self._begin_on_trust(question, self._config))

    async def _begin_on_trust(self, question: Question, config: SessionConfig) -> None:
        words = question.words_so_far
        if not words or (question.on_trust is not None and same_words(question.on_trust.question, words)):
            return
        await self._answering.until_stored()
        try:
            opened = await asyncio.shield(question.opened)
        except (UserError, ProviderError):
            return  # The answer will say it.
        if not question.is_quiet or question.answer is not None or words != question.words_so_far:
            return
        if question.replies >= settings.LIVE_REPLIES_ON_TRUST or self._is_closed:
            return
        self._distrust(question)
        question.replies += 1
        metrics.REPLIES_ON_TRUST.inc()
        turn = self._new_turn(opened, Transcript(words), config)
        question.on_trust = Answer(self._prepared(turn, opened, question.used, config, trust=Trust()), self._engines)

    def _distrust(self, question: Question | None) -> None:
        answer = question.distrust() if question is not None else None
        if answer is not None:
            self._answering.stop(answer)

    async def _respond_when_heard(self, question: Question) -> None:
        """Answer a question that turn detection ended, unless it was a mere noise."""
        try:
            heard = bool((await question.transcript()).text)
        except ProviderError:
            heard = True  # The whole recording may be understood.
        if self._answering.latest is not None:
            await self._answering.latest.over.wait()
        if question not in self._pending:
            return
        if heard:
            self._respond(self._config)
        else:
            self._pending.remove(question)
            self._ended = None
            self._drop(question)

    def _respond(self, config: SessionConfig, metadata: Any = None) -> None:
        questions, self._pending = self._pending, []
        response = self._answering.announce(is_spoken=config.is_spoken, metadata=metadata)
        self._has_spoken = True
        task = self._run(self._answer(questions, config, response))
        for question in questions:
            question.answering = task

    async def _answer(self, questions: list[Question], config: SessionConfig, response: Response) -> None:
        try:
            await self._give_answer(questions, config, response)
        except (UserError, ProviderError) as error:
            response.fail(error.code, error.message)
            for question in questions:
                self._drop(question)
            if isinstance(error, CallerLeftError):
                self._leave(POLICY_VIOLATION)
        except Exception as error:
            known = known_error(error)
            if known is None:
                logger.exception("A question of a live session could not be answered")
            code, text = (known.code, known.message) if known else (INTERNAL_ERROR, str(TURN_MESSAGES[INTERNAL_ERROR]))
            response.fail(code, text)

    async def _give_answer(self, questions: list[Question], config: SessionConfig, response: Response) -> None:
        await self._answering.until_stored()
        first = questions[0]
        opened = await asyncio.shield(first.opened)
        if len(questions) == 1 and first.is_quiet:
            await self._begin_on_trust(first, config)
        transcript = await self._transcript_of(questions)
        recording = _recording_of(questions)
        if transcript is not None and not transcript.text:
            raise UserError(NOTHING_HEARD, str(TURN_MESSAGES[NOTHING_HEARD]))
        for question in questions:
            if question.typed is None:
                first.used.hear(question.sent_seconds, engine=self._listening.transcription.name)
        for question in questions[1:]:
            self._drop(question)
        answer = self._certain_answer(first, opened, transcript, recording, config)
        if answer is None:
            return
        first.answer = answer
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
        self._distrust(question)
        turn = self._new_turn(opened, transcript or Transcript(""), config)
        if self._is_closed:
            self._run(self._keep(turn, recording, opened.reservation, question.used))
            return None
        return Answer(self._prepared(turn, opened, question.used, config, recording=recording), self._engines)

    async def _keep(self, turn: Turn, recording: Recording | None, reservation: Reservation, used: Used) -> None:
        async with shared_thread():
            await sync_to_async(ground.keep_question)(turn, recording, reservation, used)

    async def _transcript_of(self, questions: list[Question]) -> Transcript | None:
        """Return the joined words of `questions`; None if they have to be found in the recording."""
        try:
            transcripts = [await question.transcript() for question in questions]
        except ProviderError:
            return None
        texts = [transcript.text for transcript in transcripts if transcript.text]
        return Transcript("\n\n".join(texts), language=transcripts[-1].language)

    def _new_turn(self, opened: OpenedQuestion, transcript: Transcript, config: SessionConfig) -> Turn:
        conversation = copy(self._conversation)
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
        self,
        turn: Turn,
        opened: OpenedQuestion,
        used: Used,
        config: SessionConfig,
        *,
        recording: Recording | None = None,
        trust: Trust | None = None,
    ) -> PreparedTurn:
        return PreparedTurn(
            turn,
            opened.reservation,
            recording,
            used=used,
            trust=trust,
            max_tokens=config.max_output_tokens,
            is_spoken=config.is_spoken,
        )

    # The rest.

    async def _listen(self) -> LiveTranscription:
        await self._stack.aclose()
        engine = self._engines.live_speech_to_text
        listening = engine.listen(language=self._config.language, on_partial=self._on_partial)
        return await self._stack.enter_async_context(listening)

    def _hear(self, transcription: LiveTranscription) -> None:
        self._listening = Listening(transcription, self._turn_end, self._config.turn_detection, on_turn=self._on_turn)

    def _as_json(self) -> Event:
        hearing = self._engines.live_speech_to_text.name
        return self._config.as_json(session_id=self.id, model=self._model, hearing=hearing)

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _recording_of(questions: list[Question]) -> Recording | None:
    pcm = b"".join(question.pcm for question in questions)
    return Recording(pcm, LIVE_SAMPLE_RATE) if pcm else None


def _note_error(task: asyncio.Task[Any]) -> None:
    """Read the exception of a task that nobody may wait for."""
    if not task.cancelled():
        task.exception()


HANDLERS: dict[str, Callable[[LiveSession, Event], Coroutine[Any, Any, None]]] = {
    "session.update": LiveSession._update,
    "input_audio_buffer.append": LiveSession._append,
    "input_audio_buffer.commit": LiveSession._commit,
    "input_audio_buffer.clear": LiveSession._clear,
    "conversation.item.create": LiveSession._create_item,
    "conversation.item.delete": LiveSession._delete_item,
    "conversation.item.retrieve": LiveSession._retrieve_item,
    "conversation.item.truncate": LiveSession._truncate_item,
    "response.create": LiveSession._create_response,
    "response.cancel": LiveSession._cancel_response,
    "output_audio_buffer.clear": LiveSession._refuse_webrtc,
}
