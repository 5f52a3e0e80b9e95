"""The questions of a live session: when one begins, goes on, ends, and is answered."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from django.conf import settings

from apps.conversations.live.answering import Answering
from apps.conversations.live.config import SessionConfig
from apps.conversations.live.listening import Listening
from apps.conversations.live.protocol import Event, ProtocolError, event, new_id, user_item
from apps.conversations.live.question import Question
from apps.conversations.live.replying import Replying, Run
from apps.conversations.live.response import Send
from apps.speech.audio.turn_ends import TurnEnd
from apps.speech.audio.turn_taking import Ended, FalseStart, MaybeEnded, SpeechResumed, SpeechStarted
from apps.speech.audio.turn_taking import Event as TurnEvent
from apps.speech.base import LIVE_SAMPLE_RATE, LiveTranscription, ProviderError
from apps.usage.metering import Used

TRANSCRIPTION = "conversation.item.input_audio_transcription"
MIN_COMMIT_SECONDS = 0.1
MAX_PENDING = 20
KEPT_ITEMS = 50


class Asking:
    """What the person says, question by question. `config` is what is in force; set it by `configure`."""

    def __init__(
        self, send: Send, answering: Answering, replying: Replying, config: SessionConfig, *, run: Run
    ) -> None:
        self.items: OrderedDict[str, Event] = OrderedDict()
        self.config = config
        self.current: Question | None = None
        self.pending: list[Question] = []  # Asked, but not answered yet.
        self._ended: Question | None = None  # The last one that turn detection ended.
        self._send, self._answering, self._replying, self._run = send, answering, replying, run

    def listen(self, transcription: LiveTranscription, turn_end: TurnEnd | None) -> None:
        self.listening = Listening(transcription, turn_end, self.config.turn_detection, on_turn=self._on_turn)

    def configure(self, config: SessionConfig) -> None:
        before, self.config = self.config, config
        if config.turn_detection != before.turn_detection:
            self.listening.detect(config.turn_detection)

    def hear(self, pcm: bytes) -> None:
        """Take the next sound. Raises ProtocolError if the question gets too long."""
        if self.config.turn_detection is None:
            question = self.current or self._begin()
            if len(question.pcm) + len(pcm) > settings.MAX_QUESTION_SECONDS * 2 * LIVE_SAMPLE_RATE:
                text = f"A question has at most {settings.MAX_QUESTION_SECONDS} seconds. Commit or clear this one."
                raise ProtocolError("input_audio_buffer_full", text)
            question.pcm += pcm
        self.listening.hear(pcm, is_asking=self.current is not None)

    def commit(self) -> None:
        """End the question, because the client says so. Raises ProtocolError."""
        question = self.current
        if question is None or (self.config.turn_detection is None and _seconds(question) < MIN_COMMIT_SECONDS):
            text = f"A question has at least {MIN_COMMIT_SECONDS * 1000:.0f} ms of sound."
            raise ProtocolError("input_audio_buffer_commit_empty", text)
        self._end(question)
        self.listening.turns.start_over()

    def clear(self) -> None:
        """Forget what is being said."""
        if self.current is not None:
            self._drop(self.current)
            self.listening.forget()
        self._send(event("input_audio_buffer.cleared"))

    def type(self, text: str, item_id: str) -> None:
        """Take a typed question. Raises ProtocolError."""
        self._add(Question(self._replying.open_question(), item_id=item_id, text=text))

    def delete(self, item_id: str) -> None:
        """Forget a question that waits for an answer. Raises ProtocolError."""
        question = next((each for each in self.pending if each.item_id == item_id), None)
        if question is None:
            text = "Only questions that are not answered yet can be deleted. Delete the conversation for the rest."
            raise ProtocolError("item_not_found", text, param="item_id")
        self.pending.remove(question)
        self._replying.drop(question)
        self._send(event("conversation.item.deleted", item_id=item_id))

    def respond(self, config: SessionConfig, metadata: Any = None) -> None:
        """Answer all questions that wait for it, together."""
        questions, self.pending = self.pending, []
        response = self._answering.announce(is_spoken=config.is_spoken, metadata=metadata)
        hearing = self.listening.transcription.name
        task = self._run(self._replying.answer(questions, config, response, hearing=hearing))
        for question in questions:
            question.answering = task

    def on_partial(self, text: str) -> None:
        """Take the words since the last commit, which speech to text may still change."""
        question = self.current
        if question is None:
            return
        question.partial = text
        if not text.strip():
            return
        self.listening.turns.words_heard()
        if self.config.turn_detection is not None:
            self._answering.let_go()
            if question.is_quiet:
                self._consider(question)
        self._show_partial(question)

    def close(self) -> None:
        if self.current is not None:
            self._drop(self.current)
        self.listening.close()

    def _on_turn(self, turn: TurnEvent) -> None:
        match turn:
            case MaybeEnded():
                self._note_quiet(is_quiet=True)
            case SpeechStarted() | SpeechResumed():
                self._note_quiet(is_quiet=False)
        if self.config.turn_detection is None:
            return
        match turn:
            case SpeechStarted(start_ms, interrupts):
                self._speech_started(start_ms, interrupts=interrupts)
            case SpeechResumed(start_ms, after_end=True):
                self._goes_on(start_ms)
            case _ if self.current is not None:
                self._on_turn_of(self.current, turn)

    def _on_turn_of(self, question: Question, turn: TurnEvent) -> None:
        match turn:
            case MaybeEnded():
                self._answering.let_go()
                self._consider(question)
            case SpeechResumed():
                self._replying.distrust(question)
            case Ended(end_ms):
                self._speech_stopped(question, end_ms)
                self._end(question)
            case FalseStart(end_ms=end_ms):
                self._speech_stopped(question, end_ms)
                self._drop(question)
                self.listening.transcription.clear()
                self._answering.resume()

    def _note_quiet(self, *, is_quiet: bool) -> None:
        if self.current is not None:
            self.current.is_quiet = is_quiet

    def _speech_started(self, start_ms: int, *, interrupts: bool) -> None:
        detection = self.config.turn_detection
        if interrupts and detection is not None and detection.interrupt_response:
            self._answering.hold()
        question = self._begin()
        self._send(event("input_audio_buffer.speech_started", item_id=question.item_id, audio_start_ms=start_ms))

    def _speech_stopped(self, question: Question, end_ms: int) -> None:
        self._send(event("input_audio_buffer.speech_stopped", item_id=question.item_id, audio_end_ms=end_ms))

    def _goes_on(self, start_ms: int) -> None:
        """The last question had not ended. Take its answer back, of which next to nothing was heard."""
        question, self._ended = self._ended, None
        if question is None:
            self._speech_started(start_ms, interrupts=False)
            return
        self._replying.distrust(question)
        if question.answering is not None:
            question.answering.cancel()
        if question in self.pending:
            self.pending.remove(question)
        self._answering.take_back("turn_detected")
        if question.answer is not None:
            self._answering.undo(question.answer)
            question.answer, question.used, question.opened = None, Used(), self._replying.open_question()
        self._send(event("conversation.item.deleted", item_id=question.item_id))
        question.item_id, question.is_quiet, question.shown = new_id("item"), False, ""
        self.current = question
        self._send(event("input_audio_buffer.speech_started", item_id=question.item_id, audio_start_ms=start_ms))

    def _consider(self, question: Question) -> None:
        """Begin a reply on trust: the question may have ended."""
        detection = self.config.turn_detection
        if detection is not None and detection.create_response:
            self._run(self._replying.begin_on_trust(question, self.config))

    def _show_partial(self, question: Question) -> None:
        """Tell the client the words so far. It can only be told more of them: what was changed comes at the end."""
        words = question.words_so_far
        if words.startswith(question.shown) and len(words) > len(question.shown):
            delta, question.shown = words[len(question.shown) :], words
            self._send(event(f"{TRANSCRIPTION}.delta", item_id=question.item_id, content_index=0, delta=delta))

    def _begin(self) -> Question:
        self.current = Question(self._replying.open_question())
        self.current.sent_seconds = -self.listening.transcription.sent_seconds
        return self.current

    def _end(self, question: Question) -> None:
        """The question is asked: the client committed it, or the person is silent."""
        detection = self.config.turn_detection
        if detection is not None:
            question.pcm = self.listening.question_pcm()
            self._ended = question
        self.current = None
        question.end_part(self.listening.commit())
        self._send(event("input_audio_buffer.committed", item_id=question.item_id))
        self._add(question)
        self._run(self._show_transcript(question))
        if detection is not None and detection.create_response:
            question.answering = self._run(self._respond_when_heard(question))

    def _add(self, question: Question) -> None:
        if len(self.pending) >= MAX_PENDING:
            raise ProtocolError("too_many_items", "There are many questions without an answer. Create a response.")
        self.pending.append(question)
        item = self.items[question.item_id] = user_item(question.item_id, text=question.typed)
        while len(self.items) > KEPT_ITEMS:
            self.items.popitem(last=False)
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
            question.sent_seconds += self.listening.transcription.sent_seconds
        if question.item_id == item_id:
            self.items[item_id] = user_item(item_id, transcript=transcript.text)
            usage = {"type": "duration", "seconds": round(_seconds(question), 3)}
            fields = {"content_index": 0, "transcript": transcript.text, "usage": usage}
            self._send(event(f"{TRANSCRIPTION}.completed", item_id=item_id, **fields))

    async def _respond_when_heard(self, question: Question) -> None:
        """Answer a question that turn detection ended, unless it was a mere noise."""
        try:
            is_heard = bool((await question.transcript()).text)
        except ProviderError:
            is_heard = True  # The whole recording may be understood.
        if self._answering.latest is not None:
            await self._answering.latest.over.wait()
        if question not in self.pending:
            return
        if is_heard:
            self.respond(self.config)
        else:
            self.pending.remove(question)
            self._ended = None
            self._replying.drop(question)

    def _drop(self, question: Question) -> None:
        self.current = None
        self._replying.drop(question)


def _seconds(question: Question) -> float:
    return len(question.pcm) / 2 / LIVE_SAMPLE_RATE
