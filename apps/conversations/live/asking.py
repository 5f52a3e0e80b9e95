"""The questions of a live session: when one begins, goes on, ends, and is answered."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from apps.conversations.live.answering import Answering
from apps.conversations.live.config import SessionConfig
from apps.conversations.live.items import Items
from apps.conversations.live.listening import Listening
from apps.conversations.live.protocol import ProtocolError, event, new_id
from apps.conversations.live.question import Question
from apps.conversations.live.replying import Replying, Run
from apps.conversations.live.response import Send
from apps.speech.audio.turn_ends import TurnEnd
from apps.speech.audio.turn_taking import Ended, FalseStart, MaybeEnded, SpeechResumed, SpeechStarted
from apps.speech.audio.turn_taking import Event as TurnEvent
from apps.speech.base import LIVE_SAMPLE_RATE, LiveTranscription, ProviderError

MIN_COMMIT_SECONDS = 0.1
MAX_PENDING = 20
BYTES_PER_SECOND = 2 * LIVE_SAMPLE_RATE


class Asking:
    """What the person says, question by question. `config` is what is in force; set it by `configure`."""

    def __init__(
        self, send: Send, answering: Answering, replying: Replying, config: SessionConfig, *, run: Run
    ) -> None:
        self.items = Items(send)
        self.config = config
        self.current: Question | None = None
        self.pending: list[Question] = []  # Asked, but not answered yet.
        self._ended: Question | None = None  # The last one that turn detection ended.
        self._doubted = ""  # The next item of the current question, which may have been over: what began may be noise.
        self._send, self._answering, self._replying, self._run = send, answering, replying, run

    def listen(self, transcription: LiveTranscription, turn_end: TurnEnd | None) -> None:
        self.listening = Listening(transcription, turn_end, self.config.turn_detection, on_turn=self._on_turn)

    def listen_with(self, transcription: LiveTranscription) -> None:
        """Let another engine hear the question that is being asked, and those after it."""
        self.listening.transcribe_with(transcription, self._sound_of(self.current))

    def configure(self, config: SessionConfig) -> None:
        """Take another configuration. A question that has begun goes on."""
        before, question = self.config, self.current
        if question is not None:
            question.pcm = self._sound_of(question)
        self.config = config
        if config.turn_detection == before.turn_detection:
            return
        self.listening.detect(config.turn_detection)
        if question is not None and config.turn_detection is not None and not self.listening.turns.is_in_question:
            self._drop(question)
            self.listening.forget_words()

    def hear(self, pcm: bytes) -> None:
        """Take the next sound. Raises ProtocolError if the question gets too long."""
        if self.config.turn_detection is None:
            self._take(self.current or self._begin(), pcm)
        self.listening.hear(pcm, is_asking=self.current is not None)
        if self.current is not None and self.config.turn_detection is not None:
            self.current.heard_bytes += len(pcm)
            if self.current.heard_bytes >= settings.MAX_QUESTION_SECONDS * BYTES_PER_SECOND:
                self._speech_stopped(self.current, self.listening.turns.now_ms)
                self._end(self.current)
                self.listening.turns.start_over()

    def _take(self, question: Question, pcm: bytes) -> None:
        if len(question.pcm) + len(pcm) > settings.MAX_QUESTION_SECONDS * BYTES_PER_SECOND:
            text = f"A question has at most {settings.MAX_QUESTION_SECONDS} seconds. Commit or clear this one."
            raise ProtocolError("input_audio_buffer_full", text)
        question.pcm += pcm

    def commit(self) -> None:
        """End the question, because the client says so. Raises ProtocolError."""
        question = self.current
        if question is None or len(self._sound_of(question)) < MIN_COMMIT_SECONDS * BYTES_PER_SECOND:
            text = f"A question has at least {MIN_COMMIT_SECONDS * 1000:.0f} ms of sound."
            raise ProtocolError("input_audio_buffer_commit_empty", text)
        self._require_room()
        self._end(question)
        self.listening.turns.start_over()

    def clear(self) -> None:
        """Forget what is being said."""
        if self.current is not None:
            self._drop(self.current)
            self.listening.forget()
            self._answering.resume()
        self._send(event("input_audio_buffer.cleared"))

    def type(self, text: str, item_id: str) -> None:
        """Take a typed question. Raises ProtocolError."""
        self._require_room()
        self._add(Question(self._replying.open_question(is_spoken=False), item_id=item_id, text=text))

    def delete(self, item_id: str) -> None:
        """Forget a question that waits for an answer. Raises ProtocolError."""
        question = next((each for each in self.pending if each.item_id == item_id), None)
        if question is None:
            text = "Only questions that are not answered yet can be deleted. Delete the conversation for the rest."
            raise ProtocolError("item_not_found", text, param="item_id")
        self._forget(question)

    def respond(self, config: SessionConfig, metadata: Any = None) -> None:
        """Answer all questions that wait for it, together."""
        self._answering.let_go()
        questions, self.pending = self.pending, []
        response = self._answering.announce(is_spoken=config.is_spoken, metadata=metadata)
        task = self._run(self._replying.answer(questions, config, response, pay=self.listening.pay))
        for question in questions:
            question.answering, question.response = task, response
            question.others = [each for each in questions if each is not question]

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
            self._goes_on_surely(question)
            self._answering.let_go()
            if question.is_quiet:
                self._consider(question)
        self.items.show_partial(question)

    def close(self) -> None:
        """Forget what nobody has asked for an answer to."""
        self.listening.close()
        if self.current is not None:
            self._drop(self.current)
        for question in self.pending:
            if question.answering is None:
                self._replying.drop(question)

    def forget(self) -> None:
        """Free all sound. Nothing can be asked after that."""
        self._ended = None
        self.pending.clear()
        del self.listening

    def _on_turn(self, turn: TurnEvent) -> None:
        match turn:
            case MaybeEnded():
                self._note_quiet(is_quiet=True)
            case SpeechStarted() | SpeechResumed():
                self._note_quiet(is_quiet=False)
        if self.config.turn_detection is None:
            return
        match turn:
            case SpeechStarted(start_ms):
                self._speech_started(start_ms)
            case SpeechResumed(start_ms, after_end=True):
                self._goes_on(start_ms)
            case _ if self.current is not None:
                self._on_turn_of(self.current, turn)

    def _on_turn_of(self, question: Question, turn: TurnEvent) -> None:
        match turn:
            case MaybeEnded():
                self._goes_on_surely(question)
                self._consider(question)
            case SpeechResumed():
                self._replying.distrust(question)
            case Ended(end_ms):
                self._speech_stopped(question, end_ms)
                self._end(question)
            case FalseStart(end_ms=end_ms):
                self._speech_stopped(question, end_ms)
                if self._doubted:
                    self._ended, self.current, self._doubted = question, None, ""
                else:
                    self._drop(question)
                self.listening.forget_words()
                self._answering.resume()

    def _note_quiet(self, *, is_quiet: bool) -> None:
        if self.current is not None:
            self.current.is_quiet = is_quiet

    def _speech_started(self, start_ms: int) -> None:
        detection = self.config.turn_detection
        question = self._begin()
        self._send(event("input_audio_buffer.speech_started", item_id=question.item_id, audio_start_ms=start_ms))
        if detection is not None and detection.interrupt_response:
            self._answering.interrupt()

    def _speech_stopped(self, question: Question, end_ms: int) -> None:
        item_id = self._doubted or question.item_id
        self._send(event("input_audio_buffer.speech_stopped", item_id=item_id, audio_end_ms=end_ms))

    def _goes_on(self, start_ms: int) -> None:
        """The last question had not ended. While its answer is heard, that is in doubt: it may be a cough."""
        question, self._ended = self._ended, None
        if question is None:
            self._speech_started(start_ms)
            return
        item_id = new_id("item")
        self._send(event("input_audio_buffer.speech_started", item_id=item_id, audio_start_ms=start_ms))
        self.current, self._doubted, question.is_quiet = question, item_id, False
        if not self._answering.hold(question.response):
            self._goes_on_surely(question)

    def _goes_on_surely(self, question: Question) -> None:
        """Take the answer to a question back if it goes on, because next to nothing was heard of it."""
        if not self._doubted:
            return
        if question in self.pending:
            self.pending.remove(question)
        self.pending[:0] = self._take_back_answer(question)
        self.items.delete(question)
        question.item_id, question.shown, self._doubted = self._doubted, "", ""

    def _take_back_answer(self, question: Question) -> list[Question]:
        """Undo the answer to a question that goes on. Return the others that it answered: they wait for one again."""
        self._replying.distrust(question)
        if question.answering is not None:
            question.answering.cancel()
        if question.response is not None:
            self._answering.take_back(question.response)
        others = question.others
        for each in (question, *others):
            self._replying.reopen(each)
        return others

    def _consider(self, question: Question) -> None:
        """Begin a reply on trust: the question may have ended."""
        detection = self.config.turn_detection
        if detection is not None and detection.create_response and not self.pending:
            self._run(self._replying.begin_on_trust(question, self.config))

    def _begin(self) -> Question:
        self.current = Question(self._replying.open_question())
        return self.current

    def _sound_of(self, question: Question | None) -> bytes:
        if question is None:
            return b""
        return question.pcm if self.config.turn_detection is None else self.listening.question_pcm()

    def _end(self, question: Question) -> None:
        """The question is asked: the client committed it, or the person is silent."""
        self._goes_on_surely(question)
        detection = self.config.turn_detection
        question.pcm = self._sound_of(question)
        self._ended = question if detection is not None else None
        self.current = None
        question.end_part(self.listening.commit())
        self._send(event("input_audio_buffer.committed", item_id=question.item_id))
        if len(self.pending) >= MAX_PENDING:
            self._forget(self.pending[0])
        self._add(question)
        self._run(self.items.show_transcript(question))
        if detection is not None and detection.create_response:
            question.answering = self._run(self._respond_when_heard(question))

    def _require_room(self) -> None:
        if len(self.pending) >= MAX_PENDING:
            raise ProtocolError("too_many_items", "There are many questions without an answer. Create a response.")

    def _add(self, question: Question) -> None:
        self.pending.append(question)
        self.items.add(question)

    async def _respond_when_heard(self, question: Question) -> None:
        """Answer a question that turn detection ended, unless it was a mere noise."""
        try:
            is_heard = bool((await question.transcript()).text)
        except ProviderError:
            is_heard = True  # The whole recording may be understood.
        if is_heard:
            await self._answering.until_free()
        if question not in self.pending:
            return
        if is_heard:
            self.respond(self.config)
        else:
            self._ended = None if self._ended is question else self._ended
            self._forget(question)
            self._answering.resume()

    def _forget(self, question: Question) -> None:
        self.pending.remove(question)
        self.listening.pay(question.used)
        self._replying.drop(question)
        self.items.delete(question)

    def _drop(self, question: Question) -> None:
        self.current, self._doubted = None, ""
        self.listening.pay(question.used)
        self._replying.drop(question)
